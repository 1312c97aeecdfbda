"""Steps of a block with fewer passes over memory: a sum made by the product beside it, an activation in place.

The values are those of the library's modules up to rounding. What a CPU saves by it: `benchmarks/steps.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch.nn import functional as F

QUICK = 1.702
"""The constant of QuickGELU, x sigmoid(1.702 x)."""


def add_linear(residual: Tensor, layer: nn.Linear, inputs: Tensor, scale: float = 1.0) -> Tensor:
    """`residual + bias + scale * inputs W'`, in memory of its own.

    Args:
        residual: `... x D`.
        layer: from E to D, with a bias or without.
        inputs: `... x E`.
        scale: a factor of the product.
    """
    rows = (residual.clone() if layer.bias is None else residual + layer.bias).flatten(0, -2)
    rows.addmm_(inputs.flatten(0, -2), layer.weight.T, alpha=scale)
    return rows.view(residual.shape)


def add_mlp(residual: Tensor, first: nn.Linear, activation: nn.Module, second: nn.Linear, inputs: Tensor) -> Tensor:
    """`residual + second(activation(first(inputs)))`.

    Args:
        residual: `... x D`.
        first: from D to the hidden width.
        activation: QuickGELU (OpenAI's weights) and GELU are made in place.
        second: from the hidden width to D.
        inputs: `... x D`.
    """
    if isinstance(activation, QuickGELU):  # silu(1.702 x) / 1.702: both factors belong to the products
        rows = inputs.flatten(0, -2)
        hidden = F.silu(torch.addmm(first.bias, rows, first.weight.T, alpha=QUICK, beta=QUICK), inplace=True)
        return add_linear(residual, second, hidden.view(*inputs.shape[:-1], -1), 1 / QUICK)
    return add_linear(residual, second, _activated(activation, first(inputs)))


def _activated(activation: Any, hidden: Tensor) -> Tensor:
    if isinstance(activation, nn.GELU):
        in_place: Tensor = torch.ops.aten.gelu_(hidden, approximate=activation.approximate)
        return in_place
    activated: Tensor = activation(hidden)
    return activated
