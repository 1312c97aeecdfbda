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

from piaa.baselines import losses, partial_labels
from piaa.errors import InputError
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
        pairs: class-wise features to logits of pairs of classes B x P, where the network has them.
        again: logits B x C of another view of the same images.
    """

    rows: Tensor
    observed: Tensor
    state: Mapping[str, Tensor]
    classify: Callable[[Tensor], Tensor]
    random: torch.Generator
    pairs: Callable[[Tensor], Tensor] | None = None
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

    def permute(self, count: int) -> Tensor:
        """0..count - 1 in a drawn order."""
        return torch.randperm(count, generator=self.random)

    def pairs_of(self, features: Tensor) -> Tensor:
        """Logits of pairs.

        Raises:
            InputError: the network has no pairs.
        """
        if self.pairs is None:
            raise InputError("this loss needs a network with pairs of classes; see [network] in the method's file")
        return self.pairs(features)


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
    margin_within: float,
    margin_across: float,
    together: float,
    alike: float,
    within: float = 1.0,
    across: float = 1.0,
) -> Tensor:
    """SST (Chen et al., AAAI 2022): seen labels, pseudo-labels from within and across images, pairs, likeness.

    `pseudo` is 0 until pseudo-labels are made. Examples of each class are those kept, and this batch's.
    """
    logits, features = output.logits, output.features
    pairs = batch.pairs_of(features)
    loss = masked_bce(logits, batch.present, batch.seen)
    loss = loss + together * partial_labels.pair_asl(pairs, batch.observed)
    loss = loss + alike * partial_labels.contrastive(features, batch.observed, batch.permute)
    if not pseudo:
        return loss
    known = features.detach()
    kept = partial_labels.examples_with(batch.state["kept"], known, batch.observed)
    near = partial_labels.within_image(torch.sigmoid(pairs.detach()), batch.observed, margin_within)
    far = partial_labels.across_images(known, kept, batch.observed, margin_across)
    for weight, labels in ((within, near), (across, far)):
        loss = loss + weight * masked_bce(logits, (labels == 1).float(), labels != -1)
    return loss


def sarb(output: Output, batch: Batch, mix: float, alike: float) -> Tensor:
    """SARB (Pu et al., AAAI 2022): seen labels, likeness, and features mixed with another image's and a prototype's.

    `mix` is 0 until mixing begins.
    """
    logits, features = output.logits, output.features
    loss = masked_bce(logits, batch.present, batch.seen)
    loss = loss + alike * partial_labels.contrastive(features, batch.observed, batch.permute)
    if not mix:
        return loss
    draws = batch.draw(*batch.observed.shape) * (batch.state["filled"] > 0)
    prototypes = batch.state["prototypes"]
    number = int(batch.draw(1) * prototypes.shape[1]) % prototypes.shape[1]
    for mixed, target in (
        partial_labels.mix_images(features, batch.observed, batch.state["alpha"]),
        partial_labels.mix_prototypes(features, batch.observed, prototypes[:, number], batch.state["beta"], draws),
    ):
        loss = loss + masked_bce(batch.classify(mixed), target.clamp(min=0), target != -1)
    return loss


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
