"""Which objects stand where: scenes in relative coordinates, as a function of (seed, split, index)."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

from piaa.scenes.catalogue import COLOURS, OBJECTS, is_held_out_colour, is_held_out_pair

STYLES = ("solid", "gradient", "stripes", "dots", "sticker", "shadow")
BACKGROUNDS = ("plain", "gradient", "noise", "checks", "bands", "blobs")
TRAIN_LAYOUTS = ("scatter", "row", "cluster")
TEST_LAYOUTS = ("scatter", "row", "cluster", "ring", "diagonal")
SMALL, LARGE = 0.22, 0.40  # relative sizes: small below the first, large above the second


@dataclass(frozen=True)
class Placed:
    """One object in a scene; coordinates and size are relative to the image (0 to 1)."""

    kind: int
    glyph: str
    colour: str
    style: str
    x: float  # centre
    y: float
    size: float  # longer side over the image's side
    rotation: float  # degrees
    stretch: float  # width over height, times the glyph's own


@dataclass(frozen=True)
class Scene:
    """A background and its objects, largest first; `key` seeds every detail of the rendering."""

    key: tuple[int, ...]
    background: str
    objects: tuple[Placed, ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """Class indices of the objects that are in the scene, sorted, each once."""
        return tuple(sorted({placed.kind for placed in self.objects}))

    @property
    def sizes(self) -> dict[int, float]:
        """Relative size of the largest instance of each class in the scene."""
        sizes: dict[int, float] = {}
        for placed in self.objects:
            sizes[placed.kind] = max(placed.size, sizes.get(placed.kind, 0.0))
        return sizes


def sample_scene(seed: int, split: str, index: int, kind: str = "scene") -> Scene:
    """Draw the plan of one scene.

    Args:
        seed: world seed; another seed gives other scenes.
        split: "train" leaves out the held-out colours, pairs and layouts; "unlabelled" is like "train";
            "test" has everything. Splits never share random numbers.
        index: number of the scene in its split.
        kind: "single-large" (one object, 0.5 to 0.9 of the image), "single" (one object of any size),
            "pair" (two), "scene" (3 to 8 objects, few large, many small).

    Raises:
        ValueError: for an unknown kind.
    """
    key = (seed, zlib.crc32(split.encode()), zlib.crc32(kind.encode()), index)
    rng = np.random.default_rng(key)
    sizes = _sizes(kind, rng)
    held_out = split == "test"
    kinds = _kinds(len(sizes), held_out, rng)
    layout = str(rng.choice(TEST_LAYOUTS if held_out else TRAIN_LAYOUTS))
    centres = _centres(layout, sizes, rng)
    placed = tuple(
        Placed(
            kind=which,
            glyph=str(rng.choice(list(OBJECTS[which].glyphs))),
            colour=_colour(which, held_out, rng),
            style=str(rng.choice(STYLES)),
            x=x,
            y=y,
            size=size,
            rotation=float(rng.normal(0, 14)),
            stretch=float(np.exp(rng.normal(0, 0.1))),
        )
        for which, size, (x, y) in zip(kinds, sizes, centres, strict=True)
    )
    return Scene(key, str(rng.choice(BACKGROUNDS)), placed)


def _sizes(kind: str, rng: np.random.Generator) -> list[float]:
    if kind == "single-large":
        sizes = [rng.uniform(0.5, 0.9)]
    elif kind == "single":
        sizes = [math.exp(rng.uniform(math.log(0.15), math.log(0.9)))]
    elif kind == "pair":
        sizes = [rng.uniform(0.3, 0.6), rng.uniform(0.16, 0.5)]
    elif kind == "scene":
        count = int(rng.integers(3, 9))
        sizes = [rng.uniform(0.34, 0.6)]
        sizes += [math.exp(rng.uniform(math.log(0.13), math.log(0.36))) for _ in range(count - 1)]
    else:
        raise ValueError(f"unknown kind of scene: {kind!r} (single-large, single, pair, scene)")
    return sorted((float(size) for size in sizes), reverse=True)


def _kinds(count: int, held_out: bool, rng: np.random.Generator) -> list[int]:
    """Object classes, at times one twice; outside test scenes no held-out pair meets."""
    kinds: list[int] = []
    while len(kinds) < count:
        if kinds and rng.random() < 0.06:
            kinds.append(kinds[int(rng.integers(len(kinds)))])
            continue
        which = int(rng.integers(len(OBJECTS)))
        if which in kinds or (not held_out and any(is_held_out_pair(which, other) for other in kinds)):
            continue
        kinds.append(which)
    return kinds


def _colour(kind: int, held_out: bool, rng: np.random.Generator) -> str:
    if rng.random() < 0.75:
        return OBJECTS[kind].usual_colour
    allowed = [name for name in COLOURS if held_out or not is_held_out_colour(kind, name)]
    return str(rng.choice(allowed))


def _centres(layout: str, sizes: list[float], rng: np.random.Generator) -> list[tuple[float, float]]:
    """Centres with little overlap: the best of some tries for each object, largest first."""
    centres: list[tuple[float, float]] = []
    turn = rng.uniform(0, 2 * math.pi)
    middle = rng.uniform(0.35, 0.65, 2)
    for rank, size in enumerate(sizes):
        best, best_overlap = (0.5, 0.5), math.inf
        for _ in range(24):
            x, y = _propose(layout, rank, len(sizes), turn, middle, rng)
            margin = size / 2
            x, y = float(np.clip(x, margin, 1 - margin)), float(np.clip(y, margin, 1 - margin))
            overlap = sum(
                max(0.0, (size + other) / 2 - max(abs(x - ox), abs(y - oy))) / min(size, other)
                for (ox, oy), other in zip(centres, sizes, strict=False)
            )
            if overlap < best_overlap:
                best, best_overlap = (x, y), overlap
            if overlap <= 0.1:
                break
        centres.append(best)
    return centres


def _propose(
    layout: str, rank: int, count: int, turn: float, middle: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    if layout == "row":
        return (rng.uniform(0, 1), float(middle[1] + rng.normal(0, 0.12)))
    if layout == "cluster":
        x, y = middle + rng.normal(0, 0.22, 2)
        return float(x), float(y)
    if layout == "ring":
        angle = turn + 2 * math.pi * rank / count + rng.normal(0, 0.25)
        return 0.5 + 0.36 * math.cos(angle), 0.5 + 0.36 * math.sin(angle)
    if layout == "diagonal":
        along = rng.uniform(0.05, 0.95)
        across = along if turn < math.pi else 1 - along
        return along, float(across + rng.normal(0, 0.1))
    x, y = rng.uniform(0, 1, 2)  # scatter
    return float(x), float(y)
