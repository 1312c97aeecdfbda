"""Devices and precisions, by the names that users write."""

from __future__ import annotations

import torch

from piaa.errors import ModelError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device meant by `auto` (cuda, else mps, else cpu), `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        ModelError: when torch does not know it, or this machine has none.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"no device is called {device!r}; choose auto, cpu, cuda, cuda:N or mps") from error
    missing = (
        (resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count())
        or (resolved.type == "mps" and not torch.backends.mps.is_available())
        or resolved.type not in ("cpu", "cuda", "mps")
    )
    if missing:
        raise ModelError(f"device {device} is not on this machine, or not supported; use --device auto or cpu")
    return resolved


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of the image tower: `fp32`, `bf16`, `fp16`, or `auto` (fp16 on cuda, else fp32).

    Raises:
        ModelError: for any other word.
    """
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    try:
        return PRECISIONS[precision]
    except KeyError:
        choices = ", ".join(("auto", *PRECISIONS))
        raise ModelError(f"no precision is called {precision!r}; choose one of: {choices}") from None
