"""The other systems of table 1 that learn from labels, or from a teacher's, trained side by side with PIAA.

Comes in: stored embeddings of images, a label regime, the name of a method. Goes out: a trained head and its scores.
A method is a TOML file in `methods` that combines a regime, a loss, a label update and schedules. True labels enter
through a regime alone; those of the test images are for measuring. The command line and the experiments must never be
imported here.
"""

from __future__ import annotations

from typing import Any

from piaa.training.spec import method_names

METHODS: tuple[str, ...] = method_names()
"""Every method by the name that `--method` takes."""


def evaluate_on_scenes(name: str, seed: int, **options: Any) -> dict[str, Any]:
    """Train a method on drawn scenes of a seed and measure it: see `piaa.training.on_scenes.evaluate_on_scenes`."""
    from piaa.training.on_scenes import evaluate_on_scenes as run

    return run(name, seed, **options)


__all__ = ["METHODS", "evaluate_on_scenes"]
