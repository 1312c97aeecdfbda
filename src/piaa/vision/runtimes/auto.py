"""`--engine auto`: a short trial of what is installed, whose verdict is kept for this processor.

Only float32 engines take part, as no automatism may change an image's embeddings, and `compile` does not, as every
process would pay its compilation.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.errors import InputError, PiaaError
from piaa.files import write_json, writing
from piaa.vision.encoder import Encoded, Encoder
from piaa.vision.runtimes.cache import describe_graph, engines_dir, installed, name_of
from piaa.vision.runtimes.exported import ExportedEncoder
from piaa.vision.runtimes.names import EXPORTED, Engine
from piaa.vision.runtimes.processor import processor_name
from piaa.vision.runtimes.timing import in_turns, ratio

TRIAL_IMAGES = 4
TRIAL_REPEATS = 3
LEAST_GAIN = 1.05
"""What an engine must reach against eager, so that no noise decides."""
TOLERANCES = {"cls": 1e-3, "patches": 1e-2}
"""Largest relative difference from eager (Frobenius norms) of an engine that may be chosen."""

ImageEncoder = Callable[[Tensor], Encoded]


def choose_engine(encoder: Encoder, fingerprint: str, size: tuple[int, int], root: Path | None = None) -> Engine:
    """The fastest float32 engine here for this model, front-end and size, by an earlier verdict or a trial.

    Args:
        encoder: the encoder.
        fingerprint: of the model's weights.
        size: (height, width) in pixels.
        root: folder of graphs and verdicts; None is the user's cache.
    """
    candidates = [engine for engine in map(Engine, EXPORTED) if not engine.missing_packages]
    if encoder.tower.device.type != "cpu" or encoder.tower.dtype != torch.float32 or not candidates:
        return Engine("eager")
    root = root or engines_dir()
    about = {
        "graph": describe_graph(encoder, fingerprint, size),
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "versions": installed("torch", *EXPORTED),
    }
    verdict = root / f"verdict-{name_of(about)}.json"
    known = _read(verdict, candidates)
    if known is None:
        known, ratios = run_trial(encoder, candidates, fingerprint, size, root)
        _write(verdict, {"engine": known.name, "rate_to_eager": ratios, **about})
    return known


def run_trial(
    encoder: Encoder, candidates: list[Engine], fingerprint: str, size: tuple[int, int], root: Path
) -> tuple[Engine, dict[str, float]]:
    """Measure engines against eager in turns, on random images; one that fails or differs is left out, with a warning.

    Returns:
        The engine to use, and the median rate of each as a multiple of eager's.
    """
    images = torch.randn(TRIAL_IMAGES, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = encoder(images)
    usable: dict[str, ImageEncoder] = {}
    for engine in candidates:
        try:
            exported = ExportedEncoder(encoder, engine, fingerprint, root)
            fault = difference_from(expected, exported(images))
        except PiaaError as error:
            fault = str(error)
        if fault:
            warnings.warn(f"engine {engine} is left out: {fault}", stacklevel=2)
        else:
            usable[engine.name] = exported
    cases: dict[str, Callable[[], object]] = {"eager": lambda: encoder(images)}
    cases |= {name: (lambda run=run: run(images)) for name, run in usable.items()}  # type: ignore[misc]
    seconds = in_turns(cases, TRIAL_REPEATS)
    ratios = {name: ratio(seconds["eager"], values).median for name, values in seconds.items()}
    return Engine(best(ratios)), ratios


def best(ratios: dict[str, float]) -> str:
    """The name with the greatest rate, eager unless another is faster by `LEAST_GAIN`."""
    name = max(ratios, key=lambda key: ratios[key])
    return name if ratios[name] >= LEAST_GAIN else "eager"


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """Norm of the difference over the norm of `theirs`."""
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm().clamp_min(1e-30))


def difference_from(expected: Encoded, found: Encoded) -> str:
    """What lies beyond the tolerances, in words; empty when nothing does."""
    for name, limit in TOLERANCES.items():
        difference = relative_difference(getattr(found, name), getattr(expected, name))
        if not difference <= limit:
            return f"its {name} differ from eager's by {difference:.1e}, more than {limit:.0e}"
    return ""


def _read(path: Path, candidates: list[Engine]) -> Engine | None:
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["engine"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return next((engine for engine in (Engine("eager"), *candidates) if engine.name == name), None)


def _write(path: Path, verdict: dict[str, Any]) -> None:
    """Keep a verdict; where that is not possible the next process measures again."""
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, verdict)
    except InputError as error:
        warnings.warn(f"the measured choice of an engine cannot be kept: {error}", stacklevel=2)
