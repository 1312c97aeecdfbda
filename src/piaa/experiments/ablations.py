"""The ablations past the paper: variants of PIAA on the same embeddings, each paired with the method as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.engine import Learner, Setup
from piaa.evaluation import metrics
from piaa.evaluation.metrics.bootstrap import bootstrap_samples, interval_of
from piaa.evaluation.metrics.compare import comparison_of
from piaa.experiments import changed_learning as changed
from piaa.experiments.features import Features
from piaa.experiments.job import Job
from piaa.experiments.results import Row
from piaa.experiments.variants import Variant, variant_of
from piaa.inputs.items import Item
from piaa.method import gaussian, paa, pvcl
from piaa.method.aggregators import get_aggregator
from piaa.method.bank import Bank
from piaa.method.evidence import Evidence, best_of_each
from piaa.method.recipes import Scales
from piaa.vision.encoder import Encoded
from piaa.vocabulary.prototypes import text_prototypes

RESAMPLES = 1000


@dataclass(frozen=True)
class Views:
    """Stored embeddings of the same images at one or more sizes, as one image's patches; smoothed on request."""

    features: tuple[Features, ...]
    smoothing: float

    def batches(self, size: int = 256) -> Iterator[tuple[Encoded, list[int]]]:
        """As `Features.batches`; [CLS] is that of the first size."""
        for parts in zip(*(each.batches(size) for each in self.features), strict=True):
            patches = [
                changed.smooth(encoded.patches, encoded.grid, self.smoothing) if self.smoothing else encoded.patches
                for encoded, _ in parts
            ]
            first, indices = parts[0]
            yield Encoded(first.cls, torch.cat(patches, dim=1), first.grid), indices


@dataclass(frozen=True)
class Head:
    """Everything between embeddings and scores.

    Attributes:
        patch: weight and bias of eq. 11, C rows or, with a background, C + 1.
        cls: weight and bias of the [CLS] logits, C rows.
        scales: of the three softmaxes.
        variant: alpha, aggregator, fusion.
    """

    patch: changed.Affine
    cls: changed.Affine
    scales: Scales
    variant: Variant

    def pooled(self, patches: Tensor) -> Tensor:
        """Eq. 11 and the maximum of eq. 12 of N x M x d patches: N x C, without the background's column."""
        aggregate = get_aggregator(self.variant.recipe.aggregator)
        pooled = paa.pooled_probabilities(patches, *self.patch, self.scales.inference, aggregate)
        return pooled[:, : len(self.cls[0])]

    def parts(self, cls: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of eq. 13, N x C each."""
        unit, fusion = F.normalize(cls.float(), dim=-1), paa.FUSIONS[self.scales.fusion]
        logits = unit @ self.cls[0].T + self.cls[1]
        return fusion.patch(self.pooled(patches), self.scales.patch), fusion.cls(logits, self.scales.cls)

    def fused(self, patch: Tensor, cls: Tensor, evidence: Evidence) -> Tensor:
        """Eq. 13 of both `parts`, N x C each: N x C, 0 to 1 unless standardised."""
        if self.variant.standardise_fusion:
            known = self.parts(*_sample(evidence))
            patch, cls = ((part - s.mean(0)) / s.std(0) for part, s in zip((patch, cls), known, strict=True))
        return paa.FUSIONS[self.scales.fusion].link(paa.fuse(patch, cls, self.variant.recipe.alpha))


def head_of(patch: changed.Affine, evidence: Evidence, texts: Tensor, variant: Variant) -> Head:
    """The head of a learnt patch classifier: [CLS] logits and scales by the variant's rules."""
    none = torch.zeros(len(texts))
    cls = changed.standardised(texts, none, evidence.cls_moments) if variant.standardise_cls else (texts, none)
    return Head(patch, cls, _scales(evidence, patch, cls, variant), variant)


class Bench:
    """Variants on the embeddings of one job; what two variants share is computed once.

    Args:
        job: data set, model, front-end and recipe.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._gathered: dict[str, tuple[str, Evidence]] = {}

    def scores(self, variant: Variant) -> Tensor:
        """N x C, of the test images whose labels are known."""
        head, evidence = self.head(variant)
        both = [head.parts(encoded.cls, encoded.patches) for encoded, _ in self._views(variant, False).batches()]
        patch, cls = (torch.cat(part)[self.job.known[0]] for part in zip(*both, strict=True))
        return head.fused(patch, cls, evidence)

    def head(self, variant: Variant) -> tuple[Head, Evidence]:
        """Learn it."""
        texts, evidence = self._prototypes(variant), self._evidence(variant)
        return head_of(self._classifier(variant, evidence, texts), evidence, texts, variant), evidence

    def _classifier(self, variant: Variant, evidence: Evidence, texts: Tensor) -> changed.Affine:
        rows = self._harvest_by_text(variant, evidence, texts)
        learnt = learn_variant(variant, evidence, texts, rows)
        for _ in range(variant.harvests - 1):
            rows = self._harvest(variant, evidence, _by_classifier(variant, evidence, learnt))
            learnt = learn_variant(variant, evidence, texts, rows)
        return learnt

    def _harvest_by_text(self, variant: Variant, evidence: Evidence, texts: Tensor) -> dict[str, Tensor]:
        """Stage I; from what is gathered already unless the variant fills the banks otherwise."""
        if variant.share == 1 and variant.gate == 0 and not variant.harvest_standardised:
            return limited_rows(evidence.bank, variant)
        weight, bias, scale = texts, torch.zeros(len(texts)), variant.recipe.text_scale
        if variant.harvest_standardised:  # at the same spread, so that text_scale keeps its meaning
            spread = evidence.patch_moments.spread(weight)
            weight, bias = changed.standardised(weight, bias, evidence.patch_moments)
            scale *= spread / (evidence.patch_moments.spread(weight, bias) or 1.0)

        def probabilities(unit: Tensor, cls: Tensor) -> Tensor:
            gate = variant.gate * (cls @ texts.T)
            return torch.softmax(scale * (unit @ weight.T + bias + gate), dim=-1)

        return self._harvest(variant, evidence, probabilities)

    def _harvest(
        self, variant: Variant, evidence: Evidence, probabilities: Callable[[Tensor, Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """Another pass over the unlabelled patches; `probabilities` takes them and their images' [CLS], unit length."""
        bank = Bank(evidence.bank.classes, variant.recipe.bank_size, evidence.bank.dim)
        for encoded, indices in self._views(variant, True).batches():
            number, tokens, dim = encoded.patches.shape
            unit = F.normalize(encoded.patches, dim=-1).reshape(-1, dim)
            cls = F.normalize(encoded.cls, dim=-1).repeat_interleave(tokens, dim=0)
            images = torch.tensor(indices).repeat_interleave(tokens)
            places = torch.stack([images, torch.arange(tokens).repeat(number)], dim=1)
            for part in gaussian.row_chunks(len(unit), bank.classes):
                given = probabilities(unit[part], cls[part])
                changed.offer_softly(bank, unit[part], given, variant.share, places[part])
        return limited_rows(bank, variant)

    def _evidence(self, variant: Variant) -> Evidence:
        """Everything one pass remembers; the last one is kept, and that of the method as it is."""
        views = variant.plain_views if variant.learn_plain else variant
        recipe = variant.recipe
        parts = (self._setup(variant).front_end, views.sizes, views.smoothing, variant.templates)
        key = repr((*parts, recipe.text_scale, recipe.bank_size))
        for known, evidence in self._gathered.values():
            if known == key:
                return evidence
        learner = Learner(self._setup(variant), self.job.classes, self._prototypes(variant), recipe)
        for encoded, indices in self._views(variant, True).batches():
            learner.update_encoded(encoded, indices)
        self._gathered["last" if self._gathered else "first"] = key, learner.evidence
        return learner.evidence

    def _prototypes(self, variant: Variant) -> Tensor:
        return text_prototypes(self.job.setup.model, self.job.classes, variant.templates).float().cpu()

    def _setup(self, variant: Variant, size: float = 1.0) -> Setup:
        setup = self.job.setup
        steps = setup.model.tower.patch_size
        height, width = (
            max(1, round(side * size / step)) * step
            for side, step in zip(setup.preprocess.image_size, steps, strict=True)
        )
        preprocess = replace(setup.preprocess, image_size=(height, width))
        return replace(setup, front_end=variant.front_end or setup.front_end, preprocess=preprocess)

    def _views(self, variant: Variant, unlabelled: bool) -> Views:
        seen = variant.plain_views if unlabelled and variant.learn_plain else variant
        items: list[Item] = self.job.dataset.unlabelled if unlabelled else self.job.dataset.test
        features = (self.job.store.get(self._setup(seen, size), items, self.job.progress) for size in seen.sizes)
        return Views(tuple(features), seen.smoothing)


def limited_rows(bank: Bank, variant: Variant) -> dict[str, Tensor]:
    """The bank's rows, as far as the recipe's share goes."""
    rows = bank.rows()
    best = best_of_each(rows["classes"], variant.recipe.bank_limit(bank.seen, bank.classes))
    return {name: column[best] for name, column in rows.items()}


def learn_variant(variant: Variant, evidence: Evidence, texts: Tensor, rows: dict[str, Tensor]) -> changed.Affine:
    """Stages I to III on a bank's rows, and what is added to eq. 4."""
    recipe, moments = variant.recipe, evidence.patch_moments
    named = pvcl.PURIFIERS[recipe.purifier]
    purifier = pvcl.margin_purifier(variant.keep) if named is pvcl.purify_by_margin else named

    def precision(covariance: Tensor, samples: int) -> Tensor:
        chosen = changed.total_covariance(moments) if variant.covariance == "all" else covariance
        return changed.precision_of(chosen, samples, variant.shrinkage)

    def means(patches: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        scale = variant.responsibility / (moments.spread(weight, bias) or 1.0)
        return changed.responsible_means(patches, weight, bias, scale, texts)

    gaussians = changed.learn_in_rounds(
        rows, texts, lambda logits: purifier(logits, recipe.purify_scale), variant.rounds, precision,
        means if variant.responsibility else None,
    )  # fmt: skip
    weight, bias = gaussian.linear_classifier(gaussians.means, gaussians.precision)
    if recipe.background:
        weight, bias = gaussian.with_background(gaussians.means, gaussians.precision, moments.mean, recipe.background)
    if variant.prior:
        own = changed.with_priors(bias[: len(texts)], gaussians.claimed, variant.prior)
        bias = torch.cat([own, bias[len(texts) :]])
    if variant.text:
        weight, bias = changed.with_text((weight, bias), texts, moments, variant.text)
    return changed.standardised(weight, bias, moments) if variant.standardise_patches else (weight, bias)


def _by_classifier(variant: Variant, evidence: Evidence, learnt: changed.Affine) -> Callable[[Tensor, Tensor], Tensor]:
    """Eq. 11 by a learnt classifier, in the place of the text probabilities of stage I."""
    classes = evidence.bank.classes
    weight, bias = (part[:classes] for part in learnt)
    scale = variant.recipe.scales.inference_scale(evidence.patch_moments.spread(weight, bias))

    def probabilities(unit: Tensor, cls: Tensor) -> Tensor:
        return paa.patch_probabilities(unit, weight, bias, scale)

    return probabilities


def _sample(evidence: Evidence) -> tuple[Tensor, Tensor]:
    cls, patches = evidence.sample.cls, evidence.sample.patches
    assert cls is not None
    assert patches is not None
    return cls, patches


def _scales(evidence: Evidence, patch: changed.Affine, cls: changed.Affine, variant: Variant) -> Scales:
    """As `Evidence.scales`, for [CLS] logits that have a bias; a background is no class and no part of a spread."""
    rule = variant.recipe.scales
    spread = evidence.patch_moments.spread(*(part[: len(cls[0])] for part in patch))
    first = Head(patch, cls, Scales(rule.inference_scale(spread), 1.0, 1.0), variant)
    pooled = first.pooled(_sample(evidence)[1]).double()
    pooled_spread = float(pooled.var(dim=1, correction=0).mean().sqrt())
    return rule.resolve(spread, pooled_spread, evidence.cls_moments.spread(*cls))


def ablations(job: Job) -> list[Row]:
    """mAP of each line's variant, its difference to the method as it is with a paired interval, and the p value."""
    bench, labels = Bench(job), job.labels
    baseline = bench.scores(variant_of({}, job.recipe))
    value, samples = _measured(baseline, labels)
    parameter = "" if job.dataset.seed is None else f"seed={job.dataset.seed}"
    rows = []
    for run in job.runs:
        variant = variant_of(run.change, job.recipe)
        scores = baseline if variant == variant_of({}, job.recipe) else bench.scores(variant)
        own, resampled = (value, samples) if scores is baseline else _measured(scores, labels)
        interval = interval_of(own, resampled)
        against = comparison_of(own, value, resampled, samples)
        line = replace(run, front_end=variant.front_end or run.front_end)
        percent = (100 * interval.value, 100 * interval.low, 100 * interval.high)
        difference = (100 * against.difference, 100 * against.low, 100 * against.high)
        rows += [
            job.row(line, "mAP", *percent, parameter=parameter),
            job.row(line, "difference", *difference, parameter=parameter),
            job.row(line, "p value", against.p_value, parameter=parameter),
        ]
    return rows


def _measured(scores: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    value = float(metrics.mean_average_precision(scores, labels))
    return value, bootstrap_samples(metrics.mean_average_precision, scores, labels, resamples=RESAMPLES)
