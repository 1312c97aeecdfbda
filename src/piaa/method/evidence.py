"""All that fitting remembers of the unlabelled images, in bounded memory, mergeable in any order.

- `Bank`: the patches of least entropy per class, for PVCL (eq. 6).
- `Moments`: exact sums of the patches and of the [CLS] embeddings, which give the spread of any linear logits.
- `Sample`: a fixed number of whole images, chosen by a hash of their index, for what needs whole images (thresholds).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.method import gaussian, paa, pvcl
from piaa.method.aggregators import Aggregator, get_aggregator
from piaa.method.bank import Bank
from piaa.method.moments import Moments
from piaa.method.recipes import Recipe, Scales

BANK_BYTES = 2**30  # a bank that could grow beyond this in float32 is kept in float16
SAMPLE_BYTES = 256 * 2**20  # of patches in float16


class Sample:
    """The `size` images of smallest hash among those met: the same ones whatever the order or the split.

    An image that no longer belongs is overwritten where it lies, so that a batch costs what it brings and no more.

    Args:
        size: images to keep at most.

    Attributes:
        key: hashes, ascending, and `image`: the index of each.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.key = torch.zeros(0, dtype=torch.int64)
        self.image = torch.zeros(0, dtype=torch.int64)
        self._place = torch.zeros(0, dtype=torch.int64)  # in the two below, of each image in the order of the keys
        self._cls: Tensor | None = None
        self._patches: Tensor | None = None

    @property
    def cls(self) -> Tensor | None:
        """[CLS] embeddings in the order of the keys, n x d float16; None before the first image. A copy."""
        return None if self._cls is None else self._cls[self._place]

    @property
    def patches(self) -> Tensor | None:
        """Patches likewise, n x M x d float16. A copy."""
        return None if self._patches is None else self._patches[self._place]

    def update(self, cls: Tensor, patches: Tensor, images: Tensor) -> None:
        """Offer images by their index: N x d, N x M x d and N."""
        if self._cls is None:  # the first batch says how large an image is
            self.reserve(cls.shape[1:], patches.shape[1:])
        key = _hash(images)
        if len(self.key) >= self.size:
            small = key <= self.key[-1]
            if not bool(small.any()):
                return
            cls, patches, images, key = cls[small], patches[small], images[small], key[small]
        self.keep(key, images.to(torch.int64), cls, patches)

    def merge(self, other: Sample) -> None:
        """Take over the other's images where they come first."""
        cls, patches = other.cls, other.patches
        if cls is not None and patches is not None:
            self.size = min(self.size, other.size)
            self.keep(other.key, other.image, cls, patches)

    def reserve(self, cls: torch.Size, patches: torch.Size) -> None:
        """Take all memory at once and none later: for embeddings of these shapes an image, within `SAMPLE_BYTES`."""
        self.size = max(1, min(self.size, SAMPLE_BYTES // (2 * patches.numel())))
        self._cls = torch.empty(self.size, *cls, dtype=torch.float16).zero_()
        self._patches = torch.empty(self.size, *patches, dtype=torch.float16).zero_()

    def keep(self, key: Tensor, image: Tensor, cls: Tensor, patches: Tensor) -> None:
        """Put images with known hashes among those here."""
        if self._cls is None or self._patches is None:
            self.reserve(cls.shape[1:], patches.shape[1:])
        assert self._cls is not None
        assert self._patches is not None
        old = len(self.key)
        both, images = torch.cat([self.key, key]), torch.cat([self.image, image])
        order = torch.argsort(both, stable=True)[: self.size]
        entering = order[order >= old]
        free = torch.ones(len(self._cls), dtype=torch.bool)
        free[self._place[order[order < old]]] = False
        places = torch.cat([self._place, torch.full_like(key, -1)])
        places[entering] = free.nonzero().squeeze(1)[: len(entering)]
        self._cls[places[entering]] = cls[entering - old].to("cpu", torch.float16)
        self._patches[places[entering]] = patches[entering - old].to("cpu", torch.float16)
        self.key, self.image, self._place = both[order], images[order], places[order]


def _hash(images: Tensor) -> Tensor:
    """A well-mixed int64 of each index (splitmix64, wrapping)."""
    x = images.to("cpu", torch.int64) * -7046029254386353131 + 0x1234567
    x = (x ^ (x >> 30)) * -4658895280553007687
    x = (x ^ (x >> 27)) * -7723592293110705685
    return x ^ (x >> 31)


class Evidence:
    """What one pass over unlabelled images leaves behind.

    Args:
        classes: C.
        dim: d.
        bank_size: K.
        sample_images: whole images kept at most (fewer where they would take more than 256 MiB).
    """

    def __init__(self, classes: int, dim: int, bank_size: int = 512, sample_images: int = 2000) -> None:
        large = 4 * classes * bank_size * dim > BANK_BYTES
        self.bank = Bank(classes, bank_size, dim, dtype=torch.float16 if large else torch.float32)
        self.patch_moments, self.cls_moments = Moments(dim), Moments(dim)
        self.sample = Sample(sample_images)

    def update(self, cls: Tensor, patches: Tensor, images: Tensor, prototypes: Tensor, text_scale: float) -> None:
        """Take in a batch.

        Args:
            cls: N x d, raw.
            patches: N x M x d, raw.
            images: N int64, the index of each image in the whole run; it decides ties and the sample.
            prototypes: C x d, unit length.
            text_scale: s_text of stage I.
        """
        number, tokens, dim = patches.shape
        unit = F.normalize(patches.float(), dim=-1).reshape(-1, dim)
        places = torch.stack([images.repeat_interleave(tokens), torch.arange(tokens).repeat(number)], dim=1)
        # rows by pieces, so that a large vocabulary does not make an N M x C tensor
        for rows in gaussian.row_chunks(len(unit), len(prototypes)):
            probabilities = pvcl.text_probabilities(unit[rows], prototypes, text_scale)
            self.bank.update(unit[rows], probabilities, places[rows])
        self.patch_moments.update(unit)
        self.cls_moments.update(F.normalize(cls.float(), dim=-1))
        self.sample.update(cls, patches, images)

    def merge(self, other: Evidence) -> None:
        """Take over what another one has seen; the result does not depend on the order of merging."""
        self.bank.merge(other.bank)
        self.patch_moments.merge(other.patch_moments)
        self.cls_moments.merge(other.cls_moments)
        self.sample.merge(other.sample)

    @property
    def images(self) -> int:
        """Images seen."""
        return int(self.cls_moments.count)

    def learn(self, prototypes: Tensor, recipe: Recipe) -> pvcl.PVCLResult:
        """Stages I to III of algorithm 1 on the bank, as far as the recipe's share of it goes."""
        rows = self.bank.rows()
        best = best_of_each(rows["classes"], recipe.bank_limit(self.bank.seen, self.bank.classes))
        columns = (rows["patches"], rows["classes"], rows["confidence"])
        if len(best) < len(rows["classes"]):
            columns = (columns[0][best], columns[1][best], columns[2][best])
        purifier = pvcl.PURIFIERS[recipe.purifier]
        background = None
        if recipe.background:
            moments = self.patch_moments
            known = (moments.mean, moments.covariance)
            background = gaussian.Background(*known, recipe.background, recipe.background_spread)
        result = pvcl.learn_classifier(*columns, prototypes, purifier, recipe.purify_scale, background)
        return replace(result, kept=best[result.kept])

    def scales(
        self, weight: Tensor, bias: Tensor, prototypes: Tensor, recipe: Recipe, curvature: Tensor | None = None
    ) -> Scales:
        """The scales of inference by the recipe's rule, from the spreads on the unlabelled images.

        Args:
            weight: C x d, with bias C: the classifier over patches; a row more is a background's, which is
                no class and no part of a spread.
            bias: C.
            prototypes: C x d, unit length, for the [CLS] scores.
            recipe: has the rule.
            curvature: d x d, of the background; see `piaa.method.gaussian.Discriminants`.
        """
        logit_spread = self.patch_moments.spread(weight[: len(prototypes)], bias[: len(prototypes)])
        inference = recipe.scales.inference_scale(logit_spread)
        aggregate = get_aggregator(recipe.aggregator)
        pooled_spread = self._pooled_spread((weight, bias, inference), aggregate, len(prototypes), curvature)
        return recipe.scales.resolve(logit_spread, pooled_spread, self.cls_moments.spread(prototypes))

    def _pooled_spread(
        self, scaled: tuple[Tensor, Tensor, float], aggregate: Aggregator, classes: int, curvature: Tensor | None
    ) -> float:
        """Spread over classes of the pooled probabilities of eq. 12, on the sampled images."""
        patches = self.sample.patches
        if patches is None or classes < 2:
            return 0.0
        pooled = paa.pooled_probabilities(patches, *scaled, aggregate, classes, curvature).double()
        return float(pooled.var(dim=1, correction=0).mean().sqrt())

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors for safetensors, each a copy, made once; `load_state_dict` continues from them."""
        state = {f"bank.{name}": tensor for name, tensor in self.bank.state_dict().items()}  # copies already
        for name, moments in (("patch", self.patch_moments), ("cls", self.cls_moments)):
            state |= {f"{name}.{part}": tensor for part, tensor in moments.state_dict().items()}
        sample = self.sample
        state["sample.size"] = torch.tensor(sample.size)
        state |= {"sample.key": sample.key.clone(), "sample.image": sample.image.clone()}
        cls, patches = sample.cls, sample.patches  # copies likewise
        if cls is not None and patches is not None:
            state |= {"sample.cls": cls, "sample.patches": patches}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Become what `state_dict` described.

        Raises:
            ValueError: when it does not fit this bank's shape.
        """
        bank = Bank.from_state_dict({k[5:]: v for k, v in state.items() if k.startswith("bank.")})
        mine, theirs = ((b.classes, b.size, b.dim) for b in (self.bank, bank))
        if mine != theirs:
            raise ValueError(f"the state is of a bank of (classes, size, dim) {theirs}, this one is {mine}")
        self.bank = bank
        for name, moments in (("patch", self.patch_moments), ("cls", self.cls_moments)):
            moments.load_state_dict({part: state[f"{name}.{part}"] for part in ("count", "total", "second")})
        self.sample = Sample(int(state["sample.size"]))
        if "sample.patches" in state:
            self.sample.keep(state["sample.key"], state["sample.image"], state["sample.cls"], state["sample.patches"])


def best_of_each(classes: Tensor, limit: int) -> Tensor:
    """Rows of the first `limit` of each class, where rows are sorted by class and best first."""
    counts = torch.bincount(classes)
    rank = torch.arange(len(classes), device=classes.device) - (counts.cumsum(0) - counts)[classes]
    return (rank < limit).nonzero().squeeze(1)
