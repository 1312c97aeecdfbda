"""The two pure jobs between tensors: `Learner` (images -> classifier) and `Scorer` (images -> scores -> labels).

Neither reads a file nor shows progress; `piaa.jobs` and `piaa.recognizer` drive them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from piaa.classifier import Classifier
from piaa.method.evidence import Evidence
from piaa.method.learning import Learnt, learn, sample_scores
from piaa.method.novelty import learn_novelty
from piaa.method.patch_classifier import PatchClassifier, is_foreign
from piaa.method.pvcl import PVCLResult
from piaa.method.recipes import Recipe, Scales
from piaa.method.reliability import quality_notes, quality_of
from piaa.method.thresholds import DEFAULT_RULE, expected_average_precision, learn_thresholds
from piaa.version import __version__
from piaa.vision.encoder import Encoded, Encoder
from piaa.vision.models import BatchedEncoder, LoadedModel, most_images
from piaa.vision.preprocess import Preprocess
from piaa.vision.runtimes import parse_engine
from piaa.vision.runtimes.build import build_encoder
from piaa.vision.views import SeveralViews, Views
from piaa.vocabulary.alike import vocabulary_notes
from piaa.vocabulary.labels import Label


@dataclass(frozen=True)
class Setup:
    """Everything that decides what an image's embeddings are: the model, what enters it, what leaves it.

    Attributes:
        model: the loaded model.
        front_end: name of the front-end.
        preprocess: PIL RGB image to 3 x H x W, of the largest view.
        batch_size: images at a time at most; 0 probes the memory.
        engine: what runs the encoder; see `piaa.vision.runtimes.names`.
        views: in what sizes an image is seen; None is the one of `preprocess`.
    """

    model: LoadedModel
    front_end: str
    preprocess: Preprocess
    batch_size: int = 0
    engine: str = "eager"
    views: Views | None = None

    @property
    def decoded_together(self) -> int:
        """How many images are prepared for the encoder at a time: the batch size, or the most that a probe allows."""
        return self.batch_size or most_images(self.model.device)

    def encoder(self) -> Callable[[Tensor], Encoded]:
        """The one-pass encoder in its engine, splitting what does not fit.

        Raises:
            ModelError: for an engine that does not exist, is not installed, or does not suit device and precision.
        """
        eager = Encoder(self.model.tower, self.front_end)
        encoder = build_encoder(eager, self.engine, self.model.fingerprint, self.preprocess.image_size)
        if self.views and self.views.several:
            encoder = SeveralViews(encoder, self.views)
        return BatchedEncoder(encoder, self.batch_size)

    def describe(self) -> dict[str, Any]:
        """Plain values that name this set-up; equal values give equal embeddings.

        The engine is one of them only where it computes in another precision than the model's, the views only where
        there are several.
        """
        engine = parse_engine(self.engine)
        size = self.views.sizes[0] if self.views else self.preprocess.image_size
        return {
            "model": self.model.name,
            "pretrained": self.model.pretrained,
            "model_fingerprint": self.model.fingerprint,
            "front_end": self.front_end,
            "image_size": list(size),
            **({"views": self.views.name} if self.views and self.views.several else {}),
            "resize": self.preprocess.resize,
            "precision": str(self.model.dtype).removeprefix("torch."),
            **({} if engine.exact else {"engine": str(engine)}),
        }


def digest(*parts: Any) -> str:
    """16 hexadecimal digits that change when any of the plain values or tensors does."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            total.update(part.detach().cpu().contiguous().numpy().tobytes())
        else:
            total.update(json.dumps(part, sort_keys=True, default=str).encode())
    return total.hexdigest()[:16]


class Learner:
    """PVCL over a stream of image batches (algorithm 1). Memory does not grow with the images.

    Args:
        setup: model, front-end, preprocessing.
        labels: C classes.
        prototypes: (C + K) x d, unit length: of the labels, then of the other words.
        recipe: every number of the method.
        others: recipes that may take its place at `finish`, where the images speak for them; all must have its bank
            size and text scale.
        sample_images: whole images kept for the thresholds.
        other_words: K words that nobody asks for; see `piaa.vocabulary.other`.

    Attributes:
        vocabulary_notes: what a user should know of these class names; see `piaa.vocabulary.alike`.
    """

    def __init__(
        self,
        setup: Setup,
        labels: Sequence[Label],
        prototypes: Tensor,
        recipe: Recipe,
        sample_images: int = 2000,
        others: Sequence[Recipe] = (),
        other_words: Sequence[Label] = (),
    ) -> None:
        self.setup, self.labels, self.recipe, self.others = setup, list(labels), recipe, list(others)
        self.prototypes, self.other_words = prototypes.float().cpu(), list(other_words)
        alone = len(labels) == 1 and other_words  # the one class has something to be told from
        self.vocabulary_notes = [] if alone else vocabulary_notes([label.name for label in labels], self.asked)
        self.preprocess = setup.preprocess
        self.fingerprint = digest(
            setup.describe(),
            *(one.to_dict() for one in (recipe, *others)),
            [label.phrases for label in labels],
            self.prototypes,
        )
        self.evidence = Evidence(len(prototypes), prototypes.shape[1], recipe.bank_size, sample_images)
        self._encode = setup.encoder()

    def update(self, images: Tensor, indices: Sequence[int]) -> None:
        """Take in a batch N x 3 x H x W; `indices` number the images in the whole run."""
        self.update_encoded(self._encode(images), indices)

    def update_encoded(self, encoded: Encoded, indices: Sequence[int]) -> None:
        """Take in the embeddings of a batch that is encoded already."""
        self.evidence.update(
            encoded.cls.cpu(),
            encoded.patches.cpu(),
            torch.as_tensor(list(indices), dtype=torch.int64),
            self.prototypes,
            self.recipe.text_scale,
        )

    @property
    def images(self) -> int:
        """Images seen."""
        return self.evidence.images

    @property
    def asked(self) -> Tensor:
        """Prototypes of the labels: C x d."""
        return self.prototypes[: len(self.labels)]

    def shrink_bank(self, size: int) -> None:
        """Cut the bank down to a smaller K, as if it had been harvested with it; for sweeps over K."""
        self.evidence.bank = self.evidence.bank.shrunk(size)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything learnt so far, for a checkpoint."""
        return self.evidence.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: when it is of another shape.
        """
        self.evidence.load_state_dict(state)

    def text_scales(self) -> Scales:
        """The scales of inference for text prototypes in the place of the learnt classifier: the ablations' own."""
        none = torch.zeros(len(self.labels))
        return self.evidence.scales(self.asked, none, self.asked, self.recipe)

    def finish(self, rule: str = DEFAULT_RULE) -> Classifier:
        """Stages I to III, scales, thresholds by `rule` and the test for foreign images, on what has been seen."""
        (classifier, result, text), recipe, found = self._chosen()
        scores = sample_scores(classifier, self.evidence)
        cls, patches = self.evidence.sample.cls, self.evidence.sample.patches
        thresholds = learn_thresholds(scores, rule, None if cls is None else classifier.cls_witness(cls))
        learnt = replace(classifier, thresholds=thresholds, novelty=learn_novelty(cls, patches))
        if found:
            found["expected_ap"] = expected_average_precision(scores).tolist()
        provenance = self.evidence.bank.rows()["provenance"][result.kept]
        return Classifier(
            self.labels,
            learnt,
            self.text_scales(),
            statistics={"retained": torch.cat([result.kept_classes[:, None], provenance], dim=1)},
            settings={
                **self.setup.describe(),
                "recipe": recipe.to_dict(),
                "threshold_rule": rule,
                "versions": software(),
                **({"other_words": [[w.name, list(w.synonyms)] for w in self.other_words]} if self.other_words else {}),
            },
            report={
                **self._report(result, learnt),
                "text_share": text,
                "quality": found,
                "quality_notes": quality_notes(found, recipe.name, self.evidence.images, len(self.labels)),
            },
        )

    def _chosen(self) -> tuple[Learnt, Recipe, dict[str, Any]]:
        """What the recipe gives, or another one that the images speak for; and what is known of its quality."""
        built = {
            one.name: (learn(self.evidence, self.prototypes, one, len(self.labels)), one)
            for one in (self.recipe, *self.others)
        }
        plain = {name: learnt.classifier for name, (learnt, _) in built.items()}
        found = quality_of(plain, self.evidence, self.recipe.text_scale)
        name = next((name for name in found.get("reliability", {}) if name in built), self.recipe.name)
        return *built[name], found

    def _report(self, result: PVCLResult, learnt: PatchClassifier) -> dict[str, Any]:
        names = [label.name for label in (*self.labels, *self.other_words)]
        notes = learnt.thresholds.notes if learnt.thresholds else {}
        return {
            "images": self.evidence.images,
            "patches": self.evidence.bank.seen,
            "bank_sizes": result.sizes_stage1[: len(self.labels)].tolist(),
            "kept_sizes": result.sizes_stage2[: len(self.labels)].tolist(),
            "fallbacks": {names[c]: reason for c, reason in result.fallbacks.items() if c < len(self.labels)},
            "vocabulary_notes": self.vocabulary_notes,
            "threshold_notes": {names[c]: note for c, note in notes.items()},
        }


class Seen(NamedTuple):
    """What is known of N images.

    Attributes:
        scores: N x C, 0 to 1.
        strangeness: N float32: above 1 an image is unlike those of the fit.
    """

    scores: Tensor
    strangeness: Tensor

    @property
    def foreign(self) -> NDArray[np.bool_]:
        """N: which images are unlike those of the fit."""
        return is_foreign(self.strangeness)


class Scorer:
    """PAA over image batches (section 3.4), and the decision which labels an image has.

    Args:
        setup: model, front-end, preprocessing: those that the classifier was learnt with.
        classifier: what was learnt.

    Attributes:
        label_names: C names.
        learnt: the classifier's value, in float32.
        fingerprint: changes with anything that changes a score or a decision.
    """

    def __init__(self, setup: Setup, classifier: Classifier) -> None:
        self.setup, self.classifier = setup, classifier
        self.preprocess = setup.preprocess
        self.label_names = classifier.label_names
        self.learnt = classifier.learnt.to(torch.float32)
        tensors = (tensor for _, tensor in sorted(self.learnt.tensors().items()))
        self.fingerprint = digest(setup.describe(), self.label_names, self.learnt.plain(), *tensors)
        self._encode = setup.encoder()

    def encode(self, images: Tensor) -> Encoded:
        """Both embeddings of N x 3 x H x W, on the CPU."""
        encoded = self._encode(images)
        return Encoded(encoded.cls.cpu(), encoded.patches.cpu(), encoded.grid)

    def score_encoded(self, encoded: Encoded) -> Tensor:
        """Eq. 11 to 13 on embeddings: N x C, 0 to 1. One image at a time, so that no bit of it tells of the batch."""
        return torch.cat([self.learnt.score(*one) for one in _one_by_one(encoded)])

    def look_encoded(self, encoded: Encoded) -> Seen:
        """Scores, and how unlike the images of the fit these are, likewise one image at a time."""
        return Seen(self.score_encoded(encoded), self.strangeness_encoded(encoded))

    def strangeness_encoded(self, encoded: Encoded) -> Tensor:
        """N: how unlike the images of the fit these are; above 1 one is foreign."""
        return torch.cat([self.learnt.strangeness(*one) for one in _one_by_one(encoded)])

    def look(self, images: Tensor) -> Seen:
        """The same of N x 3 x H x W."""
        return self.look_encoded(self.encode(images))

    @property
    def tests_foreign(self) -> bool:
        """Whether the classifier has a test for images unlike those of the fit."""
        return self.learnt.novelty is not None

    def score(self, images: Tensor) -> Tensor:
        """N x 3 x H x W to scores N x C, eq. 13."""
        return self.score_encoded(self.encode(images))

    def decide(
        self, scores: Tensor, strangeness: Tensor | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Calibrated scores N x C (0..1, 0.5 is the class's threshold) and which labels each image has."""
        return self.learnt.calibrate(scores), self.learnt.decide(scores, strangeness)

    def patch_maps(self, image: Image.Image) -> tuple[Tensor, Seen]:
        """For one image: p of eq. 11 as C x rows x columns, in its largest view, and what is known of it."""
        encoded = self.encode(self.preprocess(image)[None])
        p = self.learnt.probabilities(encoded.patches[0])
        finest = p[-encoded.grid[0] * encoded.grid[1] :]
        return finest.T.reshape(len(self.label_names), *encoded.grid), self.look_encoded(encoded)


def _one_by_one(encoded: Encoded) -> Iterator[tuple[Tensor, Tensor]]:
    rows = (slice(index, index + 1) for index in range(len(encoded.cls)))
    return ((encoded.cls[row], encoded.patches[row]) for row in rows)


def software() -> dict[str, str]:
    """Versions that a classifier's settings keep."""
    return {"piaa": __version__, "torch": torch.__version__, "open_clip": version("open_clip_torch")}
