"""The losses as a method's file names them, with its constants, against the numbers of the published code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden import GOLDEN
from safetensors.torch import load_file
from torch import Tensor

from piaa.training.heads import Output
from piaa.training.objectives import Batch, loss_named
from piaa.training.spec import read_method

FILE = GOLDEN / "trained_losses.safetensors"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="no golden file of the losses")
MOVED = {"start": {"w": 0.0, "b": -2.0, "mu": 0.5, "sigma": 2.0}, "end": {"w": 2.0, "b": -2.0, "mu": 0.8, "sigma": 0.5}}
CASES: dict[str, tuple[str, bool, dict[str, Any]]] = {  # golden name: method, full labels, what is scheduled
    "bce_ls": ("bce-ls", True, {}),
    "asl": ("asl", True, {}),
    "naive_an": ("naive-an", False, {}),
    "epr": ("epr", False, {}),
    "role": ("role", False, {}),
    "large_loss_r": ("ll-r", False, {"share": 0.1}),
    "large_loss_ct": ("ll-ct", False, {"share": 0.1}),
    "large_loss_cp": ("ll-cp", False, {"share": 0.005}),
    "gr_start": ("gr", False, MOVED["start"]),
    "gr_end": ("gr", False, MOVED["end"]),
    "gpr_start": ("aevlp", False, MOVED["start"]),
    "gpr_end": ("aevlp", False, MOVED["end"]),
    "vlpl": ("vlpl", False, {}),
    "vlpl_warmup": ("vlpl", False, {"pseudo_from": 0.0}),
}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FILE)


def test_every_golden_loss_has_a_method(golden: dict[str, Tensor]) -> None:
    assert {name.partition(".")[0] for name in golden if "." in name} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_methods_loss_is_the_published_one(golden: dict[str, Tensor], name: str) -> None:
    method, full, scheduled = CASES[name]
    spec = read_method(method).on("VOC07")
    logits = golden["logits"].clone().requires_grad_()
    single = golden["labels_single"]
    observed = golden["labels_full"].to(torch.int8) if full else torch.where(single == 1, 1, -1).to(torch.int8)
    state = {"estimates": golden["estimates_logits"], "pseudo": golden["pseudo"], "labels": single}
    batch = Batch(torch.arange(len(logits)), observed, state, lambda features: features, torch.Generator())
    constants = {key: value for key, value in spec.constants.items() if not isinstance(value, dict)} | scheduled
    loss = loss_named(spec.loss)(Output(logits, logits[..., None]), batch, **constants)
    loss = loss * len(logits) if name == "asl" else loss  # ours is per image
    loss.backward()
    assert logits.grad is not None
    torch.testing.assert_close(loss.detach()[None], golden[f"{name}.loss"], rtol=1e-5, atol=1e-7)
    error = (logits.grad - golden[f"{name}.grad"]).norm() / golden[f"{name}.grad"].norm()
    assert float(error) <= 1e-5
