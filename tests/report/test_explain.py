import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from piaa.errors import InputError
from piaa.explanation import Explanation
from piaa.report.explain import explain_sheet, explanation_sheet, heat_map, overlay
from piaa.vision.preprocess import build_preprocess


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 7),
    columns=st.integers(1, 7),
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    seed=st.integers(0, 99),
    mode=st.sampled_from(["bicubic", "bilinear", "nearest"]),
)
def test_heat_keeps_the_range_of_its_patches(*, rows, columns, width, height, seed, mode):
    scores = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
    heat = heat_map(scores, (width, height), mode=mode)
    assert heat.shape == (height, width) and heat.dtype == np.float32
    assert scores.min() - 1e-6 <= heat.min() and heat.max() <= scores.max() + 1e-6


def test_nearest_is_exact_repetition():
    scores = np.arange(6, dtype=np.float32).reshape(2, 3) / 5
    np.testing.assert_array_equal(heat_map(scores, (12, 8), mode="nearest"), scores.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize("resize", ["shortest", "squash", "pad"])
@pytest.mark.parametrize("size", [(120, 60), (60, 120), (90, 90)])
def test_a_spot_seen_by_the_model_is_hot_where_it_is_in_the_photo(resize, size):
    """A white square goes through the real preprocessing; the heat of its patch must lie on it again."""
    width, height = size
    photo = Image.new("RGB", size)
    left, top = width // 2 + 8, height // 2 - 18
    photo.paste((255, 255, 255), (left, top, left + 12, top + 12))
    preprocess = build_preprocess(96, resize)
    light = preprocess(photo)[0]
    light = (light - light.min()) / (light.max() - light.min())
    if resize == "pad":
        light = (light > 0.9).float()  # the padding is not black
    patches = torch.nn.functional.avg_pool2d(light[None, None], 4)[0, 0]
    heat = heat_map(patches, size, preprocess.region(*size))
    rows, columns = np.nonzero(heat > 0.5)
    assert abs(columns.mean() + 0.5 - (left + 6)) < 1.5
    assert abs(rows.mean() + 0.5 - (top + 6)) < 1.5


def test_no_heat_where_the_crop_cut_the_image_off():
    heat = heat_map(np.ones((4, 4)), (100, 50), (25.0, 0.0, 75.0, 50.0))
    assert (heat[:, :25] == 0).all() and (heat[:, 75:] == 0).all() and (heat[:, 25:75] == 1).all()


def test_cold_shows_the_photo_and_alpha_grows_with_heat():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))
    before = np.asarray(photo, dtype=int)
    np.testing.assert_array_equal(np.asarray(overlay(photo, np.zeros((20, 30), np.float32))), before)
    grey = Image.new("RGB", (3, 1), (0, 0, 0))
    steps = np.asarray(overlay(grey, np.array([[0.2, 0.6, 1.0]], np.float32)), dtype=int).sum(axis=-1)[0]
    assert 0 < steps[0] < steps[1] < steps[2]


def test_what_was_not_seen_is_grey():
    red = Image.new("RGB", (40, 20), (200, 0, 0))
    out = np.asarray(overlay(red, np.zeros((20, 40), np.float32), region=(10, 0, 30, 20)), dtype=int)
    assert (out[:, 10:30] == (200, 0, 0)).all()
    assert (np.ptp(out[:, :10], axis=-1) == 0).all() and (np.ptp(out[:, 30:], axis=-1) == 0).all()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_sheet_has_room_for_every_tile(count):
    photo = Image.new("RGB", (200, 100), (10, 120, 60))
    heat = np.zeros((100, 200), np.float32)
    tiles = [("x" * 400 + "\n\x00<b>", 0.5, i % 2 == 0, heat) for i in range(count)]
    sheet = np.asarray(explain_sheet(photo, tiles))
    green = (np.abs(sheet.astype(int) - (10, 120, 60)).max(axis=-1) <= 1).sum()
    assert green == (count + 1) * 300 * 150
    assert (sheet[:28] == 255).all() and (sheet[:, -28:] == 255).all()  # captions stay inside the margin


def test_explanation_shares_one_scale():
    maps = torch.zeros(2, 4, 4)
    maps[0, 1, 1], maps[1, 2, 2] = 0.4, 0.1
    photo = Image.new("RGB", (64, 64))
    shown = Explanation(photo, ["a", "b"], [0.9, 0.2], [True, False], maps, (0, 0, 64, 64))
    assert shown.peak == pytest.approx(0.4)
    sheet = np.asarray(explanation_sheet(shown), dtype=int)
    first = sheet[28:328, 28 + 320 : 28 + 620]
    second = sheet[28:328, 28 + 640 : 28 + 940]
    assert first.sum(axis=-1).max() > 2 * second.sum(axis=-1).max()


@pytest.mark.parametrize(
    "call",
    [
        lambda: heat_map(np.ones(3), (4, 4)),
        lambda: heat_map(np.full((2, 2), np.nan), (4, 4)),
        lambda: heat_map(np.ones((2, 2)), (4, 4), (3, 0, 3, 4)),
        lambda: overlay(Image.new("RGB", (4, 4)), np.zeros((4, 5), np.float32)),
        lambda: overlay(Image.new("RGB", (4, 4)), np.zeros((4, 4), np.float32), alpha=2),
    ],
)
def test_bad_arguments_have_a_clear_error(call):
    with pytest.raises(InputError):
        call()
