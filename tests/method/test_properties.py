"""What must hold whatever the numbers are: order, split, scale and permutation of classes change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from piaa.evaluation import metrics
from piaa.method import gaussian, paa, pvcl
from piaa.method.bank import Bank
from piaa.method.evidence import Evidence
from piaa.method.moments import Moments
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import RECIPES, Recipe, Scales, get_recipe, recipe_from_dict
from piaa.method.thresholds import RULES, learn_thresholds

C, D, M = 5, 8, 6


def problem(seed: int, images: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prototypes = F.normalize(torch.randn(C, D, generator=generator), dim=-1)
    owner = torch.randint(C, (images, M), generator=generator)
    patches = prototypes[owner] + 0.5 * torch.randn(images, M, D, generator=generator)
    return patches.mean(dim=1), patches, prototypes


def gather(parts: list[torch.Tensor], seed: int, size: int = 7) -> Evidence:
    cls, patches, prototypes = problem(seed)
    evidence = Evidence(C, D, size, sample_images=9)
    for part in parts:
        evidence.update(cls[part], patches[part], part, prototypes, 10.0)
    return evidence


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(40)), st.integers(1, 39), st.integers(1, 20))
def test_any_split_in_any_order_gives_the_same_evidence(seed: int, order: list[int], cut: int, batch: int) -> None:
    one = gather([torch.arange(40)], seed)
    shuffled = torch.tensor(order)
    left = gather(list(shuffled[:cut].split(batch)), seed)
    right = gather(list(shuffled[cut:].split(batch)), seed)
    right.merge(left)
    a, b = one.bank.contents(), right.bank.contents()
    assert torch.equal(a["provenance"], b["provenance"])
    assert torch.equal(a["patches"], b["patches"])
    assert torch.equal(one.sample.image, right.sample.image)
    assert torch.equal(one.sample.patches, right.sample.patches)
    assert torch.equal(one.patch_moments.second, right.patch_moments.second)
    assert right.images == 40


def test_evidence_goes_on_from_its_state() -> None:
    whole = gather([torch.arange(40)], 3)
    half = gather([torch.arange(25)], 3)
    again = Evidence(C, D, 7, sample_images=9)
    again.load_state_dict(half.state_dict())
    cls, patches, prototypes = problem(3)
    rest = torch.arange(25, 40)
    again.update(cls[rest], patches[rest], rest, prototypes, 10.0)
    for name, tensor in whole.state_dict().items():
        assert torch.allclose(tensor.double(), again.state_dict()[name].double(), rtol=1e-12), name
    with pytest.raises(ValueError, match="classes"):
        Evidence(C + 1, D, 7).load_state_dict(half.state_dict())


def test_the_bank_keeps_the_patches_of_least_entropy_and_no_more() -> None:
    _, patches, prototypes = problem(1, 400)
    unit = F.normalize(patches, dim=-1).reshape(-1, D)
    probabilities = pvcl.text_probabilities(unit, prototypes, 10.0)
    bank = Bank(C, 16, D)
    for rows in torch.arange(len(unit)).split(97):
        bank.update(unit[rows], probabilities[rows])
    entropy, assigned = pvcl.entropy(probabilities), probabilities.argmax(dim=1)
    rows = bank.contents()
    for c in range(C):
        best = entropy[assigned == c].sort().values[:16]
        assert torch.allclose(rows["entropy"][rows["classes"] == c], best)
    assert bank.sizes.tolist() == [16] * C


def test_a_bank_refuses_what_does_not_fit_and_counts_what_is_not_finite() -> None:
    bank = Bank(C, 4, D)
    with pytest.raises(ValueError, match="n x 8"):
        bank.update(torch.zeros(2, D + 1), torch.zeros(2, C))
    probabilities = torch.full((2, C), 1 / C)
    bank.update(torch.tensor([[float("nan")] * D, [1.0] + [0.0] * (D - 1)]), probabilities)
    assert (bank.seen, bank.rejected, int(bank.sizes.sum())) == (2, 1, 1)


def test_moments_give_the_spread_of_any_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    x = F.normalize(torch.randn(500, D, generator=generator), dim=1)
    weight, bias = torch.randn(C, D, generator=generator), torch.randn(C, generator=generator)
    moments = Moments(D)
    for part in x.split(73):
        moments.update(part)
    direct = (x.double() @ weight.double().T + bias.double()).var(dim=1, correction=0).mean().sqrt()
    assert moments.spread(weight, bias) == pytest.approx(float(direct), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(C)), st.sampled_from(sorted(RECIPES)))
def test_classes_can_come_in_any_order(seed: int, order: list[int], name: str) -> None:
    cls, patches, prototypes = problem(seed)
    recipe = get_recipe(name)

    def scores(text: torch.Tensor) -> torch.Tensor:
        evidence = Evidence(C, D, 30)
        evidence.update(cls, patches, torch.arange(40), text, 10.0)
        result = evidence.learn(text, recipe)
        scales = evidence.scales(result.weight, result.bias, text, recipe)
        learnt = PatchClassifier(result.weight, result.bias, text, scales, recipe.alpha, recipe.aggregator)
        return learnt.score(cls, patches)

    assert torch.allclose(scores(prototypes)[:, order], scores(prototypes[order]), atol=2e-5)


@given(st.floats(1e-3, 1e3))
def test_purification_by_margin_has_no_scale(factor: float) -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(300, C, generator=generator, dtype=torch.float64)
    assert torch.equal(pvcl.purify_by_margin(logits, 1.0).keep, pvcl.purify_by_margin(logits * factor, 1.0).keep)


def test_purification_by_margin_keeps_the_better_half_of_each_class() -> None:
    logits = torch.tensor([[5.0, 0], [4.0, 0], [3.0, 0], [0, 1.0], [0.0, 9.0]])
    assert pvcl.purify_by_margin(logits, 1.0).keep.tolist() == [True, True, False, False, True]


def test_a_saturated_threshold_empties_classes_and_the_margin_does_not() -> None:
    """Method.md's known weakness, as it is and as it is mended."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(400, C, generator=generator).abs() * 5
    emptied = pvcl.purify_by_threshold(logits, 1000.0)
    assert len(emptied.assignment[emptied.keep].unique()) < C
    kept = pvcl.purify_by_margin(logits, 1000.0)
    assert len(kept.assignment[kept.keep].unique()) == len(kept.assignment.unique())


def test_without_any_patch_every_class_falls_back_and_says_so() -> None:
    prototypes = F.normalize(torch.randn(C, D), dim=-1)
    none = torch.zeros(0, dtype=torch.int64)
    result = pvcl.learn_classifier(torch.zeros(0, D), none, torch.zeros(0), prototypes)
    assert torch.allclose(result.weight, prototypes)
    assert sorted(result.fallbacks) == list(range(C))


def test_scores_in_chunks_are_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    cls, patches, prototypes = problem(8)
    classifier = PatchClassifier(prototypes, torch.zeros(C), prototypes, Scales(4.0, 2.0, 3.0))
    whole = classifier.score(cls, patches)
    monkeypatch.setattr(paa, "CHUNK", 1)
    assert torch.allclose(classifier.score(cls, patches), whole, atol=1e-7)
    assert torch.allclose(whole.sum(dim=1), torch.ones(40), atol=1e-6)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_survive_being_written_down(name: str) -> None:
    assert recipe_from_dict(get_recipe(name).to_dict()) == get_recipe(name)
    assert isinstance(get_recipe(Recipe("mine", bank_size=3)), Recipe)


def mixture(seed: int, images: int = 600, classes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random((images, classes)) < rng.uniform(0.03, 0.3, classes)
    x = rng.normal(-4, 0.5, labels.shape) + labels * rng.normal(3, 0.5, labels.shape)
    return 1 / (1 + np.exp(-x)), labels


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("seed", [0, 1])
def test_separable_scores_are_decided_nearly_right(rule: str, seed: int) -> None:
    scores, labels = mixture(seed)
    thresholds = learn_thresholds(scores, rule)
    of1 = metrics.f1(torch.from_numpy(thresholds.decide(scores)), torch.from_numpy(labels)).of1
    assert of1 > (0.9 if rule in ("mixture", "tail") else 0.5)
    calibrated = thresholds.calibrate(scores)
    assert np.array_equal(calibrated >= 0.5, thresholds.decide(scores))
    order = scores.argsort(axis=0)
    assert (np.diff(np.take_along_axis(calibrated, order, 0), axis=0) >= 0).all()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_thresholds_do_not_depend_on_the_order_of_images(rule: str) -> None:
    scores, _ = mixture(3)
    shuffled = scores[np.random.default_rng(0).permutation(len(scores))]
    assert np.allclose(learn_thresholds(scores, rule).values, learn_thresholds(shuffled, rule).values, rtol=1e-6)


def test_thresholds_of_hopeless_scores_are_sensible_and_noted() -> None:
    few = learn_thresholds(np.full((3, 2), 0.4))
    assert (few.values > 0.4).all()
    assert "only 3" in few.notes[0]
    scores, _ = mixture(1)
    scores[:, 2] = 0.25
    flat = learn_thresholds(scores)
    assert flat.values[2] > 0.25
    assert set(flat.notes) == {2}
    assert np.isfinite(learn_thresholds(np.zeros((0, 2))).values).all()


def test_metrics_against_hand_counts() -> None:
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.8, 0.7, 0.5], [0.1, 0.6, 0.2]])
    each = metrics.average_precision(scores, labels)
    assert each[:2].tolist() == [1.0, 1.0]
    assert each[2].isnan()
    assert metrics.mean_average_precision(scores, labels) == 1.0
    f1 = metrics.f1(torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), labels)
    assert (f1.op, f1.or_) == (pytest.approx(3 / 5), pytest.approx(3 / 4))
    assert f1.cp == pytest.approx((1 + 1 / 2) / 2)
    assert f1.cr == pytest.approx((1 + 1 / 2) / 2)
    assert metrics.oracle_thresholds(scores, labels)[:2].tolist() == [pytest.approx(0.8), pytest.approx(0.6)]
    assert metrics.relative_decisions(scores)[1].tolist() == [True, True, False]


def test_ap_by_size_leaves_other_sizes_out() -> None:
    labels = torch.tensor([[1], [1], [0]])
    sizes = torch.tensor([[0.1], [0.6], [float("nan")]], dtype=torch.float64)
    scores = torch.tensor([[0.2], [0.9], [0.5]])
    found = metrics.average_precision_by_size(scores, labels, sizes)
    assert found["small"] == pytest.approx(0.5)
    assert found["large"] == pytest.approx(1.0)
    assert np.isnan(found["medium"])


def test_a_background_takes_its_part_and_is_left_out() -> None:
    random = torch.Generator().manual_seed(5)
    patches, weight = torch.randn(3, 7, 6, generator=random), torch.randn(5, 6, generator=random)
    bias, none = torch.randn(5, generator=random), torch.zeros(4)
    with_it = paa.pooled_probabilities(patches, weight, bias, 2.0, classes=4)
    unit = torch.nn.functional.normalize(patches, dim=-1)
    torch.testing.assert_close(with_it, paa.patch_probabilities(unit, weight, bias, 2.0)[..., :4].amax(dim=1))
    assert (with_it < paa.pooled_probabilities(patches, weight[:4], bias[:4], 2.0)).all()
    far = torch.cat([bias[:4], torch.tensor([-1e9])])
    torch.testing.assert_close(
        paa.pooled_probabilities(patches, weight, far, 2.0, classes=4),
        paa.pooled_probabilities(patches, weight[:4], bias[:4], 2.0),
    )
    assert paa.pooled_probabilities(patches, weight[:4], none, 2.0).shape == (3, 4)


def test_the_background_is_the_gaussian_of_all_patches() -> None:
    """Its discriminant is eq. 4 with the mean of all patches, and `amount` classes' worth of prior."""
    random = torch.Generator().manual_seed(6)
    means, mean = torch.randn(4, 6, generator=random), torch.randn(6, generator=random)
    precision = torch.eye(6, dtype=torch.float64) * 2
    weight, bias = gaussian.with_background(means, precision, mean, 3.0)
    plain_weight, plain_bias = gaussian.linear_classifier(means, precision)
    torch.testing.assert_close(weight[:4], plain_weight)
    torch.testing.assert_close(weight[4], 2 * mean)
    shift = torch.log(torch.tensor(4 / 5))  # the uniform prior is over one class more
    torch.testing.assert_close(bias[:4], plain_bias + shift)
    torch.testing.assert_close(bias[4], -(mean @ mean) - torch.log(torch.tensor(5.0)) + torch.log(torch.tensor(3.0)))


def spread_problem() -> tuple[gaussian.Gaussians, gaussian.Background]:
    random = torch.Generator().manual_seed(7)
    patches, assignment = torch.randn(600, 5, generator=random), torch.arange(600) % 3
    patches += 2 * assignment[:, None].float()
    found = gaussian.gaussians(patches, assignment, torch.ones(600), torch.zeros(3, 5))
    wide = 3 * torch.randn(900, 5, generator=random).double()
    return found, gaussian.Background(wide.mean(dim=0), torch.cov(wide.T), 2.0, 0.25)


def test_a_wide_background_is_the_ratio_of_two_gaussians() -> None:
    """By hand: log densities of both Gaussians, in the unit of eq. 10; the classes' rows are those of before."""
    found, background = spread_problem()
    learnt = gaussian.with_wide_background(found, background)
    plain_weight, plain_bias = gaussian.with_background(found.means, found.precision, background.mean, 2.0)
    assert torch.equal(learnt.weight[:3], plain_weight[:3])
    assert torch.equal(learnt.bias[:3], plain_bias[:3])
    n, d = found.samples, 5
    ridge = torch.eye(d, dtype=torch.float64) * found.covariance.trace() / (n - 1)
    own = found.covariance + ridge
    wide = 0.75 * found.covariance + 0.25 * background.covariance + ridge
    x = torch.randn(8, d, generator=torch.Generator().manual_seed(8)).double()
    normal = torch.distributions.MultivariateNormal
    ratio = normal(background.mean, wide).log_prob(x) - normal(found.means[1].double(), own).log_prob(x)
    y = x @ learnt.weight.double().T + learnt.bias.double()
    y[:, -1] += (x @ learnt.curvature.double() * x).sum(dim=1)
    by_hand = d / (n - 1) * ratio + torch.log(torch.tensor(2.0))
    torch.testing.assert_close(y[:, -1] - y[:, 1], by_hand, rtol=1e-4, atol=1e-4)


def test_a_background_without_spread_is_eq_4() -> None:
    found, background = spread_problem()
    learnt = gaussian.with_wide_background(found, replace(background, spread=0.0))
    weight, bias = gaussian.with_background(found.means, found.precision, background.mean, 2.0)
    assert learnt.curvature is None
    assert torch.equal(learnt.weight, weight)
    assert torch.equal(learnt.bias, bias)


def test_patches_all_alike_have_no_wide_background() -> None:
    found, background = spread_problem()
    nothing = replace(found, covariance=torch.zeros_like(found.covariance))
    assert gaussian.with_wide_background(nothing, background).curvature is None


def test_a_patch_far_from_all_classes_is_anything_else() -> None:
    """The nearest class takes it by eq. 4; a wide background does not leave it to that class."""
    found, background = spread_problem()
    far = torch.full((1, 5), 12.0)  # the means are 0, 2 and 4
    scale = (found.samples - 1) / 5
    parts = []
    for spread in (0.0, 0.25):
        learnt = gaussian.with_wide_background(found, replace(background, spread=spread))
        p = paa.patch_probabilities(far, learnt.weight, learnt.bias, scale, learnt.curvature)
        parts.append(float(p[0, -1]))
    assert parts[0] < 0.01
    assert parts[1] > 0.99


def test_odds_let_no_class_lower_another() -> None:
    """With the fusion of log-odds a class's score depends on its own pooled probability and on [CLS] alone."""
    random = torch.Generator().manual_seed(8)
    pooled, cls = torch.rand(4, 5, generator=random), torch.randn(4, 6, generator=random)
    texts = torch.nn.functional.normalize(torch.randn(5, 6, generator=random), dim=1)
    scales = Scales(1.0, 1.0, 4.5, "odds")
    scores = paa.fused(pooled, cls, texts, scales, 0.9)
    other = pooled.clone()
    other[:, 0] = 0.999
    changed = paa.fused(other, cls, texts, scales, 0.9)
    torch.testing.assert_close(changed[:, 1:], scores[:, 1:])
    assert (changed[:, 0] > scores[:, 0]).all()
    cosines = torch.nn.functional.normalize(cls, dim=1) @ texts.T
    by_hand = 0.9 * torch.log(pooled / (1 - pooled)) + 0.1 * 4.5 * (cosines - cosines.mean(dim=1, keepdim=True))
    torch.testing.assert_close(scores, torch.sigmoid(by_hand))
    torch.testing.assert_close(paa.fused(pooled, cls, texts, scales, 1.0), pooled)
    published = paa.fused(pooled, cls, texts, Scales(1.0, 2.0, 3.0), 0.9)
    torch.testing.assert_close(published.sum(dim=1), torch.ones(4))
