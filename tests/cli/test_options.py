"""Help texts name what the tables hold, and a shared option is the same in every command."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest

from piaa.cli import options
from piaa.cli.main import COMMANDS
from piaa.evaluation.metrics.rules import AP_RULES
from piaa.method.recipes import RECIPES
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
        (options.Templates, TEMPLATE_SETS),
        (options.EngineName, engine_names()),
        (options.ApRule, AP_RULES),
    ],
)
def test_help_names_every_entry_of_its_table(option: object, names: object) -> None:
    words = help_of(option).replace(",", " ").replace(";", " ").replace(".", " ").split()
    missing = [name for name in names if name not in words]  # type: ignore[attr-defined]
    assert not missing, f"not in the help: {missing}"


def test_an_option_with_a_shared_name_is_the_shared_one() -> None:
    """Another type under the same flag would be a second declaration."""
    shared = {get_args(value)[1].param_decls[0]: value for value in vars(options).values() if _is_option(value)}
    own = {"--out", "--model", "--pretrained", "--image-size", "--recipe", "--front-end", "--batch-size"}
    for name, command in COMMANDS.items():
        for parameter, annotation in inspect.get_annotations(command, eval_str=True).items():
            flag = f"--{parameter.replace('_', '-')}"
            if flag in shared and flag not in own and name != "bench":
                assert annotation == shared[flag], f"{name} {flag}"


def _is_option(value: object) -> bool:
    return len(get_args(value)) == 2 and bool(getattr(get_args(value)[1], "param_decls", None))
