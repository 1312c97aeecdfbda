"""Batches of a size that fits, and what happens when one does not."""

import pytest
import torch

from piaa.engine import Setup
from piaa.errors import InputError, ModelError
from piaa.vision.encoder import Encoded, Encoder
from piaa.vision.models import BatchedEncoder, load_model, most_images
from piaa.vision.models.batching import suggest_batch_size

IMAGES = torch.randn(7, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def encoder(open_clip_dir):
    return Encoder(load_model(str(open_clip_dir), device="cpu").tower, "sc-clip")


class Limited:
    """An encoder on a machine where no more than `room` images fit."""

    def __init__(self, encoder, room, error):
        self.tower, self.front_end = encoder.tower, encoder.front_end
        self.encoder, self.room, self.error, self.sizes = encoder, room, error, []

    def __call__(self, images):
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise self.error
        return self.encoder(images)


def assert_same(ours: Encoded, theirs: Encoded):
    torch.testing.assert_close(ours.cls, theirs.cls, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.patches, theirs.patches, rtol=0, atol=1e-5)
    assert ours.grid == theirs.grid


@pytest.mark.parametrize("size", [0, 1, 3, 7, 100])
def test_any_batch_size_gives_the_same(encoder, size):
    assert_same(BatchedEncoder(encoder, size)(IMAGES), encoder(IMAGES))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_for_good(encoder, error):
    limited = Limited(encoder, 2, error)
    batched = BatchedEncoder(limited, 100)
    assert_same(batched(IMAGES), encoder(IMAGES))
    assert limited.sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    limited.sizes.clear()
    batched(IMAGES[:3])
    assert limited.sizes == [1, 1, 1]


def test_an_image_that_does_not_fit_is_said(encoder):
    with pytest.raises(ModelError, match=r"single image of 64 x 64 does not fit into the memory of cpu.*--image-size"):
        BatchedEncoder(Limited(encoder, 0, MemoryError()), 4)(IMAGES)


def test_other_errors_pass_through(encoder):
    with pytest.raises(RuntimeError, match="a defect"):
        BatchedEncoder(Limited(encoder, 0, RuntimeError("a defect")), 4)(IMAGES)
    with pytest.raises(InputError, match="multiple of the model's patch"):
        BatchedEncoder(encoder, 0)(torch.zeros(1, 3, 50, 50))


def test_the_suggestion_shrinks_with_the_image_and_the_memory(encoder, monkeypatch):
    from piaa.vision.models import batching

    sizes = [suggest_batch_size(encoder, torch.zeros(1, 3, side, side)) for side in (64, 256, 2048)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 32
    monkeypatch.setattr(batching, "_free_bytes", lambda: 2**20)
    assert suggest_batch_size(encoder, torch.zeros(1, 3, 64, 64)) < 32
    monkeypatch.setattr(batching, "_free_bytes", lambda: 0)
    assert suggest_batch_size(encoder, torch.zeros(1, 3, 64, 64)) == 1


def test_no_layer_of_a_batch_is_larger_than_a_cpu_profits_from(encoder, monkeypatch):
    from piaa.vision.models import batching

    layer = 4 * (16 + 1) * 4 * encoder.tower.width  # bytes of one image's hidden layer
    for images in (1, 2, 8):
        monkeypatch.setattr(batching, "CPU_LAYER", images * layer + layer // 2)
        assert suggest_batch_size(encoder, torch.zeros(1, 3, 64, 64)) == images
    monkeypatch.setattr(batching, "CPU_LAYER", layer // 2)
    assert suggest_batch_size(encoder, torch.zeros(1, 3, 64, 64)) == 1


def test_as_many_are_decoded_as_go_through_together():
    model = load_model(device="cpu")
    assert Setup(model, "sclip", model.preprocess(), 5).decoded_together == 5
    probed = Setup(model, "sclip", model.preprocess())
    assert probed.decoded_together == most_images(torch.device("cpu")) == 32
    encode = probed.encoder()
    assert encode.current_size == 0
    encode(torch.zeros(1, 3, 96, 96))
    assert encode.current_size == 32
