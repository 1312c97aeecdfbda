"""A classifier file as the commands that use one load it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from piaa.cli.console import show_weights

if TYPE_CHECKING:
    from piaa.recognizer import Recognizer


def load_recognizer(classifier: Path, **options: Any) -> Recognizer:
    """`Recognizer.load`, and a note where the weights are random."""
    from piaa.recognizer import Recognizer

    recognizer = Recognizer.load(classifier, **options)
    show_weights(recognizer.scorer().setup.model)
    return recognizer
