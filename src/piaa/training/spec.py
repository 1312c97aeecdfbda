"""What a method is: a TOML file in `methods`, read into plain data. Nothing here runs anything."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from piaa.errors import InputError

Constants = dict[str, Any]
"""Name to a number, or to the declaration of a schedule."""
END_TO_END = "end-to-end"
"""The recipe of constants that differ where a backbone learns too."""


@dataclass(frozen=True)
class Pace:
    """How long and how fast a network learns.

    Attributes:
        epochs: passes over the training images.
        rate: learning rate of Adam; of the head.
        batch: images a step.
        head: how many times the backbone's rate the head learns at; 1 where the backbone is frozen.
        learnt: likewise of what the label update trains.
        decay: Adam's weight decay.
        drop: epochs after which the rate falls to a tenth, again and again; 0: never.
        last: the share of the rates that is left in the last epoch; they fall evenly from the first.
    """

    epochs: int
    rate: float
    batch: int
    head: float = 1.0
    learnt: float = 10.0
    decay: float = 0.0
    drop: int = 0
    last: float = 1.0

    def share(self, epoch: int) -> float:
        """Of the rates, in an epoch counted from 0."""
        dropped = 0.1 ** (epoch // self.drop) if self.drop else 1.0
        return dropped * (1 + (self.last - 1) * epoch / max(1, self.epochs - 1))


@dataclass(frozen=True)
class Method:
    """A trained system, as a combination of parts.

    Attributes:
        name: of its file, `ll-r`.
        title: in words.
        row: its line in table 1; empty where it has none.
        source: paper, and its code where it is public.
        regime: a name of `piaa.training.regimes.REGIMES`.
        loss: a name of `piaa.training.objectives.LOSSES`.
        update: a name of `piaa.training.labels.UPDATES`.
        teacher: a name of `piaa.training.teachers.TEACHERS`, or empty.
        frozen: pace on stored embeddings; ours.
        published: pace with the backbone trained end to end.
        backbone: the published one, as timm calls it.
        network: sizes of its graph network on stored embeddings (`frozen`) and end to end (`published`); empty: linear
            classifiers.
        lift: of the activation maps of a backbone (`piaa.training.maps`); 0: its pooled features are classified.
        constants: of the loss.
        update_constants: of the label update.
        recipes: data set, `end-to-end`, or a published form, to what differs there: constants, update_constants, loss,
            update, lift.
        departures: where this differs from the published system, beside the frozen backbone.
    """

    name: str
    title: str
    row: str
    source: str
    regime: str
    loss: str
    update: str
    teacher: str
    frozen: Pace
    published: Pace
    backbone: str
    network: Mapping[str, Constants] = field(default_factory=dict)
    lift: float = 0.0
    constants: Constants = field(default_factory=dict)
    update_constants: Constants = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    departures: tuple[str, ...] = ()

    def on(self, names: str) -> Method:
        """With the own constants of a data set (`VOC07`, `VOC12`, `COCO`, `NUS`, `scenes`) or of `END_TO_END`.

        Several names, parted by commas, count one after the other: `COCO,published`.
        """
        method = self
        for name in names.split(","):
            own = dict(self.recipes.get(name.strip(), {}))
            for key in ("constants", "update_constants"):
                own[key] = {**getattr(method, key), **own.get(key, {})}
            method = replace(method, **own)
        return method


def method_names() -> tuple[str, ...]:
    """The methods in the package, sorted."""
    found = files("piaa.training").joinpath("methods").iterdir()
    return tuple(sorted(path.name.removesuffix(".toml") for path in found if path.name.endswith(".toml")))


def read_method(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: naming those that exist.
    """
    if name not in method_names():
        raise InputError(f"no trained method is called {name!r}; choose one of: {', '.join(method_names())}")
    text = files("piaa.training").joinpath("methods", f"{name}.toml").read_text(encoding="utf-8")
    values = tomllib.loads(text)
    paces: dict[str, Any] = {key: Pace(**values.pop(key)) for key in ("frozen", "published")}
    return Method(name=name, departures=tuple(values.pop("departures", ())), **{**values, **paces})
