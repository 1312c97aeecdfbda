"""An image's scores are the same to the last bit, whatever images are encoded with it and however many."""

from __future__ import annotations

import pytest
import torch

from piaa.engine import Scorer, Setup
from piaa.scenes import render, sample_scene
from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FRONT_ENDS
from piaa.vision.models import EMBEDDED, load_model


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    model = load_model(EMBEDDED)
    preprocess = model.preprocess(model.larger_size, None)
    return torch.stack([preprocess(render(sample_scene(3, "test", i), (120, 100))) for i in range(4)])


@pytest.mark.parametrize("front_end", sorted(FRONT_ENDS))
@pytest.mark.parametrize("threads", [1, 2])
def test_embeddings_do_not_tell_of_the_batch(images: torch.Tensor, front_end: str, threads: int) -> None:
    encoder, before = Encoder(load_model(EMBEDDED).tower, front_end), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = encoder(images)
        for rows in (slice(3, 4), slice(1, 4)):
            part = encoder(images[rows])
            assert torch.equal(part.cls, whole.cls[rows]), rows
            assert torch.equal(part.patches, whole.patches[rows]), rows
    finally:
        torch.set_num_threads(before)


def test_scores_do_not_tell_of_the_batch(images: torch.Tensor) -> None:
    from piaa.recognizer import Recognizer

    model = load_model(EMBEDDED)
    pictures = [render(sample_scene(4, "test", i), (96, 96)) for i in range(8)]
    classifier = Recognizer(["anchor", "umbrella", "snowman"]).fit(pictures).classifier_
    setup = Setup(model, model.front_end, model.preprocess(model.larger_size, None))
    scorer = Scorer(setup, classifier)
    whole = scorer.score(images)
    for rows in (slice(3, 4), slice(1, 4)):
        assert torch.equal(scorer.score(images[rows]), whole[rows]), rows
