"""What figures 1, 5 and 6 show, kept as arrays beside the results; `piaa report` draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from piaa.errors import ModelError
from piaa.experiments.job import Job
from piaa.files import whole_file, writing
from piaa.report.explain import heat_map
from piaa.vision.encoder import run_blocks
from piaa.vision.preprocess import Box
from piaa.vision.towers import Tower

SIDE = 224  # pixels of the longer side of a kept image
PIECE = 64  # pixels of a kept patch with its surroundings
SHOWN_LABELS = 3


@torch.no_grad()
def cls_attention(tower: Tower, images: Tensor) -> Tensor:
    """Where [CLS] looks: its attention in the last block, mean over heads, over the patches: N x rows x columns.

    Raises:
        ModelError: for a tower without a [CLS] token.
    """
    if tower.prefix_tokens < 1:
        raise ModelError("this model has no [CLS] token whose attention could be drawn")
    trace = run_blocks(tower, images, frozenset())
    q, k, _ = tower.qkv(tower.depth - 1, trace.before(tower.depth), trace.grid)
    logits = (q[:, :, :1] @ k.mT) * q.shape[-1] ** -0.5
    attention = logits.float().softmax(dim=-1)[:, :, 0, tower.prefix_tokens :].mean(dim=1)
    shaped: Tensor = attention.reshape(len(attention), *trace.grid)
    return shaped


def keep_maps(job: Job, count: int) -> int:
    """Write `<experiment>-<data set>.npz`: images, the attention of [CLS], and the maps of the best true labels."""
    scorer, preprocess = job.learnt.scorer, job.setup.preprocess
    arrays: dict[str, NDArray[Any]] = {}
    rows = _telling_images(job, count)
    for number, row in enumerate(rows):
        image = job.dataset.test[job.test.indices[job.known[0][row]]].load()
        small = _shrunk(image)
        maps, seen = scorer.patch_maps(image)
        true = job.labels[row].nonzero()[:, 0].tolist()
        chosen = sorted(true, key=lambda c: -float(seen.scores[0, c]))[:SHOWN_LABELS]
        attention = cls_attention(job.setup.model.tower, preprocess(image)[None])[0]
        region = preprocess.region(*small.size)
        arrays[f"image-{number}"] = np.asarray(small)
        arrays[f"attention-{number}"] = _on_image(attention, small, region)
        arrays[f"maps-{number}"] = np.stack([_on_image(maps[c], small, region) for c in chosen])
        arrays[f"labels-{number}"] = np.array([scorer.label_names[c] for c in chosen])
    _save(picture_path(job.folder, job.spec.name, job.dataset.name), arrays)
    return len(rows)


def keep_retained(job: Job, classes: int, patches: int) -> dict[str, int]:
    """Write `<experiment>-<data set>.npz`: for some classes, retained patches with their surroundings.

    Classes are taken evenly from the best filled to the least, patches by least entropy.

    Returns:
        Class name to the number of patches that it kept.
    """
    retained, names = job.learnt.retained, job.learnt.scorer.label_names
    sizes = torch.bincount(retained[:, 0], minlength=len(names))
    order = [c for c in sizes.argsort(descending=True, stable=True).tolist() if sizes[c]]
    chosen = order[:: max(1, len(order) // classes)][:classes]
    arrays: dict[str, NDArray[Any]] = {"labels": np.array([names[c] for c in chosen])}
    for number, c in enumerate(chosen):
        first = retained[retained[:, 0] == c][:patches].tolist()
        arrays[f"patches-{number}"] = np.stack([_piece(job, image, patch) for _, image, patch in first])
    _save(picture_path(job.folder, job.spec.name, job.dataset.name), arrays)
    return {names[c]: int(sizes[c]) for c in chosen}


def picture_path(folder: Path, experiment: str, dataset: str) -> Path:
    """Where an experiment's arrays lie."""
    return folder / f"{experiment}-{dataset}.npz"


def _telling_images(job: Job, count: int) -> list[int]:
    """Images with several labels, spread over the data set."""
    many = (job.labels.sum(dim=1) >= min(SHOWN_LABELS, int(job.labels.sum(dim=1).max()))).nonzero()[:, 0].tolist()
    return [int(row) for row in many[:: max(1, len(many) // count)][:count]]


def _piece(job: Job, image: int, patch: int) -> NDArray[np.uint8]:
    """A patch in the middle of a square three patches wide; grey beyond the image."""
    picture = job.dataset.unlabelled[image].load()
    left, top, right, bottom = job.setup.preprocess.region(*picture.size)
    rows, columns = job.unlabelled.grid
    width, height = (right - left) / columns, (bottom - top) / rows
    x, y = left + (patch % columns - 1) * width, top + (patch // columns - 1) * height
    box = (x, y, x + 3 * width, y + 3 * height)
    grey = (136, 136, 136)
    piece = picture.transform((PIECE, PIECE), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC, fillcolor=grey)
    return np.asarray(piece)


def _on_image(scores: Tensor, image: Image.Image, region: Box) -> NDArray[np.float16]:
    return heat_map(scores, image.size, region).astype(np.float16)


def _shrunk(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
