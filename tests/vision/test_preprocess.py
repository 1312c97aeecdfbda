"""Preprocessing against torchvision's own transforms and by geometry."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from piaa.errors import InputError
from piaa.vision.preprocess import CLIP_MEAN, CLIP_STD, build_preprocess

MODES = ["shortest", "squash", "pad"]


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (224, 224), (225, 224), (40, 31), (640, 427), (333, 500)])
def test_shortest_is_the_published_preprocessing(size):
    published = transforms.Compose(
        [
            transforms.Resize(224, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    image = noise(*size)
    assert torch.equal(build_preprocess(224)(image), published(image))


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    size=st.sampled_from([32, (48, 32), (32, 80)]),
    mode=st.sampled_from(MODES),
)
def test_any_image_fits(width, height, size, mode):
    preprocess = build_preprocess(size, mode)
    tensor = preprocess(noise(width, height))
    assert tensor.dtype == torch.float32
    assert tensor.shape == (3, *preprocess.image_size)
    assert tensor.isfinite().all()


@pytest.mark.parametrize("mode", MODES)
def test_one_colour_comes_out_normalised(mode):
    tensor = build_preprocess(32, mode)(Image.new("RGB", (64, 64), (255, 0, 51)))
    expected = (torch.tensor([1.0, 0.0, 0.2]) - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    torch.testing.assert_close(tensor, expected[:, None, None].expand(3, 32, 32))


def test_pad_keeps_the_whole_image_and_fills_with_the_mean():
    tensor = build_preprocess(64, "pad")(Image.new("RGB", (200, 100), "white"))
    assert tensor[:, :16].abs().max() < 0.02
    assert tensor[:, 48:].abs().max() < 0.02
    assert tensor[:, 17:47].min() > 1


def test_squash_keeps_the_corners():
    image = Image.new("RGB", (400, 100))
    image.paste("white", (0, 0, 100, 100))
    tensor = build_preprocess(64, "squash")(image)
    assert (tensor[0].mean(dim=0) > 0).float().mean() == 0.25


def test_a_strip_does_not_fill_memory():
    assert build_preprocess(224)(Image.new("RGB", (20_000, 1), "white")).shape == (3, 224, 224)
    image = noise(9 * 64, 64)  # the crop before the resize cuts what the crop after it would have cut
    inner = image.crop((4 * 64, 0, 5 * 64, 64))
    torch.testing.assert_close(build_preprocess(64)(image), build_preprocess(64)(inner))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(300, 200), (100, 350)])
def test_region_tells_where_a_pixel_came_from(mode, size):
    """A white square in the image appears where `region` says."""
    image = Image.new("RGB", size)
    left, top = size[0] // 2 - 10, size[1] // 2 + 20
    image.paste("white", (left, top, left + 20, top + 20))
    preprocess = build_preprocess((128, 128), mode, mean=(0, 0, 0), std=(1, 1, 1))
    rows, columns = torch.nonzero(preprocess(image)[0] > 0.5, as_tuple=True)
    box = preprocess.region(*size)
    x = box[0] + (columns.float().mean().item() + 0.5) / 128 * (box[2] - box[0])
    y = box[1] + (rows.float().mean().item() + 0.5) / 128 * (box[3] - box[1])
    assert abs(x - (left + 10)) < 2
    assert abs(y - (top + 10)) < 2


def test_other_modes_become_rgb():
    assert build_preprocess(16)(Image.new("L", (20, 20))).shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "not positive"),
        ({"image_size": 8, "resize": "stretch"}, "shortest, squash, pad"),
        ({"image_size": 8, "interpolation": "best"}, "bicubic, bilinear or nearest"),
        ({"image_size": 8, "std": (0, 1, 1)}, "std above 0"),
        ({"image_size": 8, "mean": (0, 1)}, "three numbers"),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        build_preprocess(**arguments)
