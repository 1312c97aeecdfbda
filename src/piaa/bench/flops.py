"""Floating-point operations of one call, counted by torch: matrix products, convolutions and attention alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def count_flops(call: Callable[[], object]) -> int:
    """A product of m x k and k x n counts 2 m k n. What works element by element (norms, softmax) is left out."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its one fused operation is not among those counted
    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # nor are these two
    mapping: dict[Any, Any] = {on_cpu: _attention, torch.ops.aten.addmm_: _added_product}
    try:
        with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return int(counter.get_total_flops())


def _attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Shapes `N x heads x T x h` to the operations of q k' and of its product with v."""
    batch, heads, rows, width = query
    return int(2 * batch * heads * rows * key[2] * (width + value[3]))


def _added_product(_: Any, one: Any, other: Any, *__: Any, out_shape: Any = None, **___: Any) -> int:
    """Shapes `m x k` and `k x n` of the factors."""
    return int(2 * one[0] * one[1] * other[1])
