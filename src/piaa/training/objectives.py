"""Losses by name, as a method's file names them: a batch's output and labels to one number.

Those with golden numbers are `piaa.baselines.losses`; here they meet what a batch is. Every keyword beside `output`
and `batch` is a constant or a scheduled value of the method's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.baselines import losses
from piaa.errors import InputError
from piaa.training import updates
from piaa.training.heads import Output


def _no_other_view() -> Tensor:
    raise InputError("this batch has no second view")


@dataclass(frozen=True)
class Batch:
    """The labels of a batch.

    Attributes:
        rows: B int64, which images of the training set.
        observed: B x C: 1 present, 0 absent, -1 not seen.
        state: tensors of the label update, over the whole training set; those of the batch are `state[name][rows]`.
        classify: class-wise features B x C x k to logits; for losses that mix features.
        random: for what a loss draws.
        again: logits B x C of another view of the same images.
    """

    rows: Tensor
    observed: Tensor
    state: Mapping[str, Tensor]
    classify: Callable[[Tensor], Tensor]
    random: torch.Generator
    again: Callable[[], Tensor] = _no_other_view

    @property
    def present(self) -> Tensor:
        """B x C of 0 and 1: what is not seen counts as absent."""
        return (self.observed == 1).float()

    @property
    def seen(self) -> Tensor:
        """B x C bool."""
        return self.observed != -1

    def of(self, name: str) -> Tensor:
        """The batch's rows of a tensor of the state."""
        return self.state[name][self.rows]

    def draw(self, *shape: int) -> Tensor:
        """Numbers of 0..1 on the batch's device."""
        return torch.rand(*shape, generator=self.random).to(self.observed.device)


Loss = Callable[..., Tensor]


def bce_ls(output: Output, batch: Batch, smoothing: float = 0.1) -> Tensor:
    """BCE-LS on full labels, AN-LS on single positives: one formula."""
    return losses.bce_ls(output.logits, batch.present, smoothing)


def naive_an(output: Output, batch: Batch) -> Tensor:
    """What is not seen is absent."""
    return losses.naive_an(output.logits, batch.present)


def wan(output: Output, batch: Batch) -> Tensor:
    """WAN (Cole et al., CVPR 2021): as NaiveAN, with 1 / (C - 1) on what is not seen."""
    p, present = torch.sigmoid(output.logits), batch.present
    yes, no = -torch.log(p + losses.EPSILON), -torch.log(1 - p + losses.EPSILON)
    return torch.where(present == 1, yes, no / max(1, p.shape[1] - 1)).mean()


def partial_bce(output: Output, batch: Batch) -> Tensor:
    """Cross-entropy of the seen labels alone; 0 where a batch has none."""
    return masked_bce(output.logits, batch.present, batch.seen)


def masked_bce(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy over a mask; 0, with a gradient of 0, where it is empty."""
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * mask).sum() / mask.sum().clamp(min=1)


def asl(output: Output, batch: Batch, negative: float = 4.0, positive: float = 1.0, shift: float = 0.05) -> Tensor:
    """ASL of the seen labels alone, per image (the published sum over a batch makes the rate depend on its size)."""
    seen = batch.seen
    return losses.asl(output.logits[seen], batch.present[seen], negative, positive, shift) / len(batch.rows)


def epr(output: Output, batch: Batch, k: float) -> Tensor:
    """Seen positives, and `k` labels an image expected."""
    return losses.epr(output.logits, batch.present, k)


def role(output: Output, batch: Batch, k: float) -> Tensor:
    """Classifier and label estimates teach each other."""
    return losses.role(output.logits, batch.of("estimates"), batch.present, k)


def ll_r(output: Output, batch: Batch, share: float) -> Tensor:
    """Large losses are left out."""
    return losses.ll_r(output.logits, batch.present, share)


def ll_ct(output: Output, batch: Batch, share: float) -> Tensor:
    """Large losses have their label flipped in this batch."""
    return losses.ll_c(output.logits, batch.present, share)


def ll_cp(output: Output, batch: Batch, share: float) -> Tensor:
    """The same on labels that the update flips for good."""
    return losses.ll_c(output.logits, batch.of("labels"), share)


def gr(output: Output, batch: Batch, w: float, b: float, mu: float, sigma: float) -> Tensor:
    """GR Loss; (w, b) and (mu, sigma) move over the epochs."""
    return losses.gr(output.logits, batch.present, (w, b), (mu, sigma))


def gpr(
    output: Output,
    batch: Batch,
    w: float,
    b: float,
    mu: float,
    sigma: float,
    k: float,
    least: float = 0.4,
    regularisation: float = 0.05,
) -> Tensor:
    """AEVLP: GR Loss with pseudo-labels; `least` weighs a pseudo-positive at least."""
    return losses.gpr(
        output.logits, batch.present, batch.of("pseudo"), (w, b), (mu, sigma), k, held=(least, 0.7),
        regularisation=regularisation,
    )  # fmt: skip


def vlpl(output: Output, batch: Batch, pseudo_from: float, entropy: float = 0.2, weight: float = 0.7) -> Tensor:
    """VLPL; `pseudo_from` is 0 in the warm-up, 1 after it."""
    pseudo = batch.of("pseudo") if pseudo_from else None
    return losses.vlpl(output.logits, batch.present, pseudo, entropy, weight)


def soft_bce(output: Output, batch: Batch) -> Tensor:
    """Cross-entropy with soft labels: KL of two coins, but for a number that no gradient sees (CDUL, distillation)."""
    return F.binary_cross_entropy_with_logits(output.logits, batch.of("soft"))


def game(output: Output, batch: Batch, w: float) -> Tensor:
    """G2NetPL: seen labels, and pseudo-labels weighted by their own confidence |2y - 1|, more as `w` grows to 1."""
    soft = torch.sigmoid(batch.of("latent")).detach()
    targets = torch.where(batch.seen, batch.present, soft)
    weights = torch.where(batch.seen, 1.0, (1 - w) * (2 * soft - 1).abs() + w)
    each = F.binary_cross_entropy_with_logits(output.logits, targets, reduction="none")
    return (weights * each).mean()


def softmax_kl(output: Output, batch: Batch) -> Tensor:
    """CDUL as reproduced by others: KL(softmax of the logits || soft labels divided by their sum), mean over images."""
    soft = batch.of("soft")
    share = torch.log((soft / soft.sum(dim=1, keepdim=True)).clamp(min=1e-30))
    log_p = F.log_softmax(output.logits, dim=1)
    return (log_p.exp() * (log_p - share)).sum(dim=1).mean()


def ccd(output: Output, batch: Batch, consistency: float, least: float = 0.1) -> Tensor:
    """CCD: soft labels, with weight `least` for images that CLIP was unsure of, and consistency of two views.

    Before the second stage (`consistency` 0) all images count alike.
    """
    each = F.binary_cross_entropy_with_logits(output.logits, batch.of("soft"), reduction="none")
    if not consistency:
        return each.mean()
    alike = F.binary_cross_entropy_with_logits(batch.again(), torch.sigmoid(output.logits).detach())
    weights = (batch.of("sure") + least).clamp(max=1)[:, None]
    return (weights * each).mean() + consistency * alike


def sst(
    output: Output,
    batch: Batch,
    pseudo: float,
    margin: float,
    within: float = 1.0,
    across: float = 1.0,
    together: float = 10.0,
) -> Tensor:
    """SST (Chen et al., AAAI 2022): seen labels, pseudo-labels from within and across images, and co-occurrence.

    The co-occurrence of two classes is the sigmoid of a bilinear form of their two logits' features; `pseudo` is 0
    until pseudo-labels are made.
    """
    known = masked_bce(output.logits, batch.present, batch.seen)
    pairs = pair_probabilities(output.logits, batch.state["pairs"])
    loss = known + together * pair_loss(pairs, batch.present)
    if not pseudo:
        return loss
    near = updates.cooccurring(pairs.detach(), batch.observed, margin)
    alike = updates.alike_to_known(
        output.features.detach(), batch.state["kept"], batch.state["filled"] > 0, batch.observed, margin
    )
    for weight, labels in ((within, near), (across, alike)):
        loss = loss + weight * masked_bce(output.logits, (labels == 1).float(), labels != -1)
    return loss


def pair_probabilities(logits: Tensor, pairs: Tensor) -> Tensor:
    """How likely two classes are both in the image, B x C x C, from their logits and a learnt C x C table."""
    both = torch.sigmoid(logits)[:, :, None] * torch.sigmoid(logits)[:, None, :]
    return torch.sigmoid(logit_of(both) + (pairs + pairs.T) / 2)


def logit_of(p: Tensor) -> Tensor:
    """As `updates.logit`, for a tensor with a gradient."""
    return updates.logit(p)


def pair_loss(pairs: Tensor, present: Tensor) -> Tensor:
    """The asymmetric loss of SST on pairs: a pair is 1 where both classes are seen as present; gammas 2 and 1."""
    both = present[:, :, None] * present[:, None, :]
    upper = torch.ones_like(pairs[0]).triu(1).bool()
    return losses.asl(updates.logit(pairs[:, upper]), both[:, upper], 2.0, 1.0) / pairs[:, upper].numel()


def sarb(output: Output, batch: Batch, mix: float) -> Tensor:
    """SARB (Pu et al., AAAI 2022): seen labels, and the same on features mixed with another image's and a prototype's.

    `mix` is 0 until mixing begins.
    """
    loss = masked_bce(output.logits, batch.present, batch.seen)
    if not mix:
        return loss
    alpha, beta = (batch.state[name].clamp(0, 1) for name in ("alpha", "beta"))
    weight, target = updates.mixed_labels(batch.observed, batch.observed.flip(0), alpha)
    features = weight[..., None] * output.features + (1 - weight[..., None]) * output.features.flip(0)
    loss = loss + masked_bce(batch.classify(features), target.clamp(min=0), target > -1)
    return loss + _with_prototype(output, batch, beta)


def _with_prototype(output: Output, batch: Batch, beta: Tensor) -> Tensor:
    """One class of those not seen in each image is mixed with a prototype of it; its target is 1 - beta."""
    places = batch.draw(*batch.observed.shape) * (~batch.seen & (batch.state["filled"] > 0))
    chosen = F.one_hot(places.argmax(dim=1), places.shape[1]) * (places.amax(dim=1, keepdim=True) > 0)
    prototypes = batch.state["prototypes"]
    number = int(batch.draw(1) * prototypes.shape[1]) % prototypes.shape[1]
    mixed = beta * output.features + (1 - beta) * prototypes[:, number][None]
    features = torch.where(chosen[..., None] == 1, mixed, output.features)
    target = torch.where(chosen == 1, 1 - beta, batch.present)
    return masked_bce(batch.classify(features), target, batch.seen | (chosen == 1))


LOSSES: dict[str, Loss] = {
    "bce-ls": bce_ls,
    "partial-bce": partial_bce,
    "asl": asl,
    "naive-an": naive_an,
    "wan": wan,
    "epr": epr,
    "role": role,
    "ll-r": ll_r,
    "ll-ct": ll_ct,
    "ll-cp": ll_cp,
    "gr": gr,
    "gpr": gpr,
    "vlpl": vlpl,
    "soft-bce": soft_bce,
    "softmax-kl": softmax_kl,
    "game": game,
    "ccd": ccd,
    "sst": sst,
    "sarb": sarb,
}
"""By the name in a method's file."""


def loss_named(name: str) -> Loss:
    """An entry of `LOSSES`.

    Raises:
        InputError: naming those that exist.
    """
    if name not in LOSSES:
        raise InputError(f"no loss is called {name!r}; choose one of: {', '.join(LOSSES)}")
    return LOSSES[name]
