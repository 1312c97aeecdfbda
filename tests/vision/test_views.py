"""Several sizes of an image: what comes out where, and that the classifier file brings it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.base import clone

from piaa import Recognizer
from piaa.errors import InputError
from piaa.qualities import QUALITIES, Quality, quality_with
from piaa.scenes import render, sample_scene
from piaa.setups import setup_of
from piaa.vision.encoder import Encoded
from piaa.vision.models import EMBEDDED
from piaa.vision.views import cut, joined, views_of

OPTIONS = {
    "front_end": None,
    "resize": None,
    "device": "cpu",
    "precision": "fp32",
    "engine": "eager",
    "batch_size": 2,
}


def pictures(count: int) -> list[Image.Image]:
    return [render(sample_scene(3, "test", index), (160, 160)) for index in range(count)]


@pytest.mark.parametrize(
    ("size", "patch", "larger"), [((128, 128), (8, 8), (192, 192)), ((224, 304), (16, 16), (336, 448))]
)
def test_views_are_whole_patches(size: tuple[int, int], patch: tuple[int, int], larger: tuple[int, int]) -> None:
    assert views_of("two-sizes", size, patch).sizes == (size, larger)
    assert views_of("one", size, patch).sizes == (size,)
    near = {(128, 128): (176, 176), (224, 304): (304, 416)}[size]
    assert views_of("two-near-sizes", size, patch).sizes == (size, near)
    tiled = {(128, 128): (192, 192), (224, 304): (320, 448)}[size]  # halves are whole patches too
    assert views_of("tiled", size, patch).sizes == (size, tiled)
    assert views_of("tiled", size, patch).tiles == (1, 2)
    with pytest.raises(InputError, match="two-sizes"):
        views_of("three", size, patch)


def test_both_views_give_their_patches_and_the_smaller_one_its_cls() -> None:
    plain, several, large = (
        setup_of((EMBEDDED, None), image_size=side, views=views, **OPTIONS)
        for side, views in ((128, "one"), (128, "two-sizes"), (192, "one"))
    )
    assert several.preprocess.image_size == (192, 192)
    assert several.describe()["image_size"] == [128, 128]
    images = torch.stack([several.preprocess(picture) for picture in pictures(3)])
    both, one = several.encoder()(images), large.encoder()(images)
    assert both.patches.shape[1] == 16 * 16 + 24 * 24
    assert both.grid == (24, 24)
    torch.testing.assert_close(both.patches[:, 16 * 16 :], one.patches)
    alone = several.encoder()(images[1:2])
    torch.testing.assert_close(alone.patches[0], both.patches[1], atol=1e-5, rtol=1e-4)
    # the smaller view is made of the larger one, and nearly what the picture itself gives
    direct = plain.encoder()(torch.stack([plain.preprocess(picture) for picture in pictures(3)]))
    likeness = torch.nn.functional.cosine_similarity(direct.cls, both.cls)
    assert likeness.min() > 0.95


def test_tiles_are_seen_by_themselves_and_put_together_again() -> None:
    tiled, quarter = (
        setup_of((EMBEDDED, None), image_size=side, views=views, **OPTIONS)
        for side, views in ((128, "tiled"), (96, "one"))
    )
    images = torch.stack([tiled.preprocess(picture) for picture in pictures(3)])
    seen = tiled.encoder()(images)
    assert seen.grid == (24, 24)
    assert seen.patches.shape[1] == 16 * 16 + 24 * 24
    board = seen.patches[:, 16 * 16 :].reshape(3, 24, 24, -1)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        tile = images[..., 96 * row : 96 * row + 96, 96 * column : 96 * column + 96]
        alone = quarter.encoder()(tile).patches.reshape(3, 12, 12, -1)
        part = board[:, 12 * row : 12 * row + 12, 12 * column : 12 * column + 12]
        torch.testing.assert_close(part, alone, atol=1e-5, rtol=1e-4)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_what_is_cut_is_joined_again(images: int, tiles: int, rows: int, columns: int) -> None:
    """With patches of one pixel, an encoder that changes nothing gives the pixels back, row by row."""
    pixels = torch.rand(images, 3, tiles * rows, tiles * columns)
    parts = cut(pixels, tiles)
    assert parts.shape == (images * tiles * tiles, 3, rows, columns)
    seen = Encoded(parts.mean(dim=(2, 3)), parts.flatten(2).transpose(1, 2), (rows, columns))
    whole = joined(seen, tiles)
    assert whole.grid == (tiles * rows, tiles * columns)
    assert torch.equal(whole.patches, pixels.flatten(2).transpose(1, 2))
    torch.testing.assert_close(whole.cls, pixels.mean(dim=(2, 3)))


def test_a_classifier_file_brings_its_quality_back(tmp_path: Path) -> None:
    images = pictures(12)
    best = Recognizer(["anchor", "umbrella", "cow"], quality="best").fit(images)
    best.save(tmp_path / "best.piaa")
    again = Recognizer.load(tmp_path / "best.piaa")
    assert again.quality == "best"
    np.testing.assert_array_equal(again.predict_proba(images[:3]), best.predict_proba(images[:3]))
    heat = again.explain(images[0])
    assert np.isfinite(heat.scores).all()
    standard = Recognizer(["anchor", "umbrella", "cow"]).fit(images)
    assert not np.array_equal(standard.predict_proba(images[:3]), best.predict_proba(images[:3]))


def test_a_file_of_the_sizes_of_before_keeps_its_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`best` was 1 and 1.5 once: such a file gives the scores that it gave, and says so where `best` is asked for."""
    images = pictures(8)
    with monkeypatch.context() as before:
        before.setitem(QUALITIES, "best", Quality(None, views="two-sizes"))
        old = Recognizer(["anchor", "umbrella", "cow"], quality="best").fit(images)
        expected = old.predict_proba(images[:3])
        old.save(tmp_path / "old.piaa")
    again = Recognizer.load(tmp_path / "old.piaa")
    assert again.scorer().preprocess.image_size == (192, 192)
    np.testing.assert_array_equal(again.predict_proba(images[:3]), expected)
    with pytest.raises(InputError, match=r"times 1, 1\.5, that of no quality"):
        Recognizer.load(tmp_path / "old.piaa", quality="best")
    assert clone(again).fit(images).classifier_.settings["views"] == "tiled"


def test_qualities_differ_in_what_they_say() -> None:
    assert quality_with("one") == "standard"
    assert quality_with("tiled") == quality_with("two-near-sizes") == "best"
    assert QUALITIES["fast"].image_size == "trained"
    assert QUALITIES["standard"].engine == "eager"
    with pytest.raises(InputError, match="fast, standard, best"):
        Recognizer(["cow"], quality="finest").fit(pictures(2))
