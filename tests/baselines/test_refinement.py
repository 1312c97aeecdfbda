"""TagCLIP's second stage: all classes in one product are what one class after the other is."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from piaa.baselines.tagclip import refine, refine_one_by_one


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 5), st.booleans())
def test_together_and_one_by_one_agree(seed: int, rows: int, columns: int, dull: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    patches = rows * columns
    coarse = torch.rand(2, patches, 4, generator=generator).softmax(dim=-1)
    affinity = torch.rand(2, patches, patches, generator=generator) * (
        torch.rand(2, patches, patches, generator=generator) > 0.5
    )
    if dull:
        coarse[1, :, 2] = 0.0  # a class without any score keeps what it has
    propagated = affinity @ coarse
    together = refine(coarse, propagated, affinity, (rows, columns))
    single = refine_one_by_one(coarse, propagated, affinity, (rows, columns))
    torch.testing.assert_close(together, single, atol=1e-6, rtol=1e-5)
    assert (together <= propagated + 1e-6).all()  # boxes take away, they add nothing
