"""Weights from agreement: planted reliabilities come back; what is learnt is a plain value of the classifier."""

import pytest
import torch

from piaa.method.agreement import CLS_MOST, IDLE, Reliabilities, by_agreement, reliabilities
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales


def witnesses(correlations: tuple[float, ...], images: int = 4000, classes: int = 12) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    truth = torch.randn(images, classes, generator=random)
    return [r * truth + (1 - r * r) ** 0.5 * torch.randn(images, classes, generator=random) for r in correlations]


@pytest.mark.parametrize(("half", "cls"), [(0.8, 0.3), (0.5, 0.5), (0.4, 0.9)])
def test_planted_reliabilities_are_recovered(half: float, cls: float) -> None:
    found = reliabilities(*witnesses((0.85, half, half, cls)))
    assert found.cls == pytest.approx(cls, abs=0.03)
    assert found.together == pytest.approx(0.85 * cls, abs=0.03)
    believed = min(cls, CLS_MOST**0.5)  # no more, however well the witnesses agree
    weights = [r / (1 - r * r) for r in (believed, min(0.85 * cls / believed, 0.99))]
    share = (weights[0] / sum(weights) - IDLE) / (1 - 2 * IDLE)
    assert found.cls_share == pytest.approx(max(share, 0.0), abs=0.06)


def test_a_witness_that_adds_nothing_has_no_share() -> None:
    assert Reliabilities(cls=0.05, together=0.04).cls_share == 0.0
    assert Reliabilities(cls=0.99, together=0.02).cls_share > 0.9


def problem(cls_noise: float, images: int = 200) -> tuple[PatchClassifier, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(9)
    classes, dim, tokens = 6, 24, 16
    objects = torch.nn.functional.normalize(torch.randn(classes, dim, generator=random), dim=1)
    labels = torch.rand(images, classes, generator=random) < 0.25
    chosen = torch.where(labels.any(1), labels.float().argmax(1), -1)
    shown = torch.where((chosen >= 0)[:, None], objects[chosen.clamp(min=0)], 0.0)
    patches = shown[:, None] + 0.25 * torch.randn(images, tokens, dim, generator=random)
    cls = labels.float() @ objects + cls_noise * torch.randn(images, dim, generator=random)
    weight = torch.cat([8 * objects, torch.zeros(1, dim)])
    bias = torch.zeros(classes + 1)
    learnt = PatchClassifier(weight, bias, objects, Scales(1.0, 1.0, 20.0, "odds"), 0.9, "mean-top-2")
    return learnt, cls, patches


def test_a_noisy_cls_weighs_less_than_a_clear_one() -> None:
    clear, noisy = (by_agreement(*problem(noise)) for noise in (0.1, 2.0))
    assert clear.alpha < noisy.alpha - 0.05
    assert 0 < clear.alpha < 1


def test_the_score_of_an_image_does_not_depend_on_its_batch_and_survives_the_disk() -> None:
    learnt, cls, patches = problem(0.5)
    weighted = by_agreement(learnt, cls, patches)
    torch.testing.assert_close(weighted.score(cls, patches)[3:4], weighted.score(cls[3:4], patches[3:4]))
    again = PatchClassifier.from_parts(weighted.tensors(), weighted.plain())
    assert torch.equal(again.score(cls, patches), weighted.score(cls, patches))


def test_one_image_or_one_class_changes_nothing() -> None:
    learnt, cls, patches = problem(0.5)
    assert by_agreement(learnt, cls[:1], patches[:1]) is learnt
    alike = torch.ones_like(cls)
    assert by_agreement(learnt, alike, torch.ones_like(patches)) is learnt
