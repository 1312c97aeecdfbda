"""What SST and SARB (Chen et al., Pu et al., AAAI 2022) compute of partial labels, as pure functions.

Everywhere: observed labels N x C: 1 present, 0 absent, -1 not seen (the published code has 1, -1, 0). Each meets the
golden numbers of the published code (`tests/parity/test_partial_labels.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Permute = Callable[[int], Tensor]
"""A number n to a permutation of 0..n - 1."""


def conditional_frequencies(observed: Tensor) -> Tensor:
    """How often class j is seen as present where class i is: C x C, row i; 0 for a class that is seen nowhere.

    The published code divides by nothing there, and its whole network becomes NaN.
    """
    present = (observed == 1).double()
    both = present.T @ present
    return (both / both.diagonal()[:, None].clamp(min=1)).float()


def pairs_of(classes: int) -> tuple[Tensor, Tensor]:
    """First and second class of each of the C (C - 1) / 2 pairs, in order of rows."""
    first, second = torch.triu_indices(classes, classes, 1)
    return first, second


def square(pairs: Tensor, classes: int) -> Tensor:
    """Values of pairs N x C (C - 1) / 2 as symmetric matrices N x C x C with 1 on the diagonal."""
    first, second = pairs_of(classes)
    full = torch.eye(classes, dtype=pairs.dtype, device=pairs.device).expand(len(pairs), -1, -1).clone()
    full[:, first, second] = pairs
    full[:, second, first] = pairs
    return full


def pair_asl(logits: Tensor, observed: Tensor, negative: float = 2.0, positive: float = 1.0) -> Tensor:
    """SST: the mean asymmetric loss of pairs N x P; a pair is present where both of its classes are seen as present.

    Unlike in ASL itself the focusing weights carry a gradient. A pair of which anything is not seen counts as absent.
    """
    first, second = pairs_of(observed.shape[1])
    both = (observed[:, first] == 1) & (observed[:, second] == 1)
    p = torch.sigmoid(logits)
    right = torch.where(both, p, (1 - p + 0.05).clamp(max=1))
    focus = (1 - right) ** torch.where(both, positive, negative)
    return -(right.clamp(min=1e-8).log() * focus).mean()


def contrastive(features: Tensor, observed: Tensor, permute: Permute) -> Tensor:
    """The features of a class are to be alike in two images that have it, and unlike in any other two.

    Each pair of images counts in the classes that are seen in both: 1 - cosine where both have the class, 1 + cosine
    where one or none has it. Of the latter two kinds, where there are P of the former, 2 P drawn ones and the P
    greatest remain, so that some can count twice; where there are none, all remain.

    Args:
        features: N x C x k, class-wise.
        observed: N x C.
        permute: draws the order in which they are taken: first of the pairs with none, then of those with one.

    Returns:
        The mean; 0 where no pair is seen (the published code gives NaN there, without a gradient).
    """
    first, second = pairs_of(len(features))
    unit = F.normalize(features, dim=2, eps=1e-9).transpose(0, 1)
    cosine = (unit @ unit.mT)[:, first, second].T  # pairs of images x C
    a, b = observed[first], observed[second]
    alike = (1 - cosine)[(a == 1) & (b == 1)]
    mixed = (1 + cosine)[(a != -1) & (b != -1) & (a != b)]
    neither = (1 + cosine)[(a == 0) & (b == 0)]
    if len(alike):
        neither, mixed = (_some(losses, len(alike), permute) for losses in (neither, mixed))
    every = torch.cat([alike, mixed, neither])
    return every.sum() / max(1, len(every))


def _some(losses: Tensor, count: int, permute: Permute) -> Tensor:
    """2 `count` drawn ones and the `count` greatest."""
    if not len(losses):
        return losses
    drawn = losses[permute(len(losses)).to(losses.device)[: 2 * count]]
    return torch.cat([drawn, losses.sort(descending=True).values[:count]])


def examples_with(kept: Tensor, features: Tensor, observed: Tensor) -> Tensor:
    """SST: the features of images in which a class was seen, the newest first, the oldest leave.

    Args:
        kept: C x E x k; zeros where there are fewer yet.
        features: N x C x k.
        observed: N x C.
    """
    every = torch.cat([features.transpose(0, 1).to(kept.dtype), kept], dim=1)
    stay = torch.cat([(observed == 1).T, torch.ones_like(kept[..., 0], dtype=torch.bool)], dim=1)
    places = torch.argsort(stay.int(), dim=1, descending=True, stable=True)[:, : kept.shape[1]]
    return every.gather(1, places[..., None].expand(-1, -1, every.shape[2]))


def within_image(pairs: Tensor, observed: Tensor, margin: float) -> Tensor:
    """SST: a class not seen is present where its mean co-occurrence with those that are reaches `margin`.

    Args:
        pairs: N x P, how likely both classes of a pair are in the image, 0..1.
        observed: N x C.
        margin: 0..1.

    Returns:
        N x C of 1, 0 and -1: `observed` with some of the unseen turned to 1.
    """
    present = (observed == 1).to(pairs.dtype)
    total = torch.einsum("nij,nj->ni", square(pairs, observed.shape[1]), present)
    mean = total / present.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where((observed == -1) & (mean >= margin), torch.ones_like(observed), observed)


def across_images(features: Tensor, kept: Tensor, observed: Tensor, margin: float) -> Tensor:
    """SST: a class not seen is present where its feature is like those of images that have it.

    Args:
        features: N x C x k, class-wise.
        kept: C x E x k, as `examples_with` gives them; a place that is not filled yet counts as a cosine of 0.
        observed: N x C.
        margin: the mean cosine must reach it; above 0.
    """
    mean = F.normalize(kept, dim=-1).mean(dim=1)  # the mean of cosines is one product
    cosine = torch.einsum("nck,ck->nc", F.normalize(features, dim=-1), mean)
    return torch.where((observed == -1) & (cosine >= margin), torch.ones_like(observed), observed)


def mix_images(features: Tensor, observed: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """SARB, instance level: image n and image N - 1 - n, in classes that the first does not know and the second has.

    Args:
        features: N x C x k, class-wise.
        observed: N x C.
        alpha: a number 0..1, the weight of the first.

    Returns:
        Features N x C x k; targets N x C: 1, 0, or -1 where not seen, and 1 - alpha where mixed.
    """
    mixed = (observed == -1) & (observed.flip(0) == 1)
    weight = torch.where(mixed, alpha, torch.ones_like(alpha))
    target = torch.where(mixed, 1 - alpha, observed.to(alpha.dtype))
    return weight[..., None] * features + (1 - weight[..., None]) * features.flip(0), target


def mix_prototypes(
    features: Tensor, observed: Tensor, prototypes: Tensor, beta: Tensor, draws: Tensor
) -> tuple[Tensor, Tensor]:
    """SARB, prototype level: in each image one of the classes not seen is mixed with a prototype of it.

    Args:
        features: N x C x k, class-wise.
        observed: N x C.
        prototypes: C x k, one of each class.
        beta: a number 0..1, the weight of the image.
        draws: N x C of 0..1: the highest chooses the class; 0 where a class must not be chosen.

    Returns:
        As `mix_images`, with 1 - beta where mixed. An image without a class to choose is not mixed (the published
        code then mixes the first class, whatever its label).
    """
    free = draws * (observed == -1)
    chosen = F.one_hot(free.argmax(dim=1), free.shape[1]).bool() & (free > 0)
    mixed = beta * features + (1 - beta) * prototypes
    target = torch.where(chosen, 1 - beta, observed.to(beta.dtype))
    return torch.where(chosen[..., None], mixed, features), target
