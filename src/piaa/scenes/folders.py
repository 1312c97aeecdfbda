"""Scenes as real image files: folders of JPEG and PNG, and the truth about the test images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from piaa.errors import InputError
from piaa.evaluation.truth import write_truth
from piaa.files import whole_file
from piaa.scenes.catalogue import object_names
from piaa.scenes.draw import render
from piaa.scenes.sample import Scene, sample_scene

SIDES = (160, 192, 224, 256)


def write_scene_folder(
    folder: str | Path, seed: int, split: str, count: int, progress: Callable[[int, int | None], None] | None = None
) -> list[tuple[str, Scene]]:
    """Draw `count` scenes of a split into a folder, three JPEGs to one PNG, of varied size and shape.

    Returns:
        (file name, scene) of each, in order.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def draw(index: int) -> tuple[str, Scene]:
        scene = sample_scene(seed, split, index)
        rng = np.random.default_rng((*scene.key, 2))
        name = f"{split}-{index:05d}.{'png' if index % 4 == 3 else 'jpg'}"
        size = (int(rng.choice(SIDES)), int(rng.choice(SIDES)))
        size = size if max(size) <= 1.34 * min(size) else (size[0], size[0])
        picture = render(scene, size)
        with whole_file(folder / name, durable=False) as aside:
            picture.save(aside, format="PNG") if name.endswith("png") else picture.save(aside, "JPEG", quality=90)
        return name, scene

    drawn = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, row in enumerate(pool.map(draw, range(count)), start=1):
            drawn.append(row)
            if progress:
                progress(done, count)
    return drawn


def forget_scenes(folder: str | Path, split: str) -> None:
    """Remove the scenes of an earlier run, of which there may have been more.

    Raises:
        InputError: when something else is in the folder; nothing is removed then.
    """
    folder = Path(folder)
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    drawn = re.compile(rf"\.?{re.escape(split)}-\d{{5}}\.(jpg|png)")
    foreign = [path.name for path in entries if not drawn.fullmatch(path.name)]
    if foreign:
        raise InputError(f"{folder}: holds {foreign[0]!r}, which was not drawn here; move it elsewhere")
    for path in entries:
        path.unlink()


def write_scene_truth(path: str | Path, folder: str, drawn: list[tuple[str, Scene]]) -> None:
    """The truth file of scenes drawn into `folder` (relative to the file): labels and relative sizes."""
    write_truth(path, _truth_rows(folder, drawn))


def _truth_rows(folder: str, drawn: list[tuple[str, Scene]]) -> Iterator[dict[str, Any]]:
    names = object_names()
    for name, scene in drawn:
        sizes = {names[kind]: round(size, 4) for kind, size in scene.sizes.items()}
        yield {"path": f"{folder}/{name}", "labels": [names[kind] for kind in scene.labels], "sizes": sizes}
