"""The same targets with Atheris, which keeps the cases that reach new lines. `pip install atheris`; Linux alone."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from piaa.errors import PiaaError

from .harness import SECONDS, Target


def guided(target: Target, seconds: float, seed: int) -> int:
    """Let Atheris run until the time is over or something is found; it ends the process itself."""
    import atheris

    root = Path(tempfile.mkdtemp(prefix="piaa-fuzz-"))
    folder, corpus = root / "tree", root / "corpus"
    folder.mkdir()
    corpus.mkdir()
    seeds = target.seeds(folder)
    suffixes = sorted({each.suffix for each in seeds})
    for number, each in enumerate(seeds):  # the first byte of a case chooses the ending
        (corpus / str(number)).write_bytes(bytes([suffixes.index(each.suffix)]) + each.data)

    @atheris.instrument_func  # type: ignore[untyped-decorator]
    def one(data: bytes) -> None:
        if data:
            with contextlib.suppress(PiaaError):
                target.read(data[1:], suffixes[data[0] % len(suffixes)], folder)

    options = [f"-max_total_time={int(seconds)}", f"-timeout={SECONDS}", "-rss_limit_mb=4096", f"-seed={seed + 1}"]
    for name in [name for name in sys.modules if name.startswith("piaa.")]:
        _instrument(atheris, name)
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={root}/", str(corpus)], one)
    atheris.Fuzz()
    return 0


def _instrument(atheris: object, name: str) -> None:
    """Count the lines of every function of a module."""
    module = sys.modules[name]
    for key, value in list(vars(module).items()):
        if getattr(value, "__module__", None) == name and type(value).__name__ == "function":
            setattr(module, key, atheris.instrument_func(value))  # type: ignore[attr-defined]
