"""Sums over all patches or all [CLS] embeddings, exact, so that they are the same whatever the order or the split.

Sums of floating point numbers depend on their order. Here each coordinate of a unit-length vector is rounded once to a
whole number of 2^-21; products of two of them are whole numbers of 2^-42, and sums of these are whole numbers too. A
float64 matrix product of up to `ROWS` vectors is exact, and the running sums are kept in 96 bits. The rounding is of
the size of float32's own: half of 2^-21 for a coordinate, and it averages out over the vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

BITS = 21
"""Of a coordinate behind the binary point."""
ROWS = 1024
"""Vectors at a time: sums of `ROWS` products of numbers up to 2^BITS stay below 2^53; 1.4 times 2^BITS will do too."""
LIMB = 32
"""Bits of the lower part of a running sum."""


class Moments:
    """Count, sum and second moment of unit-length vectors: O(d^2) memory however many.

    Vectors with a value that is not finite are left out and not counted.

    Attributes:
        count: vectors, float64.
    """

    def __init__(self, dim: int) -> None:
        self.count = torch.zeros((), dtype=torch.float64)
        self._total = torch.zeros(2, dim, dtype=torch.int64)
        self._second = torch.zeros(2, dim, dim, dtype=torch.int64)

    def update(self, vectors: Tensor) -> None:
        """Add n x d vectors of unit length.

        Raises:
            ValueError: a coordinate of more than 1.4, for which the sums would not be exact.
        """
        wide = vectors.to("cpu", torch.float64)
        finite = torch.isfinite(wide).all(dim=1)
        if not bool(finite.all()):
            wide = wide[finite]
        if wide.numel() and float(wide.abs().max()) > 1.4:
            raise ValueError("moments are of unit-length vectors; these have a coordinate of more than 1.4")
        self.count += len(wide)
        for rows in (wide * 2.0**BITS).round().split(ROWS):  # type: ignore[no-untyped-call]
            _add(self._total, rows.sum(dim=0).to(torch.int64))
            _add(self._second, (rows.T @ rows).to(torch.int64))

    def merge(self, other: Moments) -> None:
        """Add what another one has seen."""
        self.count += other.count
        for mine, theirs in ((self._total, other._total), (self._second, other._second)):
            mine.add_(theirs)
            _carry(mine)

    @property
    def total(self) -> Tensor:
        """Sum of the vectors: d, float64."""
        return _float(self._total, BITS)

    @property
    def second(self) -> Tensor:
        """Sum of their outer products: d x d, float64."""
        return _float(self._second, 2 * BITS)

    @property
    def mean(self) -> Tensor:
        """d, float64; 0 before any vector."""
        return self.total / self.count.clamp(min=1)

    @property
    def covariance(self) -> Tensor:
        """d x d, float64; 0 before any vector."""
        count = self.count.clamp(min=1)
        return self.second / count - torch.outer(self.total, self.total) / count**2

    def spread(self, weight: Tensor, bias: Tensor | None = None) -> float:
        """Standard deviation over classes, within one vector, of the logits W x + b; the mean square over all vectors.

        This is what a softmax feels: a shift common to all classes does not count.
        """
        if float(self.count) == 0:
            return 0.0
        w = weight.to("cpu", torch.float64)
        w = w - w.mean(dim=0)
        b = torch.zeros(len(w), dtype=torch.float64) if bias is None else bias.to("cpu", torch.float64)
        b = b - b.mean()
        square = torch.einsum("cd,de,ce->c", w, self.second / self.count, w)
        square = square + 2 * b * (w @ (self.total / self.count)) + b**2
        return float(square.mean().clamp(min=0).sqrt())

    def state_dict(self) -> dict[str, Tensor]:
        """`count`, `total` (2 x d) and `second` (2 x d x d): the lower `LIMB` bits of each sum, then the rest."""
        return {"count": self.count.clone(), "total": self._total.clone(), "second": self._second.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Become what `state_dict` described.

        Raises:
            ValueError: when it is of another shape or type.
        """
        for name, mine in self.state_dict().items():
            if state[name].shape != mine.shape or state[name].dtype != mine.dtype:
                raise ValueError(f"the state's {name} is {state[name].dtype} {tuple(state[name].shape)}")
        self.count, self._total = state["count"].clone(), state["total"].clone()
        self._second = state["second"].clone()


def _add(limbs: Tensor, values: Tensor) -> None:
    limbs[0] += values & (2**LIMB - 1)
    limbs[1] += values >> LIMB
    _carry(limbs)


def _carry(limbs: Tensor) -> None:
    """The one way to write each sum: a lower part of 0 up to 2^LIMB."""
    limbs[1] += limbs[0] >> LIMB
    limbs[0] &= 2**LIMB - 1


def _float(limbs: Tensor, bits: int) -> Tensor:
    return (limbs[1].double() * 2.0**LIMB + limbs[0].double()) * 2.0**-bits
