"""Engines: what runs the one-pass encoder. PyTorch itself, `torch.compile`, or an inference engine made for CPUs.

All have the face of `piaa.encoder.Encoder`: images `N x 3 x H x W` to `Encoded`. `piaa.runtimes.build` makes one.
"""

from __future__ import annotations

from piaa.runtimes.names import ENGINES, Engine, parse_engine

__all__ = ["ENGINES", "Engine", "parse_engine"]
