"""The bank of PVCL (eq. 6): for each class, the patches of least entropy met so far.

The bank streams. Its memory is at most `classes * size` patches however many come, and it depends on the set of
patches alone: any order, any split into batches and any tree of merges give the same bank, bit for bit. Patches of
equal entropy are ordered by where they came from and then by their content, never by when they came.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from piaa.method import pvcl

SORT_COLUMNS = 64  # of the patches, moved at a time when the bank is sorted in place
UNKNOWN = -1  # provenance of a patch that came without one


class _Entries(NamedTuple):
    """Columns of equal length n: what is known of n patches beside their embeddings."""

    classes: Tensor  # n, int64
    entropy: Tensor  # n, float32, nats
    confidence: Tensor  # n, float32: the text probability of the patch's class
    provenance: Tensor  # n x 2, int64: image, patch
    key: Tensor  # n, int64: hash of the embedding

    def at(self, index: Tensor | slice) -> _Entries:
        return _Entries(*(column[index] for column in self))

    def to(self, device: torch.device) -> _Entries:
        return _Entries(*(column.to(device) for column in self))


class Bank:
    """Per class, the `size` patches of least entropy (eq. 6), with the confidence that stage I weighs them by.

    Args:
        classes: number of classes C, at least 1.
        size: K, the most patches that a class keeps, at least 1.
        dim: width d of a patch embedding.
        dtype: how patches are stored; float16 halves the memory.
        device: where they are stored; batches may come from another device, only what is kept is moved.

    Attributes:
        seen: patches offered so far, over all batches and merged banks.
        rejected: of these, how many had a value that is not finite; they are left out.
    """

    def __init__(
        self,
        classes: int,
        size: int,
        dim: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if min(classes, size, dim) < 1:
            raise ValueError(f"a bank needs classes, size and dim of at least 1, got {classes}, {size}, {dim}")
        self.classes, self.size, self.dim = classes, size, dim
        self.seen = self.rejected = 0
        self._count = 0  # filled rows of the pool below; a row is overwritten once its patch is outdone
        self._entries = _blank(0, torch.device(device))
        self._patches = torch.zeros(0, dim, dtype=dtype, device=device)
        self._sizes = torch.zeros(classes, dtype=torch.int64, device=device)
        self._worst = torch.full((classes,), torch.inf, device=device)  # greatest entropy that may still enter

    @property
    def device(self) -> torch.device:
        """Where the patches are stored."""
        return self._worst.device

    @property
    def dtype(self) -> torch.dtype:
        """How patches are stored."""
        return self._patches.dtype

    @property
    def sizes(self) -> Tensor:
        """Number of patches of each class: C, int64, each in 0..size."""
        return self._sizes.clone()

    def update(self, patches: Tensor, probabilities: Tensor, provenance: Tensor | None = None) -> None:
        """Offer patches, each to its class of greatest probability (eq. 5, 6).

        Args:
            patches: n x d, unit length.
            probabilities: n x C, each row a distribution p(c|x).
            provenance: n x 2 int64, (image, patch); carried along and used to order patches of equal entropy.

        Raises:
            ValueError: shapes that do not agree with each other or with the bank.
        """
        n = len(patches)
        if patches.shape != (n, self.dim) or probabilities.shape != (n, self.classes):
            raise ValueError(
                f"this bank takes patches n x {self.dim} and probabilities n x {self.classes}, "
                f"got {tuple(patches.shape)} and {tuple(probabilities.shape)}"
            )
        if provenance is not None and provenance.shape != (n, 2):
            raise ValueError(f"provenance must be {n} x 2 (image, patch), got {tuple(provenance.shape)}")
        if n == 0:
            return
        confidence, classes = probabilities.max(dim=1)
        self.offer(patches, classes, pvcl.entropy(probabilities), confidence, provenance)

    def offer(
        self, patches: Tensor, classes: Tensor, entropy: Tensor, confidence: Tensor, provenance: Tensor | None = None
    ) -> None:
        """Offer patches to classes that the caller has chosen; the same patch may be offered to several.

        Args:
            patches: n x d, unit length.
            classes: n int64, the class each is offered to.
            entropy: n, not negative; a class keeps the least.
            confidence: n, carried along: the patch's weight in stage I.
            provenance: n x 2 int64, as in `update`.
        """
        finite = torch.isfinite(entropy) & torch.isfinite(patches.sum(dim=1))
        self.seen += len(patches)
        self.rejected += int((~finite).sum())
        enters = finite & (entropy <= self._worst.to(entropy.device)[classes])
        index = enters.nonzero().squeeze(1)
        if provenance is None:
            origin = torch.full((len(index), 2), UNKNOWN, dtype=torch.int64, device=self.device)
        else:
            origin = provenance.to(index.device)[index].to(self.device, torch.int64)
        kept = patches[index].to(self.device, self.dtype)
        columns = [column[index].to(self.device) for column in (classes, entropy, confidence.float())]
        self._insert(_Entries._make([*columns, origin, _content_key(kept)]), kept)

    def merge(self, other: Bank) -> None:
        """Take over what another bank of the same shape holds; the other is left as it is."""
        mine, theirs = (self.classes, self.size, self.dim), (other.classes, other.size, other.dim)
        if mine != theirs:
            raise ValueError(f"banks of different (classes, size, dim) cannot merge: {mine} and {theirs}")
        self.seen += other.seen
        self.rejected += other.rejected
        filled = slice(other._count)
        self._insert(*_adopt(other._entries.at(filled), other._patches[filled], self))

    def contents(self) -> dict[str, Tensor]:
        """The rows, sorted by class and then best first, so that equal banks give equal tensors.

        Returns:
            `classes` n (int64), `entropy` n (nats), `confidence` n (0..1), `provenance` n x 2 (int64), `patches` n x d.
        """
        order = _ranked(self._entries.at(slice(self._count)))
        columns = self._entries.at(order)._asdict()
        del columns["key"]
        return {**columns, "patches": self._patches[order]}

    def shrunk(self, size: int) -> Bank:
        """The bank that the same patches would have left with a smaller K: the best `size` of each class."""
        smaller = Bank(self.classes, min(size, self.size), self.dim, dtype=self.dtype, device=self.device)
        filled = slice(self._count)
        smaller._insert(self._entries.at(filled), self._patches[filled])
        smaller.seen, smaller.rejected = self.seen, self.rejected
        return smaller

    def rows(self) -> dict[str, Tensor]:
        """The same as `contents`, without a copy: the bank sorts itself and shows its own memory.

        What it gives is valid until the next `update` or `merge`, and not to be written to.
        """
        filled = slice(self._count)
        order = _ranked(self._entries.at(filled))
        for column in self._entries:
            column[filled] = column[order]
        for first in range(0, self.dim, SORT_COLUMNS):  # bounds the copy
            columns = slice(first, first + SORT_COLUMNS)
            self._patches[filled, columns] = self._patches[:, columns][order]
        shown = self._entries.at(filled)._asdict()
        del shown["key"]
        return {**shown, "patches": self._patches[filled]}

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors for safetensors, each a copy: `contents` and `shape` (classes, size, dim, seen, rejected)."""
        shape = torch.tensor([self.classes, self.size, self.dim, self.seen, self.rejected])
        return {"shape": shape, **{name: column.contiguous() for name, column in self.contents().items()}}

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor], device: torch.device | str = "cpu") -> Bank:
        """The bank that `state_dict` described.

        Raises:
            ValueError: a tensor is missing, or its shape or values do not fit the rest.
        """
        missing = {"shape", "classes", "entropy", "confidence", "provenance", "patches"} - state.keys()
        if missing:
            raise ValueError(f"a bank's state lacks {', '.join(sorted(missing))}")
        classes, size, dim, seen, rejected = (int(value) for value in state["shape"])
        bank = cls(classes, size, dim, dtype=state["patches"].dtype, device=device)
        columns = [state[name] for name in ("classes", "entropy", "confidence", "provenance")]
        entries = _Entries._make([*columns, _content_key(state["patches"])])
        n = len(state["patches"])
        if any(len(column) != n for column in entries) or state["patches"].shape != (n, dim):
            raise ValueError("a bank's state has columns of different lengths or a wrong width")
        if n and not 0 <= int(entries.classes.min()) <= int(entries.classes.max()) < classes:
            raise ValueError(f"a bank's state names a class outside 0..{classes - 1}")
        bank._insert(*_adopt(entries, state["patches"], bank))
        bank.seen, bank.rejected = seen, rejected
        return bank

    def _insert(self, new: _Entries, patches: Tensor) -> None:
        """Rank the new patches among those of their classes and keep the best `size` of each."""
        if not len(patches):
            return
        touched = torch.zeros(self.classes, dtype=torch.bool, device=self.device)
        touched[new.classes] = True
        old_index = touched[self._entries.classes[: self._count]].nonzero().squeeze(1)
        old = len(old_index)
        both = _Entries(*(torch.cat(p) for p in zip(self._entries.at(old_index), new, strict=True)))
        order = _ranked(both)
        classes = both.classes[order]
        counts = torch.bincount(classes, minlength=self.classes)
        rank = torch.arange(len(order), device=self.device) - (counts.cumsum(0) - counts)[classes]
        stays = rank < self.size
        kept, gone = order[stays], order[~stays]
        entering = kept[kept >= old] - old
        self._write(old_index[gone[gone < old]], new.at(entering), patches[entering])
        self._sizes = torch.where(touched, counts.clamp(max=self.size), self._sizes)
        last = rank == self.size - 1
        self._worst[classes[last]] = both.entropy[order[last]]

    def _write(self, freed: Tensor, entries: _Entries, patches: Tensor) -> None:
        """Put patches into the places that became free, and the rest behind the filled ones."""
        extra = len(patches) - len(freed)
        self._reserve(self._count + extra)
        places = torch.cat([freed, torch.arange(self._count, self._count + extra, device=self.device)])
        for column, values in zip(self._entries, entries, strict=True):
            column[places] = values
        self._patches[places] = patches
        self._count += extra

    def _reserve(self, needed: int) -> None:
        capacity = len(self._patches)
        if needed <= capacity:
            return
        filled = slice(self._count)
        grown = min(max(needed, capacity + capacity // 2, 1024), self.classes * self.size)
        entries = _blank(grown, self.device)
        for column, values in zip(entries, self._entries, strict=True):
            column[filled] = values[filled]
        patches = self._patches.new_zeros(grown, self.dim)
        patches[filled] = self._patches[filled]
        self._entries, self._patches = entries, patches


def _blank(n: int, device: torch.device) -> _Entries:
    whole = torch.zeros(n, dtype=torch.int64, device=device)
    real = torch.zeros(n, device=device)
    return _Entries(whole, real, real.clone(), whole.new_zeros(n, 2), whole.clone())


def _adopt(entries: _Entries, patches: Tensor, bank: Bank) -> tuple[_Entries, Tensor]:
    """Entries and patches as this bank stores them."""
    stored = patches.to(bank.device, bank.dtype)
    moved = entries.to(bank.device)
    return (moved if stored.dtype == patches.dtype else moved._replace(key=_content_key(stored))), stored


def _ranked(rows: _Entries) -> Tensor:
    """Indices that sort by class, entropy, provenance and content: a total order up to exact copies."""
    # entropy is not negative, and the bits of such floats order as the floats do
    entropy_bits = (rows.entropy + 0.0).view(torch.int32).to(torch.int64)
    packed, order = ((rows.classes << 32) | entropy_bits).sort()
    equal = packed[1:] == packed[:-1]
    if bool(equal.any()):
        tied = torch.zeros(len(packed), dtype=torch.bool, device=packed.device)
        tied[1:] |= equal
        tied[:-1] |= equal
        tie = order[tied]
        for column in (rows.key, rows.provenance[:, 1], rows.provenance[:, 0]):
            tie = tie[column[tie].sort(stable=True).indices]
        again = (rows.classes[tie] << 32) | entropy_bits[tie]
        order[tied] = tie[again.sort(stable=True).indices]
    return order


def _content_key(patches: Tensor) -> Tensor:
    """A 64-bit hash of each row's bits (multilinear over fixed odd multipliers, wrapping)."""
    n, dim = patches.shape
    words = patches.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[patches.element_size()])
    multipliers = torch.arange(1, dim + 1, dtype=torch.int64, device=patches.device) * -7046029254386353131
    multipliers = (multipliers ^ (multipliers >> 29)) * -4658895280553007687 | 1
    key = torch.zeros(n, dtype=torch.int64, device=patches.device)
    for start in range(0, n, 4096):  # bounds the int64 copy, not a loop over patches
        key[start : start + 4096] = (words[start : start + 4096].to(torch.int64) * multipliers).sum(dim=1)
    return key
