"""What is learnt, in one value: a linear classifier over patches, text prototypes, scales, thresholds.

It scores the two embeddings of an image by eq. 11 to 13 and decides its labels. Pure tensors: how the embeddings came
about is not known here, nor what the classes are called.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from piaa.errors import InputError
from piaa.method import paa
from piaa.method.aggregators import get_aggregator
from piaa.method.novelty import Novelty
from piaa.method.recipes import Scales
from piaa.method.thresholds import Thresholds, learn_thresholds

NOVELTY = "novelty."
"""Before the names of the tensors of the test for foreign images."""


def is_foreign(strangeness: Tensor) -> NDArray[np.bool_]:
    """Which images are unlike those of the fit: strangeness N to N bool."""
    result: NDArray[np.bool_] = np.asarray(strangeness) > 1
    return result


@dataclass(frozen=True, eq=False)
class PatchClassifier:
    """The classifier that PVCL learns, with all that PAA needs to use it.

    Attributes:
        weight: C x d, with bias C: the classifier over patches (eq. 4 of stage III). Rows more stand for other words
            and, the last one, for anything else: they take their part of eq. 11 and are then left out.
        bias: as many numbers as `weight` has rows.
        prototypes: C x d, unit length, for the [CLS] scores.
        scales: of the three softmaxes.
        alpha: weight of the patch scores in eq. 13, 0 to 1.
        aggregator: a name of `piaa.method.aggregators.AGGREGATORS`: what stands for the maximum of eq. 12.
        thresholds: of C classes; None where nothing is to be decided.
        novelty: the test for images unlike those of the fit, which get no label; None for no such test.
        curvature: d x d, a quadratic term of the row for anything else; None for none
            (`piaa.method.gaussian.Discriminants`).
    """

    weight: Tensor
    bias: Tensor
    prototypes: Tensor
    scales: Scales
    alpha: float = 0.9
    aggregator: str = "max"
    thresholds: Thresholds | None = None
    novelty: Novelty | None = None
    curvature: Tensor | None = None

    @property
    def classes(self) -> int:
        """C, without the row for anything else."""
        return len(self.prototypes)

    @property
    def dim(self) -> int:
        """Embedding width d."""
        return int(self.weight.shape[1])

    def pooled(self, patches: Tensor) -> Tensor:
        """Eq. 11 and what stands for the maximum of eq. 12: raw patches N x M x d to N x C, 0 to 1."""
        aggregate = get_aggregator(self.aggregator)
        return paa.pooled_probabilities(
            patches, self.weight, self.bias, self.scales.inference, aggregate, self.classes, self.curvature
        )

    def fused(self, pooled: Tensor, cls: Tensor) -> Tensor:
        """Eq. 12 and 13 of pooled probabilities N x C and raw [CLS] embeddings N x d: N x C, 0 to 1."""
        return paa.fused(pooled, cls, self.prototypes, self.scales, self.alpha)

    def score(self, cls: Tensor, patches: Tensor) -> Tensor:
        """Eq. 11 to 13, each image by itself.

        Args:
            cls: N x d, raw [CLS] embeddings.
            patches: N x M x d, raw patch embeddings.

        Returns:
            N x C, 0 to 1; with the published fusion each row has the sum 1.
        """
        return self.fused(self.pooled(patches), cls)

    def cls_witness(self, cls: Tensor) -> NDArray[np.float64]:
        """What [CLS] alone says: cosines with the prototypes less each image's mean, N x d raw to N x C."""
        cosines = F.normalize(cls.to(self.prototypes.dtype), dim=-1) @ self.prototypes.T
        result: NDArray[np.float64] = paa.centred(cosines, 1.0).double().numpy()
        return result

    def probabilities(self, patches: Tensor) -> Tensor:
        """p(c|patch) of eq. 11 for raw patches ... x d: ... x C, without the column for anything else."""
        unit = F.normalize(patches.to(self.weight.dtype), dim=-1)
        found = paa.patch_probabilities(unit, self.weight, self.bias, self.scales.inference, self.curvature)
        return found[..., : self.classes]

    def calibrate(self, scores: Tensor | NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores N x C to 0..1, 0.5 at the threshold of each class.

        Raises:
            InputError: when there are no thresholds.
        """
        return self._thresholds().calibrate(np.asarray(scores, dtype=np.float64))

    def strangeness(self, cls: Tensor, patches: Tensor) -> Tensor:
        """How unlike those of the fit images are: N float32, above 1 foreign; 0 where there is no test.

        Args:
            cls: N x d, raw.
            patches: N x M x d, raw.
        """
        return self.novelty.strangeness(cls, patches) if self.novelty else torch.zeros(len(cls))

    def decide(self, scores: Tensor | NDArray[np.float64], strangeness: Tensor | None = None) -> NDArray[np.bool_]:
        """Which labels each image has: scores N x C to N x C bool. NaN is no label.

        Args:
            scores: N x C.
            strangeness: N, of `strangeness`: foreign images get no label. None: all are taken for usual ones.

        Raises:
            InputError: when there are no thresholds.
        """
        decided = self._thresholds().decide(np.asarray(scores, dtype=np.float64))
        return decided if strangeness is None else decided & ~is_foreign(strangeness)[:, None]

    def with_text(self, scales: Scales) -> PatchClassifier:
        """Text prototypes in the place of the learnt classifier (PAA without PVCL), at scales of their own."""
        bias = torch.zeros(self.classes, dtype=self.prototypes.dtype)
        return replace(self, weight=self.prototypes, bias=bias, scales=scales, thresholds=None, curvature=None)

    def with_learnt_thresholds(self, cls: Tensor | None, patches: Tensor | None, rule: str) -> PatchClassifier:
        """The same with thresholds from unlabelled images.

        Args:
            cls: N x d, raw; None for no images.
            patches: N x M x d, raw; None likewise.
            rule: a name of `piaa.method.thresholds.RULES`.
        """
        none = torch.zeros(0, self.classes)
        scores = none if cls is None or patches is None else self.score(cls, patches)
        witness = None if cls is None else self.cls_witness(cls)
        return replace(self, thresholds=learn_thresholds(scores.double().numpy(), rule, witness))

    def to(self, dtype: torch.dtype) -> PatchClassifier:
        """The same with its tensors in another precision."""
        named = {name: getattr(self, name) for name in ("weight", "bias", "prototypes", "curvature")}
        return replace(self, **{name: tensor.to(dtype) for name, tensor in named.items() if tensor is not None})

    def tensors(self) -> dict[str, Tensor]:
        """All that is no plain value, by name; `plain` has the rest, `from_parts` is the inverse."""
        named = {"weight": self.weight, "bias": self.bias, "prototypes": self.prototypes}
        if self.curvature is not None:
            named["curvature"] = self.curvature
        if self.thresholds is not None:
            named["thresholds.values"] = torch.from_numpy(self.thresholds.values)
            named["thresholds.slope"] = torch.from_numpy(self.thresholds.slope)
        if self.novelty is not None:
            named |= {f"{NOVELTY}{name}": tensor for name, tensor in self.novelty.tensors().items()}
        return named

    def plain(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "scales": self.scales.to_dict(),
            "alpha": self.alpha,
            "aggregator": self.aggregator,
            "threshold_rule": self.thresholds.rule if self.thresholds else None,
            **({"novelty": self.novelty.plain()} if self.novelty else {}),
        }

    @classmethod
    def from_parts(cls, tensors: dict[str, Tensor], plain: dict[str, Any]) -> PatchClassifier:
        """The value that `tensors` and `plain` describe.

        Raises:
            KeyError, TypeError, ValueError: when something is missing or of another kind.
        """
        thresholds = None
        if plain["threshold_rule"] is not None:
            values, slope = (tensors[f"thresholds.{name}"].double().numpy() for name in ("values", "slope"))
            thresholds = Thresholds(values, slope, str(plain["threshold_rule"]))
        novelty = None
        if "novelty" in plain:  # not in files of before
            own = {name.removeprefix(NOVELTY): t for name, t in tensors.items() if name.startswith(NOVELTY)}
            novelty = Novelty.from_parts(own, plain["novelty"])
        return cls(
            tensors["weight"],
            tensors["bias"],
            tensors["prototypes"],
            Scales(**plain["scales"]),
            float(plain["alpha"]),
            str(plain["aggregator"]),
            thresholds,
            novelty,
            tensors.get("curvature"),
        )

    def _thresholds(self) -> Thresholds:
        if self.thresholds is None:
            raise InputError("this classifier has no thresholds, so it ranks images and decides nothing; fit it anew")
        return self.thresholds
