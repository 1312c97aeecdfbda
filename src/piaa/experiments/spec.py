"""What an experiment is: a TOML file in `specs`, read into plain data. Nothing here runs anything."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

from piaa.errors import InputError

PAPER_DATASETS = ("VOC12", "VOC07", "COCO", "NUS")


@dataclass(frozen=True)
class Run:
    """One line of a table: a method on a set-up.

    Attributes:
        row: as the paper calls it.
        method: a name of `piaa.evaluation.evaluate.METHODS`, or of a system of `piaa.experiments.systems`.
        model: for `piaa.vision.models.load_model`, with `pretrained`.
        pretrained: tag or checkpoint; empty for a model that brings its own weights.
        front_end: a name of `piaa.vision.front_ends.FRONT_ENDS`.
        recipe: a name of `piaa.method.recipes.RECIPES`; `published` is the one that was tuned for the data set.
        change: what an ablation does otherwise than that: see `piaa.experiments.variants.Variant`; of a trained system
            whose time is taken, `backbone`: what is trained end to end.
    """

    row: str
    method: str
    model: str = "ViT-B-16"
    pretrained: str = "openai"
    front_end: str = "sc-clip"
    recipe: str = "default"
    change: dict[str, Any] = field(default_factory=dict)

    @property
    def setup(self) -> tuple[str, str, str, str]:
        """What runs must share to be measured together."""
        return self.model, self.pretrained, self.front_end, self.recipe


@dataclass(frozen=True)
class Spec:
    """A table or a figure of the paper.

    Attributes:
        name: `table3`.
        title: in words.
        kind: a name of `piaa.experiments.kinds.KINDS`: how it is measured.
        paper: the key of the paper's figures in `paper.json`; empty where it prints none.
        runs: its lines.
        options: what the kind takes beside that, such as the values of a sweep.
    """

    name: str
    title: str
    kind: str
    paper: str
    runs: tuple[Run, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def only(self, patterns: list[str]) -> Spec:
        """The lines that match one of the patterns (`CLIP*`), all of them for no pattern.

        Raises:
            InputError: when none does, naming those that exist.
        """
        kept = tuple(run for run in self.runs if not patterns or any(fnmatchcase(run.row, p) for p in patterns))
        if not kept:
            rows = ", ".join(run.row for run in self.runs)
            raise InputError(f"{self.name} has no line like {', '.join(patterns)}; it has: {rows}")
        return replace(self, runs=kept)

    def changed(self, **values: str | None) -> Spec:
        """With the model, weights or recipe of every line replaced where a value is given.

        Lines that come to the same thing then (the four backbones of table 4, on one model) are measured once.
        """
        given: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
        seen: dict[tuple[str, ...], Run] = {}
        for run in self.runs:
            new = replace(run, **given)
            seen.setdefault((*new.setup, new.method, repr(sorted(new.change.items()))), new)
        return replace(self, runs=tuple(seen.values()))


def spec_names() -> list[str]:
    """The experiments in the package, tables first."""
    names = [path.name.removesuffix(".toml") for path in files("piaa.experiments.specs").iterdir()]
    return sorted((name for name in names if not name.startswith("_")), key=lambda name: (name[0] != "t", name))


def read_spec(name: str) -> Spec:
    """The experiment of that name.

    Raises:
        InputError: naming those that exist.
    """
    if name not in spec_names():
        raise InputError(f"no experiment is called {name!r}; choose one of: {', '.join(spec_names())}")
    values = tomllib.loads(files("piaa.experiments.specs").joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    common = values.pop("common", {})
    runs = tuple(Run(**{**common, **run}) for run in values.pop("runs"))
    return Spec(name, values.pop("title"), values.pop("kind"), values.pop("paper", ""), runs, values)
