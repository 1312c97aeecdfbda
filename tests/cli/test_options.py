"""Help texts name what the tables hold, and a shared option is the same in every command."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest

from piaa.baselines import METHODS
from piaa.cli import options
from piaa.cli.main import COMMANDS
from piaa.evaluation.metrics.rules import AP_RULES
from piaa.method.recipes import RECIPES
from piaa.qualities import QUALITIES
from piaa.training.heads import FEATURES
from piaa.training.regimes import REGIMES
from piaa.training.run import CHOICES
from piaa.training.teachers import TEACHERS
from piaa.vision.front_ends import FRONT_ENDS
from piaa.vision.runtimes.names import engine_names
from piaa.vocabulary.prototypes import TEMPLATE_SETS


def help_of(option: object) -> str:
    return str(get_args(option)[1].help)


@pytest.mark.parametrize(
    ("option", "names"),
    [
        (options.FrontEnd, FRONT_ENDS),
        (options.RecipeName, RECIPES),
        (options.Method, METHODS),
        (options.Templates, TEMPLATE_SETS),
        (options.EngineName, engine_names()),
        (options.Quality, QUALITIES),
        (options.RunQuality, QUALITIES),
        (options.StoredQuality, QUALITIES),
        (options.ApRule, AP_RULES),
    ],
)
def test_help_names_every_entry_of_its_table(option: object, names: object) -> None:
    words = help_of(option).replace(",", " ").replace(";", " ").replace(".", " ").split()
    missing = [name for name in names if name not in words]  # type: ignore[attr-defined]
    assert not missing, f"not in the help: {missing}"


def test_train_names_every_regime_teacher_head_and_choice() -> None:
    annotations = inspect.get_annotations(COMMANDS["train"], eval_str=True)
    tables = {"regime": REGIMES, "pseudo_labels": TEACHERS, "head": FEATURES, "choose_epoch": CHOICES}
    for option, table in tables.items():
        words = help_of(annotations[option]).replace(",", " ").replace(":", " ").replace(";", " ").split()
        assert set(table) <= set(words), option


def test_an_option_with_a_shared_name_is_the_shared_one() -> None:
    """Another type under the same flag would be a second declaration."""
    shared: dict[str, list[object]] = {}
    for value in vars(options).values():
        for flag in flags_of(value):
            shared.setdefault(flag, []).append(value)
    assert {"--device", "--engine", "--batch-size", "--workers", "--classifier"} <= shared.keys()
    compared = 0
    for name in SHARING:
        for parameter, annotation in inspect.get_annotations(COMMANDS[name], eval_str=True).items():
            flag = f"--{parameter.replace('_', '-')}"
            if flag in shared and (name, flag) not in OWN:
                assert annotation in shared[flag], f"{name} {flag}"
                compared += 1
    assert compared > 30


SHARING = ("fit", "tag", "eval", "demo", "reproduce", "explain", "train", "serve")
OWN = {  # another meaning under the same name
    *((name, "--out") for name in SHARING),
    ("serve", "--max-pixels"),  # a limit of the service, never without one
    *(("train", flag) for flag in ("--labels", "--truth", "--method", "--classifier", "--head")),  # its own
    *(("reproduce", flag) for flag in ("--model", "--pretrained", "--recipe", "--image-size")),
}


def flags_of(value: object) -> list[str]:
    """The flag of a shared option: Typer keeps the first of them in the place of the default."""
    info = get_args(value)[1] if len(get_args(value)) == 2 else None
    first = getattr(info, "default", None)
    return [first] if isinstance(first, str) and first.startswith("--") else []
