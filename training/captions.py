"""Captions as the web writes them: they name what is salient, in changing words, and often leave the rest out."""

from __future__ import annotations

import numpy as np

from piaa.scenes import COLOURS, OBJECTS

TEMPLATES = (
    "a photo of {}",
    "a photo of {}",
    "a photo of {}",
    "a picture of {}",
    "an image with {}",
    "a drawing of {}",
    "there is {}",
    "{}",
)
EXTRA_WORDS = "and the small large of in one two many things objects symbols background photo"


def caption(objects: list[tuple[int, str, float]], rng: np.random.Generator) -> str:
    """Describe (kind, colour, relative size) objects: a large one nearly always, a small one seldom, at least one."""
    chances = [min(1.0, max(0.04, (size - 0.13) / 0.27)) for _, _, size in objects]
    named = [thing for thing, chance in zip(objects, chances, strict=True) if rng.random() < chance]
    if not named:
        named = [max(objects, key=lambda thing: thing[2])]
    phrases = list(dict.fromkeys(_phrase(kind, colour, rng) for kind, colour, _ in named))
    rng.shuffle(phrases)
    text = phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]
    return TEMPLATES[int(rng.integers(len(TEMPLATES)))].format(text)


def _phrase(kind: int, colour: str, rng: np.random.Generator) -> str:
    name = OBJECTS[kind].name
    return f"a {colour} {name}" if rng.random() < 0.25 else f"a {name}"


def vocabulary() -> list[str]:
    """Texts that contain every word of this world."""
    names = [kind.name for kind in OBJECTS]
    return [*names, *COLOURS, *(template.format("a, and") for template in TEMPLATES), EXTRA_WORDS]
