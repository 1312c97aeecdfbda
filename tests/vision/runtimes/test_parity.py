"""Every engine gives the embeddings of eager PyTorch, for each front-end, and no image depends on its batch."""

import pytest
import torch
from small_model import SIZE, small_visual

from piaa.errors import InputError, ModelError
from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FRONT_ENDS, FrontEnd
from piaa.vision.runtimes.auto import relative_difference
from piaa.vision.runtimes.build import build_encoder
from piaa.vision.runtimes.compiled import CompiledEncoder
from piaa.vision.towers import build_tower

FLOAT32 = ("openvino", "onnxruntime")
REDUCED = ("openvino:bf16", "openvino:int8", "onnxruntime:int8")
EXACT, THRESHOLDED = 1e-5, 1e-3
"""Relative, of float32: where the arithmetic is the same, and where SC-CLIP compares with thresholds."""
LIMITS = {"openvino:bf16": 0.05, "openvino:int8": 0.05, "onnxruntime:int8": 0.05}
"""Relative, of [CLS] and of patches; three times as much for SC-CLIP's patches."""


@pytest.fixture(scope="module")
def eager(tower, images):
    return {name: Encoder(tower, name)(images) for name in FRONT_ENDS}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("engine", FLOAT32)
def test_a_float32_engine_gives_eagers_embeddings(built, eager, images, engine, front_end):
    found, expected = built(engine, front_end)(images), eager[front_end]
    assert found.grid == expected.grid == (4, 6)
    assert found.cls.dtype == found.patches.dtype == torch.float32
    assert found.patches.shape == expected.patches.shape
    assert relative_difference(found.cls, expected.cls) < EXACT
    limit = THRESHOLDED if front_end == "sc-clip" else EXACT
    for index in range(len(images)):  # each image by itself: no other one hides it
        assert relative_difference(found.patches[index], expected.patches[index]) < limit, index


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("engine", REDUCED)
def test_a_reduced_precision_stays_near_and_is_not_float32(built, eager, images, engine, front_end):
    try:
        found = built(engine, front_end)(images[:4])
    except ModelError as error:
        if "no bfloat16 instructions" in str(error):
            pytest.skip(str(error))
        raise
    expected = eager[front_end]
    limit = LIMITS[engine]
    assert 1e-5 < relative_difference(found.cls, expected.cls[:4]) < limit
    assert (
        1e-5 < relative_difference(found.patches, expected.patches[:4]) < limit * (3 if front_end == "sc-clip" else 1)
    )


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("engine", [*FLOAT32, *REDUCED])
def test_no_image_depends_on_its_batch(built, images, engine, front_end):
    encode = built(engine, front_end)
    loud = torch.cat([20 * images[1:2], images[:1], images[2:4]])  # what has the greatest range is another image
    try:
        alone, among = encode(images[:1]), encode(loud)
    except ModelError as error:
        if "no bfloat16 instructions" in str(error):
            pytest.skip(str(error))
        raise
    limit = 0.01 if engine in REDUCED else THRESHOLDED if front_end == "sc-clip" else EXACT
    assert relative_difference(among.cls[1], alone.cls[0]) < limit
    assert relative_difference(among.patches[1], alone.patches[0]) < limit


def test_another_size_gets_a_graph_of_its_own(built, tower, images):
    encode = built("onnxruntime", "clip")
    other = images[:2, :, :, :64]
    found, expected = encode(other), Encoder(tower, "clip")(other)
    assert found.grid == (4, 4)
    assert relative_difference(found.patches, expected.patches) < EXACT
    with pytest.raises(InputError, match="multiple"):
        encode(images[:, :, :50])


def test_results_are_kept_when_the_engine_runs_again(built, images):
    encode = built("openvino", "clip")
    first = encode(images[:2])
    before = first.patches.clone()
    encode(images[2:4])
    assert torch.equal(first.patches, before)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_compile_takes_the_encoder_as_one_graph_for_any_number_of_images(tower, eager, images, front_end):
    graphs = []

    def backend(graph, examples):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    encode = CompiledEncoder(Encoder(tower, front_end), backend)
    for count in (3, 1, 5):
        found = encode(images[:count])
        limit = THRESHOLDED if front_end == "sc-clip" else EXACT
        assert relative_difference(found.cls, eager[front_end].cls[:count]) < EXACT
        assert relative_difference(found.patches, eager[front_end].patches[:count]) < limit
    assert len(graphs) == 1


def test_a_model_in_half_precision_is_refused(images):
    halved = build_tower(small_visual()).to(torch.bfloat16)
    with pytest.raises(ModelError, match="float32"):
        build_encoder(Encoder(halved, "clip"), "onnxruntime", "x", SIZE)


def test_a_front_end_that_no_graph_can_hold_is_named(tower, tmp_path, images):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    def patches(tower, trace):
        tokens = trace.before(tower.depth)[:, tower.prefix_tokens :]
        return tower.project(tokens if tokens.sum().item() > 0 else -tokens)

    own = FrontEnd("by-the-sum", patches, lambda depth: frozenset({depth - 1}))
    encode = build_encoder(Encoder(tower, own), "onnxruntime", "x", SIZE, tmp_path)
    with pytest.raises(ModelError, match=r"by-the-sum.*--engine eager"):
        encode(images)
    assert list(tmp_path.iterdir()) == []
