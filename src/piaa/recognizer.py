"""The public face: `Recognizer`, an estimator over images after scikit-learn's manners."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piaa.baselines import PIAA, Method, get_method
from piaa.classifier import Classifier
from piaa.engine import Learner, Seen, Setup
from piaa.errors import InputError, ModelError
from piaa.explanation import Explanation
from piaa.fitted import Fitted
from piaa.inputs.items import iterate
from piaa.inputs.reading import Reading
from piaa.method.recipes import Recipe, candidates_of
from piaa.method.thresholds import DEFAULT_RULE, get_rule
from piaa.methods import AnyLearner, MethodLearner, front_end_of, method_of, templates_of
from piaa.qualities import engine_of_fit, get_quality
from piaa.setups import check_quality, constructor_of, setup_of
from piaa.tags import Tags
from piaa.vision.models import EMBEDDED
from piaa.vision.models.usual import unlike_notes
from piaa.vocabulary.labels import Label, parse_labels
from piaa.vocabulary.other import of_other_things, parse_other_words
from piaa.vocabulary.prototypes import resolve_templates, text_prototypes
from piaa.vocabulary.unknown import unknown_notes

if TYPE_CHECKING:
    from piaa.hub import Pushed


class Recognizer(Fitted):
    """Multi-label recognition without training and without labels (PIAA).

    Calls share nothing that changes: any number of threads may use one fitted recognizer. It can be cloned, pickled
    and sent to other processes; the model does not travel, it is loaded again at the first use and checked.

    Args:
        labels: class names, each `name`, `name: synonym, synonym` or a `Label`.
        model: `embedded`, an open_clip name, `local-dir:PATH` or a path; see `piaa.vision.models.load_model`.
        pretrained: tag or checkpoint of an open_clip name.
        front_end: `clip`, `sclip`, `itaclip` or `sc-clip`; None is the model's own: `sc-clip`, where it names no other.
        recipe: a name of `piaa.method.recipes.RECIPES`, a `Recipe`, or `auto`: the one that the images speak for.
        templates: a name of `piaa.vocabulary.prototypes.TEMPLATE_SETS`, a template, or several.
        image_size: side or (height, width) in pixels; None is the quality's own, mostly a third more than the model was
            trained for; `trained` is that size itself, as published.
        quality: `fast`, `standard` or `best`: how much work an image is worth; see `piaa.qualities`.
        resize: `shortest`, `squash` or `pad`; None is the model's own.
        threshold_rule: a name of `piaa.method.thresholds.RULES`, or `precision:0.9`: as many labels as an estimated
            precision of 0.9 allows.
        method: `piaa`, a name of `piaa.baselines.METHODS`, or a `piaa.baselines.Method`. Other methods have no recipe;
            `templates="published"` are then the method's own.
        device: `auto`, `cpu`, `cuda`, `mps`.
        precision: `auto`, `fp32`, `bf16`, `fp16`.
        engine: what runs the encoder: `eager`, `compile`, `openvino`, `onnxruntime`, `auto`; see
            `piaa.vision.runtimes`. None is the quality's own.
        batch_size: images at a time; 0 probes what the memory holds. The answer for an image never depends on it.
        workers: threads that decode images.
        other_words: what the images may show beside the labels, in the same form; these words have no column, but what
            is theirs is no label's. With few labels they help much; see docs/adaptive.md. Those that seem to name the
            same thing as a label are left out, with a warning.

    Attributes:
        classifier_: the learnt `Classifier`, after `fit` or `load`.
        classes_: C class names, in the order of all columns.
        thresholds_: the learnt `Thresholds`.
        errors_: (path, reason) of the images that the last finished call could not read.

    Example:
        >>> recognizer = Recognizer(["anchor", "umbrella"]).fit("photos/unlabelled")  # doctest: +SKIP
        >>> recognizer.tag(["photos/new/1.jpg"])[0].labels  # doctest: +SKIP
        ('anchor',)
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
        method: str | Method = PIAA,
        device: str = "auto",
        precision: str = "auto",
        engine: str | None = None,
        batch_size: int = 0,
        workers: int = 2,
        quality: str = "standard",
        other_words: Sequence[str | Label] = (),
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
        self.method = method
        self.device = device
        self.precision = precision
        self.engine = engine
        self.quality = quality
        self.batch_size = batch_size
        self.workers = workers
        self.other_words = other_words

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
        run = self._reading(X, learner.setup)
        for batch in run.batches():
            learner.update(batch.images, batch.indices)
        self._finish(run, "fitted")
        return self.adopt(learner)

    def learner(self) -> AnyLearner:
        """The streaming learner that `fit` drives; batch jobs drive it themselves, then call `adopt`."""
        labels = parse_labels(self.labels)
        words = parse_other_words(self.other_words, labels)
        method, (recipe, *others) = get_method(self.method), candidates_of(self.recipe)
        get_rule(self.threshold_rule)  # before a model is loaded
        if method is not None and (self.recipe != "default" or self.quality == "best"):
            raise InputError(
                f"--method {method.name} has no recipe and sees one size; leave --recipe and --quality out"
            )
        if method is not None and words:
            raise InputError(f"--method {method.name} knows no other words; leave them out")
        setup = self._setup()
        learner: AnyLearner
        if method is None:
            prototypes, words = self._prototypes(setup, labels, words)
            learner = Learner(setup, labels, prototypes, recipe, others=others, other_words=words)
        else:
            learner = MethodLearner(setup, labels, method, templates_of(method, self.templates))
        told = unknown_notes(setup.model, labels) or learner.vocabulary_notes
        useless = unknown_notes(setup.model, words, "these other words keep nothing away")
        learner.vocabulary_notes = told + useless
        for note in learner.vocabulary_notes:
            warnings.warn(note, stacklevel=3)
        return learner

    def _prototypes(self, setup: Setup, labels: list[Label], words: list[Label]) -> tuple[Tensor, list[Label]]:
        """Of the labels and of the other words, and which of these are left."""
        found = text_prototypes(setup.model, [*labels, *words], self.templates)
        asked, others = found[: len(labels)], found[len(labels) :]
        kept = of_other_things(asked, others)
        if left_out := [word.name for index, word in enumerate(words) if index not in kept]:
            warnings.warn(
                f"left out of the other words, since to this model they mean what a label means: {', '.join(left_out)}",
                stacklevel=4,
            )
        return torch.cat([asked, others[kept]]), [words[index] for index in kept]

    def adopt(self, learner: AnyLearner) -> Self:
        """Finish what a learner has gathered and become the fitted recognizer.

        Raises:
            InputError: when it has seen no image.
        """
        if learner.images == 0:
            raise InputError("no readable image among the unlabelled ones, so nothing can be learnt; see errors_")
        classifier = learner.finish(self.threshold_rule)
        if isinstance(learner, Learner):
            unlike = unlike_notes(learner.setup.model.name, learner.evidence.cls_moments.mean)
            for note in unlike:
                warnings.warn(note, stacklevel=3)
            classifier = replace(classifier, report={**classifier.report, "picture_notes": unlike})
        method = learner.method if isinstance(learner, MethodLearner) else None
        chosen = templates_of(method, self.templates) if method else resolve_templates(self.templates)
        templates = {"templates": list(chosen)}
        return self._become(replace(classifier, settings=classifier.settings | templates), learner.setup)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Scores S of eq. 13: N x C, 0 to 1; a row of NaN for an image that cannot be read."""
        return self._look(X)[0].scores.numpy()

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated scores N x C, 0..1: 0.5 is the threshold of the class; NaN rows as in `decision_function`.

        Within a class they rank images as `decision_function` does, and they can be compared across classes.
        """
        return self._fitted().learnt.calibrate(self._look(X)[0].scores)

    def predict(self, X: Any) -> list[set[str]]:
        """The labels of each image, at thresholds learnt without labels; none for an unreadable or foreign image."""
        classifier = self._fitted()
        names = classifier.label_names
        seen, _ = self._look(X)
        _tell_foreign(seen)
        decided = classifier.learnt.decide(*seen)
        return [{names[c] for c in np.flatnonzero(row)} for row in decided]

    def tag(self, X: Any) -> Tags:
        """One object an image, with its path, its labels in order of score, and the scores: see `piaa.tags`."""
        classifier = self._fitted()
        seen, run = self._look(X)
        _tell_foreign(seen)
        return Tags(
            run.ids,
            classifier.label_names,
            classifier.learnt.calibrate(seen.scores),
            classifier.learnt.decide(*seen),
            run.reasons,
            frozenset(np.flatnonzero(seen.foreign).tolist()),
        )

    def explain(self, image: Any, top: int = 5) -> Explanation:
        """Heat maps p(c|patch) of the decided labels of one image, or of the `top` best where none is decided,
        as for an image unlike those of the fit.

        Raises:
            ImageError: when the image cannot be read.
            InputError: for more than one image.
        """
        items = list(islice(iterate(image if isinstance(image, str | Path) else [image]), 2))
        if len(items) > 1:
            raise InputError(f"{image}: explain takes one image, and here are several; call it for each of them")
        picture = items[0].load()
        scorer = self.scorer()
        maps, seen = scorer.patch_maps(picture)
        calibrated, decided = scorer.decide(*seen)
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

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        model: str | None = None,
        pretrained: str | None = None,
        device: str = "auto",
        engine: str | None = None,
        batch_size: int = 0,
        workers: int = 2,
        quality: str | None = None,
        keep_foreign: bool = False,
    ) -> Self:
        """The recognizer that `save` wrote; its model is loaded too. The engine need not be that of the fit.

        Args:
            path: the file.
            model: where the weights are now, if not where they were at the fit; they must be the same ones.
            pretrained: likewise, beside `model`.
            device: as of the class, like the following.
            engine: what runs the encoder; None is the one of the fit where its precision is its own (8 bits, say)
                and it is installed, else `eager`.
            batch_size: images at a time.
            workers: threads that decode.
            quality: None is that of the fit; another one that sees images in the same sizes only changes the engine.
            keep_foreign: see the method of that name.

        Raises:
            InputError: for a quality that sees images in other sizes than the fit did.
            ModelError: when the model is not there, or for an engine that does not exist or is not installed.
            ClassifierError: when the file is damaged, foreign or newer, or the model is not the one it was made for.
        """
        classifier = Classifier.load(path)
        s = classifier.settings
        named = (model, pretrained) if model else (s["model"], pretrained or s["pretrained"] or None)
        recognizer = cls(
            classifier.labels,
            model=named[0],
            pretrained=named[1],
            **constructor_of(s) | ({"quality": quality} if quality else {}),
            method=method_of(classifier) or PIAA,
            device=device,
            engine=engine or (get_quality(quality).engine if quality else engine_of_fit(s.get("engine"))),
            batch_size=batch_size,
            workers=workers,
        )
        try:
            setup = recognizer._setup_of(classifier, named)
        except ModelError as error:
            advice = "where its weights are elsewhere now, name them: --model, or Recognizer.load(path, model=...)"
            raise ModelError(f"{path}: its model cannot be had: {error}\n{advice}") from error
        if quality:
            check_quality(quality, s, setup.model)
        recognizer._become(classifier, setup)
        return recognizer.keep_foreign() if keep_foreign else recognizer

    def push_to_hub(self, name: str, **options: Any) -> Pushed:
        """Upload the classifier and its card to `hf-hub:OWNER/NAME`; see `piaa.hub.push`."""
        from piaa.hub import push

        return push(self._fitted(), name, **options)

    @classmethod
    def from_hub(cls, name: str, *, revision: str | None = None, token: str | None = None, **options: Any) -> Self:
        """The recognizer of `hf-hub:OWNER/NAME`, from the hub or the cache; `options` as of `load`."""
        from piaa.hub import pull

        return cls.load(pull(name, revision=revision, token=token), **options)

    def _setup(self) -> Setup:
        """By the parameters, for a fit."""
        quality = get_quality(self.quality)
        return setup_of(
            (self.model, self.pretrained),
            front_end=front_end_of(self.method, self.front_end),
            image_size=quality.image_size if self.image_size is None else self.image_size,
            views=quality.views,
            resize=self.resize,
            precision=self.precision,
            **self._run_by(),
        )

    def _reading(self, X: Any, setup: Setup) -> Reading:
        return Reading(X, setup.preprocess, setup.decoded_together, self.workers)

    def _look(self, X: Any) -> tuple[Seen, Reading]:
        """Scores N x C with rows of NaN for what cannot be read, strangeness, and what else is known of the images."""
        scorer = self.scorer()
        run = self._reading(X, scorer.setup)
        rows: dict[int, tuple[Tensor, Tensor]] = {}
        for batch in run.batches():
            scores, strangeness = scorer.look(batch.images)
            rows.update(zip(batch.indices, zip(scores.double(), strangeness, strict=True), strict=True))
        scores = torch.full((len(run.ids), len(scorer.label_names)), torch.nan, dtype=torch.float64)
        strangeness = torch.zeros(len(run.ids))
        for index, (row, strange) in rows.items():
            scores[index], strangeness[index] = row, strange
        self._finish(run, "scored")
        return Seen(scores, strangeness), run

    def _finish(self, run: Reading, verb: str) -> None:
        errors = self.errors_ = [(run.ids[index], reason) for index, reason in run.reasons.items()]
        if errors:
            path, reason = errors[0]
            warnings.warn(
                f"{len(errors)} images could not be {verb} (see errors_); the first: {path}: {reason}",
                stacklevel=4,
            )


def _tell_foreign(seen: Seen) -> None:
    count = int(seen.foreign.sum())
    if count:
        warnings.warn(
            f"{count} of {len(seen.scores)} images are unlike those of the fit and were given no label (foreign in "
            "Recognizer.tag's answer); keep_foreign() gives them labels too",
            stacklevel=3,
        )
