"""What CLIP says of parts of an image: tiles (CDUL, AEVLP), and where an activation map peaks (CCD).

As published, a part is cut out of the image and encoded anew: `EncodedRegions`, which needs the images. The fast way is
`PatchRegions`: the mean of the part's patch embeddings stands for it, which costs no pass of the encoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from piaa.engine import Setup, digest
from piaa.errors import InputError
from piaa.files import parse_json, write_json, writing
from piaa.inputs.items import Item
from piaa.jobs import Progress
from piaa.jobs.common import digest_of_items
from piaa.training.maps import peak_box, peak_means, tile_boxes
from piaa.training.material import Material

PATCHES, ENCODED = "patches", "encoded"
REGIONS = (PATCHES, ENCODED)
"""Names that `--regions` takes."""
Box = tuple[int, int, int, int]
Stage = Callable[[str], Progress]
CANVAS = 640
"""Pixels of a side of the squashed image in which CCD finds its boxes."""


class Regions(Protocol):
    """Raw embeddings of parts of the training images, by row."""

    def tiles(self, rows: Tensor, side: int) -> Tensor:
        """Of side x side tiles, row by row: n x side^2 x d."""

    def peaks(self, maps: Tensor, rows: Tensor, chosen: Tensor, margin: int) -> Tensor:
        """Of the parts around the peaks of activation maps.

        Args:
            maps: n x C x h x w, on the CPU.
            rows: n.
            chosen: n x C bool: for which classes; what is given for the others has no meaning.
            margin: pixels that a part is larger than its peak by, on each side, of an image of `CANVAS` pixels.

        Returns:
            n x C x d.
        """


class PatchRegions:
    """Means of patch embeddings.

    Args:
        material: the images.
    """

    def __init__(self, material: Material) -> None:
        self.material = material

    def tiles(self, rows: Tensor, side: int) -> Tensor:
        """See `Regions`; tiles are as even as the grid of patches allows."""
        return mean_tiles(self.material.rows(rows)[1], self.material.grid, side)

    def peaks(self, maps: Tensor, rows: Tensor, chosen: Tensor, margin: int) -> Tensor:
        """See `Regions`; a part is the patches of the peak, without a margin."""
        if maps.shape[-2:] != self.material.grid:
            maps = F.interpolate(maps, self.material.grid, mode="bilinear", align_corners=False)
        return peak_means(maps.flatten(2), self.material.rows(rows)[1])


class EncodedRegions:
    """Parts cut out of the images and encoded anew, each squashed to the encoder's size.

    Tiles are encoded once, when the first of them is asked for, and stored as float16; a run that was ended goes on
    where it was.

    Args:
        setup: the encoder; [CLS] is what is kept.
        items: the training images, in the order of the material.
        folder: where tiles are stored.
        stage: a name to the progress of what it names, here the images whose tiles are encoded.
    """

    def __init__(self, setup: Setup, items: Sequence[Item], folder: Path, stage: Stage | None = None) -> None:
        self.setup, self.items, self.folder, self.stage = setup, list(items), folder, stage
        self._preprocess = replace(setup.preprocess, resize="squash")
        self._encode: Callable[[Tensor], Tensor] | None = None

    def tiles(self, rows: Tensor, side: int) -> Tensor:
        """See `Regions`.

        Raises:
            ImageError: an image cannot be read.
            InputError: the tiles cannot be stored, or what is stored is damaged.
        """
        stored = self._stored(side)
        return torch.from_numpy(np.asarray(stored[rows.cpu().numpy()], dtype=np.float32))

    def peaks(self, maps: Tensor, rows: Tensor, chosen: Tensor, margin: int) -> Tensor:
        """See `Regions`; one pass of the encoder for each chosen class of an image."""
        found = torch.zeros(*maps.shape[:2], self.setup.model.embed_dim)
        for place, row in enumerate(rows.tolist()):
            classes = chosen[place].nonzero().squeeze(1).tolist()
            if classes:
                image = self.items[row].load()
                boxes = [peak_box(maps[place, c], (CANVAS, CANVAS), margin) for c in classes]
                found[place, classes] = self._encoded(image, [_of_image(box, image.size) for box in boxes])
        return found

    def _encoded(self, image: Image.Image, boxes: Sequence[Box]) -> Tensor:
        """[CLS] of parts of one image: n x d, float32, on the CPU."""
        if self._encode is None:
            encoder = self.setup.encoder()
            self._encode = lambda images: encoder(images).cls.float().cpu()
        return self._encode(torch.stack([self._preprocess(image.crop(box)) for box in boxes]))

    def _stored(self, side: int) -> np.memmap:  # type: ignore[type-arg]
        mark = digest(self.setup.describe(), digest_of_items(self.items), side)
        path, state = self.folder / f"tiles-{mark}.npy", self.folder / f"tiles-{mark}.json"
        shape = (len(self.items), side * side, self.setup.model.embed_dim)
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
        done = int(parse_json(state.read_text(encoding="utf-8"))["done"]) if state.is_file() and path.is_file() else 0
        if done < len(self.items):
            self._fill(path, state, shape, done, side)
        try:
            stored: np.memmap = np.load(path, mmap_mode="r")  # type: ignore[type-arg]
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: damaged tiles ({error}); delete it and {state.name} to make them again"
            ) from error
        if stored.shape != shape:
            raise InputError(f"{path}: damaged tiles; delete it and {state.name} to make them again")
        return stored

    def _fill(self, path: Path, state: Path, shape: tuple[int, ...], done: int, side: int) -> None:
        with writing(path):
            array = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float16, shape)
        progress = self.stage("encoding tiles") if self.stage else None
        for row in range(done, len(self.items)):
            image = self.items[row].load()
            array[row] = self._encoded(image, tile_boxes(image.width, image.height, side)).to(torch.float16).numpy()
            array.flush()
            write_json(state, {"done": row + 1}, indent=None)
            if progress:
                progress(row + 1, len(self.items))


def check_regions(name: str) -> str:
    """The name itself.

    Raises:
        InputError: it is none of `REGIONS`.
    """
    if name not in REGIONS:
        raise InputError(f"no kind of regions is called {name!r}; choose one of: {', '.join(REGIONS)}")
    return name


def _of_image(box: Box, size: tuple[int, int]) -> Box:
    """A box of the squashed image, in pixels of the image itself; at least one pixel."""
    across, down = size[0] / CANVAS, size[1] / CANVAS
    left, top = int(box[0] * across), int(box[1] * down)
    return left, top, max(left + 1, math.ceil(box[2] * across)), max(top + 1, math.ceil(box[3] * down))


def mean_tiles(patches: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    """Mean patch of each tile: N x M x d to N x side^2 x d; tiles as even as the grid allows."""
    planes = patches.float().reshape(len(patches), *grid, -1).permute(0, 3, 1, 2)
    return F.adaptive_avg_pool2d(planes, side).flatten(2).mT
