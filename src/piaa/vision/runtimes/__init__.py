"""Engines: what runs the one-pass encoder. PyTorch itself, `torch.compile`, or an inference engine made for CPUs.

All have the face of `piaa.vision.encoder.Encoder`: images `N x 3 x H x W` to `Encoded`. `piaa.vision.runtimes.build`
makes one.
"""

from __future__ import annotations

from piaa.vision.runtimes.names import ENGINES, Engine, parse_engine

__all__ = ["ENGINES", "Engine", "parse_engine"]
