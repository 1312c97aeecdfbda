"""The public face: `Recognizer`, after scikit-learn's manners."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from piaa import __version__
from piaa.classifier import Classifier
from piaa.engine import Learner, Scorer, Setup
from piaa.errors import ImageError, InputError
from piaa.explanation import Explanation
from piaa.inputs.items import batches, iterate
from piaa.method.recipes import Recipe, Scales, get_recipe, recipe_from_dict
from piaa.method.thresholds import DEFAULT_RULE, RULES, Thresholds
from piaa.vision.front_ends import get_front_end
from piaa.vision.models import EMBEDDED, LoadedModel, load_model
from piaa.vision.runtimes import parse_engine
from piaa.vocabulary.labels import Label, parse_labels
from piaa.vocabulary.prototypes import resolve_templates, text_prototypes

TRAINED = "trained"
"""`image_size` that stands for the size a model was trained for."""


class Recognizer:
    """Multi-label recognition without training and without labels (PIAA).

    Args:
        labels: class names, each `name`, `name: synonym, synonym` or a `Label`.
        model: `embedded`, an open_clip name, `local-dir:PATH` or a path; see `piaa.vision.models.load_model`.
        pretrained: tag or checkpoint of an open_clip name.
        front_end: `clip`, `sclip`, `itaclip` or `sc-clip`; None is the model's own: `sc-clip`, where it names no other.
        recipe: a name of `piaa.method.recipes.RECIPES`, or a `Recipe`.
        templates: a name of `piaa.vocabulary.prototypes.TEMPLATE_SETS`, a template, or several.
        image_size: side or (height, width) in pixels; None is a third more than the model was trained for, `trained`
            is that size itself, as published.
        resize: `shortest`, `squash` or `pad`; None is the model's own.
        threshold_rule: a name of `piaa.method.thresholds.RULES`.
        device: `auto`, `cpu`, `cuda`, `mps`.
        precision: `auto`, `fp32`, `bf16`, `fp16`.
        engine: what runs the encoder: `eager`, `compile`, `openvino`, `onnxruntime`, `auto`; see
            `piaa.vision.runtimes`.
        batch_size: images at a time; 0 probes what the memory holds. The answer for an image never depends on it.
        workers: threads that decode images.

    Attributes:
        classifier_: the learnt `Classifier`, after `fit` or `load`.
        thresholds_: the learnt `Thresholds`.
        errors_: (path, reason) of the images that the last call could not read.

    Example:
        >>> recognizer = Recognizer(["anchor", "umbrella"]).fit("photos/unlabelled")  # doctest: +SKIP
        >>> recognizer.predict(["photos/new/1.jpg"])  # doctest: +SKIP
        [{'anchor'}]
    """

    def __init__(
        self,
        labels: Sequence[str | Label],
        *,
        model: str = EMBEDDED,
        pretrained: str | None = None,
        front_end: str | None = None,
        recipe: str | Recipe = "default",
        templates: str | Sequence[str] = "published",
        image_size: int | tuple[int, int] | str | None = None,
        resize: str | None = None,
        threshold_rule: str = DEFAULT_RULE,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "eager",
        batch_size: int = 0,
        workers: int = 2,
    ) -> None:
        self.labels = labels
        self.model = model
        self.pretrained = pretrained
        self.front_end = front_end
        self.recipe = recipe
        self.templates = templates
        self.image_size = image_size
        self.resize = resize
        self.threshold_rule = threshold_rule
        self.device = device
        self.precision = precision
        self.engine = engine
        self.batch_size = batch_size
        self.workers = workers

    _scorer: Scorer | None = None

    def fit(self, X: Any, y: None = None) -> Self:
        """Learn the classifier from unlabelled images (PVCL, algorithm 1).

        Args:
            X: a folder, a path, a glob, or a sequence of paths, PIL images, arrays or tensors.
            y: ignored; there are no labels.

        Raises:
            InputError: when there is not one readable image.
            LabelError, ModelError: see `piaa.vocabulary.labels` and `piaa.vision.models`.
        """
        learner = self.learner()
        for batch in self._batches(X, learner.setup):
            learner.update(batch.images, batch.indices)
        self._warn("fitted")
        return self.adopt(learner)

    def learner(self) -> Learner:
        """The streaming learner that `fit` drives; batch jobs drive it themselves, then call `adopt`."""
        labels = parse_labels(list(self.labels))
        recipe = get_recipe(self.recipe)
        if self.threshold_rule not in RULES:
            raise InputError(f"no threshold rule is called {self.threshold_rule!r}; choose one of: {', '.join(RULES)}")
        setup = self._setup()
        prototypes = text_prototypes(setup.model, labels, self.templates)
        return Learner(setup, labels, prototypes, recipe)

    def adopt(self, learner: Learner) -> Self:
        """Finish what a learner has gathered and become the fitted recognizer.

        Raises:
            InputError: when it has seen no image.
        """
        if learner.evidence.images == 0:
            raise InputError("no readable image among the unlabelled ones, so nothing can be learnt; see errors_")
        result, scales, thresholds = learner.finish(self.threshold_rule)
        names = [label.name for label in learner.labels]
        rows = learner.evidence.bank.rows()
        provenance = torch.cat([result.kept_classes[:, None], rows["provenance"][result.kept]], dim=1)
        self.classifier_ = Classifier(
            labels=learner.labels,
            weight=result.weight,
            bias=result.bias,
            prototypes=learner.prototypes,
            statistics={
                "scales": _scales_tensor(scales),
                "text_scales": _scales_tensor(learner.text_scales()),
                "retained": provenance,  # class, image, patch
            },
            thresholds={
                "values": torch.from_numpy(thresholds.values),
                "slope": torch.from_numpy(thresholds.slope),
            },
            settings={
                **learner.setup.describe(),
                "templates": list(resolve_templates(self.templates)),
                "recipe": learner.recipe.to_dict(),
                "threshold_rule": thresholds.rule,
                "versions": _versions(),
            },
            report={
                "images": learner.evidence.images,
                "patches": learner.evidence.bank.seen,
                "bank_sizes": result.sizes_stage1.tolist(),
                "kept_sizes": result.sizes_stage2.tolist(),
                "fallbacks": {names[c]: reason for c, reason in result.fallbacks.items()},
                "threshold_notes": {names[c]: note for c, note in thresholds.notes.items()},
            },
        )
        self._become(learner.setup)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Scores S of eq. 13: N x C, 0 to 1; a row of NaN for an image that cannot be read."""
        scorer = self.scorer()
        rows: dict[int, NDArray[np.float64]] = {}
        for batch in self._batches(X, scorer.setup):
            scores = scorer.score(batch.images).double().numpy()
            rows.update(zip(batch.indices, scores, strict=True))
        result = np.full((self._count, len(scorer.label_names)), np.nan)
        for index, row in rows.items():
            result[index] = row
        self._warn("scored")
        return result

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated scores N x C, 0..1: 0.5 is the threshold of the class; NaN rows as in `decision_function`.

        Within a class they rank images as `decision_function` does, and they can be compared across classes.
        """
        return self._thresholds().calibrate(self.decision_function(X))

    def predict(self, X: Any) -> list[set[str]]:
        """The labels of each image, at thresholds learnt without labels; an empty set for an unreadable image."""
        scores = self.decision_function(X)
        decided = self._thresholds().decide(np.nan_to_num(scores, nan=-1.0))
        names = self.scorer().label_names
        return [{names[c] for c in np.flatnonzero(row)} for row in decided]

    def explain(self, image: Any, top: int = 5) -> Explanation:
        """Heat maps p(c|patch) of the decided labels of one image, or of the `top` best where none is decided.

        Raises:
            ImageError: when the image cannot be read.
        """
        item = next(iterate(image if isinstance(image, str | Path) else [image]))
        picture = item.load()
        scorer = self.scorer()
        maps, scores = scorer.patch_maps(picture)
        calibrated, decided = scorer.decide(scores[None])
        order = np.argsort(-calibrated[0], kind="stable")
        chosen = [int(c) for c in order if decided[0, c]] or [int(c) for c in order[:top]]
        return Explanation(
            image=picture,
            labels=[scorer.label_names[c] for c in chosen],
            scores=[float(calibrated[0, c]) for c in chosen],
            decided=[bool(decided[0, c]) for c in chosen],
            maps=maps[chosen],
            region=scorer.preprocess.region(*picture.size),
        )

    def set_thresholds(self, thresholds: dict[str, float]) -> Self:
        """Override the threshold of some classes, each a calibrated score between 0 and 1.

        Raises:
            InputError: for a name that is no class, or a value outside (0, 1).
        """
        names = {label.name: index for index, label in enumerate(self._fitted().labels)}
        unknown = sorted(set(thresholds) - names.keys())
        if unknown:
            raise InputError(f"no class is called {', '.join(map(repr, unknown))}; this classifier has {len(names)}")
        try:
            self.thresholds_ = self._thresholds().override({names[n]: v for n, v in thresholds.items()})
        except ValueError as error:
            raise InputError(str(error)) from error
        kept = {"values": torch.from_numpy(self.thresholds_.values), "slope": torch.from_numpy(self.thresholds_.slope)}
        self.classifier_ = replace(self.classifier_, thresholds=kept)  # so that `save` keeps them
        self._scorer = None
        return self

    def save(self, path: str | Path) -> None:
        """Write the classifier file (safetensors with its settings in the metadata), whole or not at all."""
        self._fitted().save(path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        engine: str = "eager",
        batch_size: int = 0,
        workers: int = 2,
    ) -> Self:
        """The recognizer that `save` wrote; its model is loaded too. The engine need not be that of the fit.

        Raises:
            ModelError: for an engine that does not exist or is not installed.
            ClassifierError: when the file is damaged, foreign or newer, or the model is not the one it was made for.
        """
        classifier = Classifier.load(path)
        s = classifier.settings
        precision = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[s["precision"]]
        recognizer = cls(
            classifier.labels,
            model=s["model"],
            pretrained=s["pretrained"] or None,
            front_end=s["front_end"],
            recipe=recipe_from_dict(s["recipe"]),
            templates=tuple(s["templates"]),
            image_size=tuple(s["image_size"]),
            resize=s["resize"],
            threshold_rule=s["threshold_rule"],
            device=device,
            precision=precision,
            engine=engine,
            batch_size=batch_size,
            workers=workers,
        )
        setup = recognizer._setup()
        classifier.check_model(setup.model.fingerprint, setup.model.embed_dim)
        recognizer.classifier_ = classifier
        recognizer._become(setup)
        return recognizer

    def scorer(self) -> Scorer:
        """The pure scorer of the fitted recognizer: tensors in, scores out."""
        classifier = self._fitted()
        if self._scorer is None:
            scales = self._scales("scales")
            self._scorer = Scorer(
                self._setup_,
                [label.name for label in classifier.labels],
                classifier.weight,
                classifier.bias,
                classifier.prototypes,
                scales,
                float(classifier.settings["recipe"]["alpha"]),
                self.thresholds_,
                str(classifier.settings["recipe"].get("aggregator", "max")),
            )
        return self._scorer

    def text_scales(self) -> Scales:
        """The scales for text prototypes in the place of the learnt classifier; for ablations."""
        return self._scales("text_scales")

    def _scales(self, name: str) -> Scales:
        classifier = self._fitted()
        rule = recipe_from_dict(classifier.settings["recipe"]).scales
        inference, patch, cls = (float(value) for value in classifier.statistics[name])
        return Scales(inference, patch, cls, getattr(rule, "fusion", "softmax"))

    def _setup(self) -> Setup:
        parse_engine(self.engine).check_installed()  # before a model is loaded
        model: LoadedModel = load_model(self.model, self.pretrained, device=self.device, precision=self.precision)
        front_end = get_front_end(self.front_end or model.front_end).name
        preprocess = model.preprocess(self._image_size(model), self.resize)
        return Setup(model, front_end, preprocess, self.batch_size, self.engine)

    def _image_size(self, model: LoadedModel) -> int | tuple[int, int]:
        if self.image_size is None:
            return model.larger_size
        if isinstance(self.image_size, str):
            if self.image_size != TRAINED:
                raise InputError(f"image size {self.image_size!r}: give a number of pixels, or {TRAINED!r}")
            return model.image_size
        return self.image_size

    def _become(self, setup: Setup) -> None:
        self._setup_ = setup
        self._scorer = None
        arrays = self.classifier_.thresholds
        self.thresholds_ = Thresholds(
            arrays["values"].double().numpy(),
            arrays["slope"].double().numpy(),
            str(self.classifier_.settings["threshold_rule"]),
        )

    def _fitted(self) -> Classifier:
        if not hasattr(self, "classifier_"):
            raise InputError("this Recognizer is not fitted yet; call fit(images) or Recognizer.load(path) first")
        return self.classifier_

    def _thresholds(self) -> Thresholds:
        self._fitted()
        return self.thresholds_

    def _batches(self, X: Any, setup: Setup) -> Iterator[Any]:
        """Batches of X; what cannot be read goes to `errors_`."""
        self.errors_: list[tuple[str, str]] = []
        self._count = 0

        def counted() -> Iterator[Any]:
            for item in iterate(X):
                self._count += 1
                yield item

        def report(error: ImageError) -> None:
            self.errors_.append((error.path, error.reason))

        yield from batches(counted(), setup.preprocess, setup.decoded_together, self.workers, report)

    def _warn(self, verb: str) -> None:
        if self.errors_:
            path, reason = self.errors_[0]
            warnings.warn(
                f"{len(self.errors_)} images could not be {verb} (see errors_); the first: {path}: {reason}",
                stacklevel=3,
            )


def _scales_tensor(scales: Scales) -> torch.Tensor:
    return torch.tensor([scales.inference, scales.patch, scales.cls], dtype=torch.float64)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"piaa": __version__, "torch": torch.__version__, "open_clip": version("open_clip_torch")}
