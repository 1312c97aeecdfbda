"""The embedded benchmark: drawn scenes of a seed, made on first use and found again after that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from piaa import __version__
from piaa.datasets.base import Annotations
from piaa.datasets.folder import from_truth
from piaa.errors import InputError
from piaa.evaluation.truth import read_truth
from piaa.files import write_json
from piaa.inputs.images import printable
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth

Progress = Callable[[int, int | None], None]
SPLITS = ("unlabelled", "test")


def find_scenes(root: Path) -> Path | None:
    """`root`, where scenes were drawn into it."""
    return root if any(root.glob("scenes-*/scenes.json")) else None


def read_scenes(
    home: Path, *, seed: int = 7, unlabelled: int = 2000, test: int = 2000, progress: Progress | None = None
) -> Annotations:
    """Draw the scenes of a seed into `home/scenes-SEED-UNLABELLED-TEST`, unless they are there, whole, already.

    The first images of a longer split are those of a shorter one. No seed was used to tune anything but 0 to 3.

    Raises:
        InputError: a count below 1, or the folder cannot be written.
    """
    if unlabelled < 1 or test < 1:
        raise InputError(f"scenes: wanted at least one image of each split, not {unlabelled} and {test}")
    folder = home / f"scenes-{seed}-{unlabelled}-{test}"
    counts = {"unlabelled": unlabelled, "test": test}
    made = {"seed": seed, "version": __version__, **counts}
    mark = folder / "scenes.json"
    try:
        if not _is(mark, made):
            mark.unlink(missing_ok=True)
            done = 0
            for split in SPLITS:
                step = _shifted(progress, done, unlabelled + test)
                drawn = write_scene_folder(folder / split, seed, split, counts[split], step)
                write_scene_truth(folder / f"{split}.csv", split, drawn)
                done += counts[split]
            write_json(mark, made, indent=None)  # last: without it the folder is not whole, and is drawn again
    except OSError as error:
        raise InputError(f"{printable(folder)}: cannot be written: {error.strerror or error}") from error
    names = object_names()
    first, second = (from_truth(read_truth(folder / f"{split}.csv", names)) for split in SPLITS)
    return Annotations(names, first, second, [f"drawn scenes of seed {seed}"])


def _is(mark: Path, made: dict[str, object]) -> bool:
    try:
        return bool(json.loads(mark.read_text(encoding="utf-8")) == made)
    except (OSError, ValueError):
        return False


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda count, _: progress(done + count, total)
