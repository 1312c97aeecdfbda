"""Every model in a process of its own: the table of docs/models.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

MODELS = (
    "ViT-B-16",
    "ViT-L-14",
    "EVA02-B-16",
    "EVA02-L-14",
    "ViT-B-32",
    "ViT-B-16-SigLIP",
    "MobileCLIP-B",
    "embedded",
)
"""The paper's four backbones, then the usual ones, then the one in the package."""


def measure_models(
    names: Sequence[str] = MODELS,
    *,
    pretrained: str | None = None,
    front_ends: Sequence[str],
    batch_size: int,
    repeats: int,
    threads: int,
    device: str = "cpu",
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Measure models one after the other.

    Args:
        names: as for `--model`.
        pretrained: weights for all of them; None is random weights of the true architecture.
        front_ends: their names.
        batch_size: images that go through a model together, and images a repetition.
        repeats: repetitions that count.
        threads: of torch, at least 1.
        device: `cpu` or `cuda`.
        progress: told of models done and models in all.

    Returns:
        `models`: a dictionary a model (see `measure_model`), or its `name` and `error`; and the settings.
    """
    rows = []
    for done, name in enumerate(names, start=1):
        rows.append(
            _in_own_process({
                "name": name, "pretrained": pretrained, "front_ends": list(front_ends), "batch_size": batch_size,
                "repeats": repeats, "threads": threads, "device": device,
            })
        )  # fmt: skip
        if progress:
            progress(done, len(names))
    settings = {"front_ends": list(front_ends), "batch_size": batch_size, "repeats": repeats, "threads": threads}
    machine: dict[str, Any] = next((row.pop("machine") for row in rows if "machine" in row), {})
    for row in rows:
        row.pop("machine", None)
    return {"settings": settings, "machine": machine, "models": rows}


def _in_own_process(arguments: dict[str, Any]) -> dict[str, Any]:
    threads = str(arguments["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, "-m", "piaa.bench.one_model", json.dumps(arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else "it may have been out of memory"
        return {"name": arguments["name"], "error": f"the process ended with code {done.returncode}: {reason}"}
    result: dict[str, Any] = json.loads(lines[-1])
    return result
