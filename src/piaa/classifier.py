"""What was learnt, on disk: a `Classifier` is one safetensors file with one JSON value in its metadata.

No pickle is read or written. A file is written aside and moved into place, so it is whole or not there. The same
learning gives the same bytes.

    tensors    weight, bias, prototypes, curvature, thresholds.values, thresholds.slope, novelty.NAME, statistics.NAME
    metadata   piaa: {format, format_version, labels, learnt, text_scales, settings, report, tensors}

Version 1 kept the scales as tensors and format and version as metadata of their own; `piaa.classifier_v1` reads it.
Version 2 had no test for foreign images (novelty), and such a file does no such test. Version 3 had no curvature.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piaa.errors import ClassifierError, InputError
from piaa.files import parse_json, whole_file
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales
from piaa.vocabulary.labels import Label

FORMAT = "piaa-classifier"
FORMAT_VERSION = 4

_CORE = ("weight", "bias", "prototypes")
_FLOATING = (*_CORE, "curvature")
_STATISTICS = "statistics."


@dataclass(frozen=True, eq=False)
class Classifier:
    """What was learnt, with the names of its classes and everything needed to use it again.

    Attributes:
        labels: the C classes, in the order of the learnt rows.
        learnt: weights, prototypes, scales and thresholds.
        text_scales: the scales for text prototypes in the place of the learnt weights; for ablations.
        statistics: further tensors by name, of any shape and type.
        settings: JSON values: model, pretrained, model_fingerprint, front_end, templates, recipe, ...
        report: JSON values: bank sizes, fallback classes and reasons, images seen, ...

    Raises:
        ClassifierError: when the parts do not fit each other, or a floating point value is not finite.
    """

    labels: list[Label]
    learnt: PatchClassifier
    text_scales: Scales
    statistics: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        reason = _fault(self)
        if reason:
            raise ClassifierError(f"not a usable classifier: {reason}")

    @property
    def label_names(self) -> list[str]:
        """The C class names."""
        return [label.name for label in self.labels]

    @property
    def dim(self) -> int:
        """Embedding width d."""
        return self.learnt.dim

    @property
    def text(self) -> PatchClassifier:
        """Text prototypes in the place of the learnt weights: PAA without PVCL."""
        return self.learnt.with_text(self.text_scales)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all; an older file stays until the new one is complete.

        Raises:
            ClassifierError: when it cannot be written, or settings or report hold what JSON cannot.
        """
        path = Path(path)
        metadata = {"piaa": self._json()}  # one key: safetensors writes several in no fixed order
        try:
            with whole_file(path) as aside:
                save_file(self._tensors(), aside, metadata=metadata)
        except (InputError, SafetensorError) as error:
            raise ClassifierError(f"cannot write the classifier: {error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Classifier:
        """Read a file that `save` wrote.

        Raises:
            ClassifierError: naming the file and what is wrong: missing, of another type (pickles are named as
                such), damaged or cut short, safetensors of something else, a newer format, or parts that are
                missing or do not fit.
        """
        path = Path(path)
        metadata, tensors = _read(path)
        try:
            content = _content(metadata)
            if content["format_version"] == 1:
                from piaa.classifier_v1 import updated

                content, tensors = updated(content, tensors)
            return cls(**_parse(content, tensors))
        except ClassifierError as error:
            raise ClassifierError(f"{path}: {error}") from error

    def check_model(self, fingerprint: str, dim: int) -> None:
        """Make sure that a model is the one the classifier was learnt with.

        Args:
            fingerprint: of the model at hand, compared with `settings["model_fingerprint"]`.
            dim: its embedding width.

        Raises:
            ClassifierError: when either differs.
        """
        model = " ".join(str(self.settings[key]) for key in ("model", "pretrained") if self.settings.get(key))
        wanted = self.settings.get("model_fingerprint")
        advice = f"use the model it was learnt with ({model or 'not recorded'}), or fit again with this one"
        if dim != self.dim:
            raise ClassifierError(
                f"this classifier takes embeddings of width {self.dim}, the model gives {dim}; {advice}"
            )
        if fingerprint != wanted:
            raise ClassifierError(
                f"this classifier was learnt with other model weights: fingerprint {wanted}, "
                f"the model at hand has {fingerprint}; {advice}"
            )

    def _tensors(self) -> dict[str, Tensor]:
        named = self.learnt.tensors() | {f"{_STATISTICS}{name}": tensor for name, tensor in self.statistics.items()}
        # clones, since safetensors refuses tensors that share memory
        return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in named.items()}

    def _json(self) -> str:
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "learnt": self.learnt.plain(),
            "text_scales": self.text_scales.to_dict(),
            "labels": [[label.name, list(label.synonyms)] for label in self.labels],
            "settings": self.settings,
            "report": self.report,
            "tensors": sorted(self._tensors()),
        }
        try:
            return json.dumps(content, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ClassifierError(f"settings or report cannot be written as JSON: {error}") from error


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors, once the file is known to be of this format and of a known version."""
    _check_head(path)
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            _check_format(path, metadata)
            # copies: a mapped file that changes would change what was loaded, and where its values lie in memory, which
            # the length of the header decides, would show in the last bits of products
            return metadata, {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = f"damaged or cut short ({error}); fit again or restore a copy"
        raise ClassifierError(f"{path}: {reason}") from error


def _check_head(path: Path) -> None:
    """Tell other kinds of file by their first bytes, before safetensors says something obscure about them."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(9)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise ClassifierError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not head:
        raise ClassifierError(f"{path}: an empty file (0 bytes)")
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:9] != b"{":  # first, since a header's length can begin like a pickle
        if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
            raise ClassifierError(
                f"{path}: a pickle or zip archive (PyTorch's .pt?), which is never loaded; "
                "a classifier is what `piaa fit` or `Recognizer.save` wrote"
            )
        raise ClassifierError(f"{path}: not a classifier file (not even safetensors)")
    if 8 + length > size:
        raise ClassifierError(f"{path}: damaged or cut short ({size} bytes are not even its header)")


def _content(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The JSON value of the metadata, with format and version in it, whichever version it is; else those alone."""
    try:
        content = parse_json(metadata["piaa"])
    except (KeyError, ValueError):
        content = None
    if not isinstance(content, dict):
        content = {}
    named = {key: metadata[key] for key in ("format", "format_version") if key in metadata}  # version 1
    version = named.get("format_version", content.get("format_version"))
    if isinstance(version, str) and version.isdecimal():
        version = int(version)
    return {**content, "format": named.get("format", content.get("format")), "format_version": version}


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    content = _content(metadata)
    version = content["format_version"]
    if content["format"] != FORMAT:
        raise ClassifierError(
            f"{path}: a safetensors file of something else (model weights?), not a {FORMAT}; "
            "give the file that `piaa fit` or `Recognizer.save` wrote"
        )
    if not isinstance(version, int) or version < 1:
        raise ClassifierError(f"{path}: damaged: its format version is {version!r}")
    if version > FORMAT_VERSION:
        raise ClassifierError(
            f"{path}: format version {version} is newer than this piaa reads ({FORMAT_VERSION}); upgrade piaa"
        )


def _parse(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of `Classifier`."""
    try:
        labels = [Label(name, tuple(synonyms)) for name, synonyms in content["labels"]]
        missing = sorted((set(content["tensors"]) | set(_CORE)) - tensors.keys())
        if missing:
            raise ClassifierError(f"damaged: missing tensors: {', '.join(missing)}")
        return {
            "labels": labels,
            "learnt": PatchClassifier.from_parts(dict(tensors), content["learnt"]),
            "text_scales": Scales(**content["text_scales"]),
            "statistics": {k[len(_STATISTICS) :]: v for k, v in tensors.items() if k.startswith(_STATISTICS)},
            "settings": content["settings"],
            "report": content["report"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierError(f"damaged: its settings cannot be read ({error!r})") from error


def _fault(classifier: Classifier) -> str | None:
    """What does not fit, in words, or None."""
    return next(_faults(classifier), None)


def _faults(classifier: Classifier) -> Iterator[str]:
    """One by one; what is checked later relies on what was checked before, so only the first counts."""
    labels, learnt = classifier.labels, classifier.learnt
    weight = learnt.weight
    if not labels or not all(isinstance(label, Label) and isinstance(label.name, str) for label in labels):
        yield "it has no class names"
    rows = len(labels) + _other_words(classifier)
    if weight.ndim != 2 or weight.shape[0] not in (rows, rows + 1) or weight.shape[1] < 1:
        yield f"{len(labels)} classes, but weight is {_shape(weight)}"
    for name, wanted in (("bias", weight.shape[:1]), ("prototypes", (len(labels), weight.shape[1]))):
        if getattr(learnt, name).shape != wanted:
            yield f"{name} is {_shape(getattr(learnt, name))}, wanted {' x '.join(map(str, wanted))}"
    yield from _curvature_faults(learnt)
    for name in ("values", "slope") if learnt.thresholds else ():
        array = getattr(learnt.thresholds, name)
        if array.shape != (len(labels),):
            yield f"thresholds {name!r} is {_shape(array)} for {len(labels)} classes"
    if learnt.novelty and (reason := learnt.novelty.fault(weight.shape[-1])):
        yield reason
    for name in ("settings", "report"):
        if not isinstance(getattr(classifier, name), dict):
            yield f"{name} is not a dictionary"
    for name, tensor in classifier._tensors().items():
        if name in _FLOATING and not tensor.is_floating_point():
            yield f"{name} holds {tensor.dtype}, wanted floating point"
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            yield f"{name} holds values that are not finite (NaN or infinity)"


def _other_words(classifier: Classifier) -> int:
    """K, words that have rows and no score."""
    words = classifier.settings.get("other_words", ()) if isinstance(classifier.settings, dict) else ()
    return len(words) if isinstance(words, list) else 0


def _curvature_faults(learnt: PatchClassifier) -> Iterator[str]:
    if learnt.curvature is None:
        return
    if learnt.curvature.shape != (learnt.dim, learnt.dim):
        yield f"curvature is {_shape(learnt.curvature)}, wanted {learnt.dim} x {learnt.dim}"
    if len(learnt.weight) == learnt.classes:
        yield "it has a curvature, but no row for anything else"


def _shape(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
