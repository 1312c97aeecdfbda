"""Large vocabularies: pieces give what the whole gives, and memory stays within what is said."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from piaa.bench import memory
from piaa.bench.fitting import filled_bank
from piaa.bench.work import random_units
from piaa.method import evidence, gaussian, paa, pvcl
from piaa.method.aggregators import max_over_patches
from piaa.method.bank import Bank
from piaa.method.evidence import Evidence
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales, get_recipe

SCALES = Scales(10.0, 10.0, 10.0)


def embedded_images(images, tokens, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, dim, generator=generator), torch.randn(images, tokens, dim, generator=generator)


@pytest.mark.parametrize("limit", [1, 49 * 300, 3 * 49 * 300 + 5])
def test_scores_by_pieces_are_those_of_the_whole(monkeypatch, limit):
    cls, patches = embedded_images(8, 49, 64)
    weight, bias = random_units(300, 64), torch.linspace(-0.1, 0.1, 300)
    probabilities = paa.patch_probabilities(F.normalize(patches, dim=-1), weight, bias, SCALES.inference)
    whole = paa.fuse(
        paa.patch_scores(max_over_patches(probabilities), SCALES.patch),
        paa.cls_scores(F.normalize(cls, dim=-1), weight, SCALES.cls),
        0.9,
    )
    monkeypatch.setattr(paa, "CHUNK", limit)
    pieces = PatchClassifier(weight, bias, weight, SCALES).score(cls, patches)
    assert torch.equal(pieces, whole)


@pytest.mark.skipif(not memory.reset_high_water(), reason="the system does not reset its high-water mark")
def test_scores_of_ten_thousand_classes_make_no_tensor_of_classes_by_patches_by_images():
    """40 x 196 x 10,000 floats are 299 MiB; a piece has 64, and a few such are at work at a time."""
    cls, patches = embedded_images(40, 196, 16)
    weight, bias = random_units(10_000, 16), torch.zeros(10_000)
    classifier = PatchClassifier(weight, bias, weight, SCALES)
    classifier.score(cls[:1], patches[:1])
    peak = memory.peak_of(lambda: classifier.score(cls, patches))
    assert peak < 4 * paa.CHUNK * 4 / memory.MIB


@pytest.mark.parametrize("name", pvcl.PURIFIERS)
@pytest.mark.parametrize("limit", [1, 1000, 12_345])
def test_a_classifier_learnt_by_pieces_is_that_of_the_whole(monkeypatch, name, limit):
    rows = filled_bank(20, 32, 48, 640).contents()
    prototypes = random_units(20, 48, seed=3)
    arguments = (rows["patches"], rows["classes"], rows["confidence"], prototypes, pvcl.PURIFIERS[name], 2.0)
    whole = pvcl.learn_classifier(*arguments)
    chunks = gaussian.row_chunks
    for module in (pvcl, gaussian):
        monkeypatch.setattr(module, "row_chunks", lambda n, width, most=0: chunks(n, width, limit))
    pieces = pvcl.learn_classifier(*arguments)
    assert torch.equal(pieces.kept, whole.kept)
    assert torch.equal(pieces.kept_classes, whole.kept_classes)
    torch.testing.assert_close(pieces.weight, whole.weight, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(pieces.bias, whole.bias, rtol=1e-4, atol=1e-4)


def test_a_covariance_by_triangles_is_the_whole_product():
    patches, means = random_units(500, 37), torch.zeros(3, 37)
    ours = gaussian.pooled_covariance(patches, torch.arange(500) % 3, means)
    torch.testing.assert_close(ours, torch.cov(patches.T.double()), rtol=1e-4, atol=1e-7)
    assert torch.equal(ours, ours.T)


def test_the_shrunk_precision_is_the_published_pseudo_inverse():
    """Also of a covariance of low rank, where shrinkage alone makes it invertible."""
    patches = F.pad(random_units(400, 5).double(), (0, 40))
    covariance = torch.cov(patches.T)
    published = 45 * torch.linalg.pinv(399 * covariance + covariance.trace() * torch.eye(45).double(), hermitian=True)
    torch.testing.assert_close(gaussian.shrunk_precision(covariance, 400), published, rtol=1e-9, atol=1e-9)


def test_rows_are_the_contents_and_the_bank_goes_on_as_if_it_had_not_been_sorted():
    def offer(bank: Bank, seed: int) -> None:
        patches = random_units(300, 70, seed=seed)
        places = torch.stack([torch.full((300,), seed), torch.arange(300)], dim=1)
        bank.update(patches, torch.softmax(20 * patches @ random_units(6, 70, seed=9).T, dim=1), places)

    sorted_bank, plain = Bank(6, 40, 70), Bank(6, 40, 70)
    for seed in range(4):
        offer(sorted_bank, seed)
        offer(plain, seed)
        rows = sorted_bank.rows()
        for name, column in plain.contents().items():
            assert torch.equal(rows[name], column), name
    assert len(rows["patches"]) > 6 * 30


def test_a_large_bank_is_kept_in_half_precision_and_learns_the_same(monkeypatch):
    prototypes = random_units(12, 32, seed=1)
    centres = prototypes.repeat(8, 1)[None] + 0.3 * torch.randn(10, 96, 32, generator=torch.Generator().manual_seed(2))
    whole = Evidence(12, 32, 50)
    monkeypatch.setattr(evidence, "BANK_BYTES", 1000)
    half = Evidence(12, 32, 50)
    assert (whole.bank.dtype, half.bank.dtype) == (torch.float32, torch.float16)
    for state in (whole, half):
        state.update(centres[:, 0], centres, torch.arange(10), prototypes, 20.0)
    ours, exact = (state.learn(prototypes, get_recipe("default")) for state in (half, whole))
    assert ours.weight.dtype == torch.float32
    torch.testing.assert_close(ours.weight, exact.weight, rtol=0, atol=0.02 * float(exact.weight.abs().max()))
    again = Evidence(12, 32, 50)
    again.load_state_dict(half.state_dict())
    assert again.bank.dtype == torch.float16
    assert torch.equal(again.learn(prototypes, get_recipe("default")).weight, ours.weight)


def test_the_closed_form_of_a_large_vocabulary_stays_within_its_bound():
    """2,000 classes x 20,000 patches: the discriminants at once would be 153 MiB, in float32 and again for softmax.

    In a process of its own: what other tests left behind in this one's heap would be counted too.
    """
    if not memory.reset_high_water():
        pytest.skip("the system does not reset its high-water mark")
    code = """
from piaa.method import pvcl
from piaa.bench import memory
from piaa.bench.fitting import filled_bank
import torch
rows = filled_bank(2000, 512, 64, 20_000).rows()
prototypes = torch.nn.functional.normalize(torch.randn(2000, 64, generator=torch.Generator().manual_seed(1)), dim=-1)
arguments = (rows["patches"], rows["classes"], rows["confidence"], prototypes)
pvcl.learn_classifier(*(argument[:100] for argument in arguments[:3]), prototypes)
print(memory.peak_of(lambda: pvcl.learn_classifier(*arguments)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < 2.5 * gaussian.CHUNK * 4 / memory.MIB
