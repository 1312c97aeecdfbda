"""The embedded model says when pictures are unlike its scenes, and only then."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

from piaa import Recognizer
from piaa.scenes import render, sample_scene

WORDS = ["anchor", "umbrella", "cow"]


def noted(pictures: list[Image.Image], **options: object) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = Recognizer(WORDS, **options).fit(pictures).classifier_.report  # type: ignore[arg-type]
    return any("unlike the drawn scenes" in note for note in report["picture_notes"])


def photographs() -> list[Image.Image]:
    return [
        Image.fromarray(photo[top : top + 200, left : left + 200])
        for photo in load_sample_images().images
        for top in (0, 100, 200)
        for left in (0, 200, 400)
    ]


def pages() -> list[Image.Image]:
    random, pages = np.random.default_rng(1), []
    for _ in range(6):
        page = Image.new("RGB", (200, 200), "white")
        for line in range(14):
            ImageDraw.Draw(page).text((4, 5 + 14 * line), "".join(random.choice(list("abcdefgh "), 30)), fill="black")
        pages.append(page)
    return pages


def noise() -> list[Image.Image]:
    random = np.random.default_rng(2)
    return [Image.fromarray(random.integers(0, 256, (160, 160, 3), dtype=np.uint8)) for _ in range(6)]


@pytest.mark.parametrize("seed", [71, 72])
@pytest.mark.parametrize("options", [{}, {"image_size": "trained"}, {"front_end": "clip", "quality": "best"}])
def test_scenes_are_usual(seed: int, options: dict[str, object]) -> None:
    assert not noted([render(sample_scene(seed, "test", index), (180, 160)) for index in range(10)], **options)


@pytest.mark.parametrize("pictures", [photographs, pages, noise])
def test_other_pictures_are_not(pictures: object) -> None:
    assert noted(pictures())  # type: ignore[operator]
    with pytest.warns(UserWarning, match="--model ViT-B-16"):
        Recognizer(WORDS).fit(pictures())  # type: ignore[operator]
