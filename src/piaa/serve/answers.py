"""From scores to the answer of one image: the labels of `piaa tag`, to the last digit, and what else was asked for."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from piaa.jobs.rows import DIGITS
from piaa.method.patch_classifier import PatchClassifier, is_foreign
from piaa.report.explain import heat_map, overlay
from piaa.serve.batcher import Outcome, Scored
from piaa.serve.refusals import Fault, Refusal
from piaa.serve.reload import Loaded
from piaa.serve.schema import MOST_MAPS, Options


def chosen_columns(loaded: Loaded, options: Options) -> list[int]:
    """The columns of the classes asked for, in the order of the classifier, each once.

    Raises:
        Refusal: 422 for a class or a set of thresholds that this classifier does not have.
    """
    if options.thresholds not in loaded.sets:
        raise Refusal(422, "unknown-thresholds", f"no such set; there are: {', '.join(loaded.sets)}")
    if options.labels is None:
        return list(range(len(loaded.positions)))
    unknown = [name for name in options.labels if name not in loaded.positions]
    if unknown:
        raise Refusal(422, "unknown-label", f"no class is called {unknown[0][:200]!r}; GET /labels lists them")
    return sorted({loaded.positions[name] for name in options.labels})


def answer(loaded: Loaded, options: Options, columns: Sequence[int], name: str, outcome: Outcome) -> dict[str, Any]:
    """The answer of one image; see `piaa.serve.schema.ImageOut`.

    Args:
        loaded: the classifier that scored it.
        options: what the client asked for.
        columns: of `chosen_columns`.
        name: of the image.
        outcome: its scores, or why there are none.
    """
    if isinstance(outcome, Fault):
        return _failed(name, outcome)
    learnt = loaded.sets[options.thresholds]
    calibrated = learnt.calibrate(outcome.scores[None])[0]
    decided = learnt.decide(outcome.scores[None], outcome.strangeness[None])[0]
    if not np.isfinite(calibrated).all():
        return _failed(name, Fault("failed", "its scores are not finite"))
    names = loaded.scorer.label_names
    values = {c: round(float(calibrated[c]), DIGITS) for c in columns}
    order = sorted(columns, key=lambda c: -values[c])  # stable: ties in the order of the classes
    found: dict[str, Any] = {
        "name": name,
        "labels": [{"label": names[c], "score": values[c]} for c in order if decided[c]],
        "error": None,
        "foreign": bool(is_foreign(outcome.strangeness)),
    }
    shown = [c for c in order if decided[c]]
    if options.top_k is not None:
        top = order[: options.top_k]
        found["top"] = [{"label": names[c], "score": values[c], "decided": bool(decided[c])} for c in top]
        shown += [c for c in top if not decided[c]]
    if options.scores:
        found["scores"] = {names[c]: values[c] for c in columns}
    if options.embeddings:
        found["embedding"] = F.normalize(outcome.encoded.cls[0], dim=0).tolist()
    if options.heat_maps != "none":
        found["heat_maps"] = _heat_maps(learnt, names, shown[:MOST_MAPS], outcome, options.heat_maps == "overlay")
    return found


def _failed(name: str, fault: Fault) -> dict[str, Any]:
    return {"name": name, "labels": None, "error": {"code": fault.code, "reason": fault.reason}}


def _heat_maps(
    learnt: PatchClassifier, names: Sequence[str], columns: Sequence[int], scored: Scored, drawn: bool
) -> dict[str, Any]:
    """p(c|patch) of eq. 11 for some classes, as pictures."""
    p = learnt.probabilities(scored.encoded.patches[0])
    maps = p.T.reshape(p.shape[1], *scored.encoded.grid)[list(columns)]
    region = scored.prepared.region
    if drawn and scored.prepared.preview is not None:
        pictures = _overlays(scored.prepared.preview, region, maps)
    else:
        pictures = [Image.fromarray((one * 255).round().to(torch.uint8).numpy()) for one in maps]
    shown = {names[c]: _png(picture) for c, picture in zip(columns, pictures, strict=True)}
    return {"region": [round(share, DIGITS) for share in region], "png": shown}


def _overlays(preview: Image.Image, region: tuple[float, ...], maps: torch.Tensor) -> list[Image.Image]:
    """All on one scale: the brightest point of all maps is the brightest of the pictures."""
    width, height = preview.size
    seen = (region[0] * width, region[1] * height, region[2] * width, region[3] * height)
    peak = float(maps.max()) if maps.numel() else 1.0
    heats = (heat_map(one / (peak or 1.0), preview.size, seen) for one in maps)
    return [overlay(preview, heat, region=seen) for heat in heats]


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
