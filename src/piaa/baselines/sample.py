"""Rows of a fixed number of images, evenly spread over the run: the same ones whatever the order of the batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MOST_IMAGES = 20_000
MOST_BYTES = 256 * 2**20
GOLDEN = -7046029254386353131
"""2^64 over the golden ratio: its multiples, modulo 2^64, are spread evenly over all 64-bit numbers."""


class RowSample:
    """What a fit of a method remembers.

    Attributes:
        images: seen so far.
        key: keys of those that are kept, ascending.
        rows: their rows, `n x K` float32.
    """

    def __init__(self) -> None:
        self.images = 0
        self.key = torch.zeros(0, dtype=torch.int64)
        self.rows = torch.zeros(0, 0)

    def update(self, rows: Tensor, indices: Sequence[int]) -> None:
        """Take in rows `N x K` of the images with these numbers in the whole run."""
        self.images += len(rows)
        kept = self.rows if self.rows.numel() else rows.new_zeros(0, rows.shape[1])
        keys = torch.cat([self.key, torch.as_tensor(list(indices), dtype=torch.int64) * GOLDEN])
        most = max(2, min(MOST_IMAGES, MOST_BYTES // (4 * max(1, rows.shape[1]))))
        order = torch.argsort(keys, stable=True)[:most]
        self.key, self.rows = keys[order], torch.cat([kept, rows.float()])[order]

    def state_dict(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"images": torch.tensor(self.images), "key": self.key.clone(), "rows": self.rows.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Become what `state_dict` described.

        Raises:
            ValueError: when the parts do not fit each other.
        """
        if not {"images", "key", "rows"} <= state.keys() or len(state["key"]) != len(state["rows"]):
            raise ValueError("the state is none of a sample of rows")
        self.images, self.key, self.rows = int(state["images"]), state["key"].clone(), state["rows"].clone()
