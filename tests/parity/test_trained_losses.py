"""Losses and gradients of the trained systems against the numbers of their published code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from golden import GOLDEN
from safetensors.torch import load_file
from torch import Tensor

from piaa.baselines import losses

FILE = GOLDEN / "trained_losses.safetensors"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="no golden file of the losses")
Loss = Callable[[Tensor, dict[str, Tensor]], Tensor]
START, END = ((0.0, -2.0), (0.5, 2.0)), ((2.0, -2.0), (0.8, 0.5))
LOSSES: dict[str, Loss] = {
    "bce_ls": lambda x, g: losses.bce_ls(x, g["labels_full"]),
    "naive_an": lambda x, g: losses.naive_an(x, g["labels_single"]),
    "epr": lambda x, g: losses.epr(x, g["labels_single"], 1.5),
    "asl": lambda x, g: losses.asl(x, g["labels_full"]),
    "large_loss_r": lambda x, g: losses.ll_r(x, g["labels_single"], 1 - 0.9),
    "large_loss_ct": lambda x, g: losses.ll_c(x, g["labels_single"], 1 - 0.9),
    "large_loss_cp": lambda x, g: losses.ll_c(x, g["labels_single"], 0.005),
    "gr_start": lambda x, g: losses.gr(x, g["labels_single"], *START),
    "gr_end": lambda x, g: losses.gr(x, g["labels_single"], *END),
    "gpr_start": lambda x, g: losses.gpr(x, g["labels_single"], g["pseudo"], *START, 1.5),
    "gpr_end": lambda x, g: losses.gpr(x, g["labels_single"], g["pseudo"], *END, 1.5),
    "vlpl_warmup": lambda x, g: losses.vlpl(x, g["labels_single"]),
    "vlpl": lambda x, g: losses.vlpl(x, g["labels_single"], g["pseudo"]),
}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FILE)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def test_every_golden_loss_is_compared(golden: dict[str, Tensor]) -> None:
    assert {name.partition(".")[0] for name in golden if "." in name} == {*LOSSES, "role"}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_the_published_ones(golden: dict[str, Tensor], name: str) -> None:
    logits = golden["logits"].clone().requires_grad_()
    loss = LOSSES[name](logits, golden)
    loss.backward()
    assert logits.grad is not None
    assert relative(loss.detach()[None], golden[f"{name}.loss"]) <= 1e-5
    assert relative(logits.grad, golden[f"{name}.grad"]) <= 1e-5


def test_role_teaches_classifier_and_estimates(golden: dict[str, Tensor]) -> None:
    logits, estimates = (golden[name].clone().requires_grad_() for name in ("logits", "estimates_logits"))
    loss = losses.role(logits, estimates, golden["labels_single"], 1.5)
    loss.backward()
    assert logits.grad is not None
    assert estimates.grad is not None
    assert relative(loss.detach()[None], golden["role.loss"]) <= 1e-5
    assert relative(logits.grad, golden["role.grad"]) <= 1e-5
    assert relative(estimates.grad, golden["role.grad_estimates"]) <= 1e-5


def test_no_share_changes_nothing(golden: dict[str, Tensor]) -> None:
    logits, labels = golden["logits"], golden["labels_single"]
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(losses.ll_r(logits, labels, 0.0), plain)
