"""The errors piaa raises on purpose; everything else that escapes is a defect.

Each message names what was wrong, where, and what to do; a command line shows it alone, without a traceback.
"""

from __future__ import annotations


class PiaaError(Exception):
    """Base of every error that piaa raises on purpose; `except PiaaError` catches all of them."""


class ImageError(PiaaError):
    """One image cannot be read.

    Args:
        path: the file, or a name for an image that has no file (`<image 3>`).
        reason: why, in plain words, without the path.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(str(path), reason)  # both in args, so that the error survives pickling
        self.path = str(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class LabelError(PiaaError):
    """A label file, a class name or a truth file is not usable; the message names file and line."""


class ModelError(PiaaError):
    """A model cannot be found, loaded, or used with the front-end that was asked for."""


class ClassifierError(PiaaError):
    """A classifier file is not usable: damaged, foreign, of a newer version, or made for another model."""


class InputError(PiaaError):
    """What the user asked for cannot be done: no such folder, nothing in it, an output not writable."""


class InterruptedRun(PiaaError):
    """A run was asked to stop and did, with what was finished kept; the message says how to go on.

    Args:
        signal: number of the signal that asked for it.
        message: what is kept, and how to go on.
    """

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(signal, message)
        self.signal = signal

    def __str__(self) -> str:
        return str(self.args[1])
