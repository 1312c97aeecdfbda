"""piaa: multi-label image recognition that needs no training and no labels."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from piaa.version import __version__

if TYPE_CHECKING:
    from piaa.recognizer import Recognizer

logging.getLogger("piaa").addHandler(logging.NullHandler())  # a program decides what is shown

__all__ = ["Recognizer", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Recognizer":  # imported when asked for, so that the command line starts at once
        from piaa.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module 'piaa' has no attribute {name!r}")
