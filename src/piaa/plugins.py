"""A researcher's own file: run once, so that what it registers is there for the command."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from piaa.errors import InputError


def load_file(path: str | os.PathLike[str]) -> ModuleType:
    """Run a Python file, for what it registers (`@register_metric("name")`); a file that was loaded is not run again.

    Raises:
        InputError: no such file, not Python, or it fails, with its own error.
    """
    file = Path(path).resolve()
    name = f"piaa_loaded_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"{path}: cannot be loaded: not a Python file (.py) that is there")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
    return module
