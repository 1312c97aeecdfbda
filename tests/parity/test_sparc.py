"""SPARC against the numbers of its published code, and one image scored by itself."""

from __future__ import annotations

import pytest
import torch
from golden import GOLDEN
from safetensors.torch import load_file
from torch import Tensor

from piaa.baselines import sparc
from piaa.errors import InputError

FILE = GOLDEN / "sparc.safetensors"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="no golden file of SPARC")


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(FILE)


@pytest.fixture(scope="module")
def given(golden: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    singleton, simple, compound, members = (golden[name] for name in ("singleton", "simple", "compound", "members"))
    return singleton, simple, compound, members


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_each_step_is_the_published_one(golden: dict[str, Tensor], given: tuple[Tensor, ...]) -> None:
    singleton, simple, compound, members = given
    known = sparc.learn(singleton, simple, compound, members)
    own, others = sparc.normalised(singleton, simple, compound, known)
    assert error(own, golden["singleton_normalised"]) <= 1e-4
    assert error(others, golden["compound_normalised"]) <= 1e-4
    assert error(sparc.projections(own, others, members, known), golden["principal"]) <= 1e-4
    assert error(sparc.score(singleton, simple, compound, members, known), golden["scores"]) <= 1e-4


def test_an_image_is_scored_by_itself(given: tuple[Tensor, ...]) -> None:
    singleton, simple, compound, members = given
    known = sparc.learn(singleton[::2], simple[::2], compound[::2], members)
    whole = sparc.score(singleton, simple, compound, members, known)
    alone = sparc.score(singleton[3:4], simple[3:4], compound[3:4], members, known)
    torch.testing.assert_close(alone[0], whole[3])


def test_a_class_without_compound_prompts_keeps_its_own_score(given: tuple[Tensor, ...]) -> None:
    singleton, simple, compound, members = given
    bare = members.clone()
    bare[:, 0] = 0
    known = sparc.learn(singleton, simple, compound, bare)
    own, _ = sparc.normalised(singleton, simple, compound, known)
    torch.testing.assert_close(sparc.score(singleton, simple, compound, bare, known)[:, 0], own[:, 0])
    with pytest.raises(InputError, match="2 images"):
        sparc.learn(singleton[:1], simple[:1], compound[:1], members)
