"""How much work an image is worth: `fast`, `standard`, `best`. docs/adaptive.md has accuracy and cost of each."""

from __future__ import annotations

from dataclasses import dataclass

from piaa.errors import InputError, ModelError
from piaa.vision.runtimes import parse_engine

EIGHT_BITS = ("openvino:int8", "onnxruntime:int8")


@dataclass(frozen=True)
class Quality:
    """What a name stands for, wherever a parameter of its own says nothing.

    Attributes:
        image_size: as of `piaa.recognizer.Recognizer`.
        views: a name of `piaa.vision.views.VIEWS`.
        engines: the first that is installed runs the encoder; `eager` where none is.
    """

    image_size: str | None
    views: str = "one"
    engines: tuple[str, ...] = ()

    @property
    def engine(self) -> str:
        """The engine on this machine."""
        return next((name for name in self.engines if _installed(name)), "eager")


QUALITIES: dict[str, Quality] = {
    "fast": Quality("trained", engines=EIGHT_BITS),
    "standard": Quality(None),
    "best": Quality(None, views="tiled"),
}
"""By the name that `--quality` takes."""


def get_quality(name: str) -> Quality:
    """A quality by name.

    Raises:
        InputError: for an unknown name, listing those that exist.
    """
    if name not in QUALITIES:
        raise InputError(f"no quality is called {name!r}; choose one of: {', '.join(QUALITIES)}")
    return QUALITIES[name]


def quality_with(views: str) -> str:
    """The name of the quality that sees images so and leaves size and engine to the model: for a loaded classifier.

    For views that no quality has any more it is `best`, by which such a classifier would be fitted anew.
    """
    named = {quality.views: name for name, quality in QUALITIES.items() if quality.image_size is None}
    return named.get(views, "best")


def engine_of_fit(recorded: str | None) -> str:
    """The engine that a classifier was fitted in, where it is installed; `eager` for any other and for none."""
    return recorded if recorded and _installed(recorded) else "eager"


def _installed(engine: str) -> bool:
    try:
        parse_engine(engine).check_installed()
    except ModelError:
        return False
    return True
