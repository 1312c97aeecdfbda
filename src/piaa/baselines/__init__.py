"""The systems that PIAA is compared with, one file each.

`METHODS` has those that need no training, with PIAA's face (`piaa.baselines.base.Method`); the other files are their
pure functions over towers and tensors, and the losses of the trained ones. No file is read here but one of compound
prompts, and nothing that PIAA learns is imported.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from piaa.baselines.base import Method, OnEmbeddings, Sight, Tensors
from piaa.baselines.methods.clip import CLIP
from piaa.baselines.methods.sparc import SPARC, Sparc
from piaa.baselines.methods.tagclip import TAGCLIP, TagClip
from piaa.baselines.methods.text_patches import TEXT_PATCHES
from piaa.baselines.tagclip import TagClipSettings
from piaa.errors import ClassifierError, InputError

__all__ = [
    "METHODS", "PIAA", "Method", "OnEmbeddings", "Sight", "Sparc", "TagClip", "Tensors", "get_method",
    "method_from_dict",
]  # fmt: skip

PIAA = "piaa"
"""The name of the method of this package, which is no entry of the table."""
METHODS: dict[str, Method] = {method.name: method for method in (CLIP, *TEXT_PATCHES, *TAGCLIP, *SPARC)}
"""By the name that `--method` takes; a new one is a file in `piaa.baselines.methods` and an entry here."""


def get_method(method: str | Method) -> Method | None:
    """A method by name, or the method itself; None for PIAA.

    Raises:
        InputError: for an unknown name, listing those that exist.
    """
    if isinstance(method, Method):
        return method
    if method == PIAA:
        return None
    if method not in METHODS:
        raise InputError(f"no method is called {method!r}; choose one of: {', '.join([PIAA, *METHODS])}")
    return METHODS[method]


def method_from_dict(values: dict[str, Any]) -> Method:
    """The inverse of `Method.plain`.

    Raises:
        ClassifierError: for a method that is not here.
    """
    name = values.get("name")
    if name not in METHODS:
        raise ClassifierError(
            f"it was made by the method {name!r}, which this piaa does not have; it has: {', '.join(METHODS)}"
        )
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    if "settings" in given:
        given["settings"] = TagClipSettings(**given["settings"])
    return replace(METHODS[name], **given)
