"""8-bit weights: how far from the true ones, and that they are what is stored."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from piaa.vision.runtimes.quantise import quantise_weights, to_whole_numbers


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 6), st.integers(1, 6), st.sampled_from([0, 1]), st.sampled_from([63, 127]),
    st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_weight_moves_by_half_a_step_at_most(rows, columns, axis, largest, size, seed):
    weight = (size * np.random.default_rng(seed).standard_normal((rows, columns))).astype(np.float32)
    weight[0] *= seed % 2  # a row of zeros now and then
    whole, scale = to_whole_numbers(weight, axis, largest)
    assert whole.dtype == np.int8
    assert np.abs(whole.astype(int)).max() <= largest
    assert scale.shape == (weight.shape[axis],)
    steps = np.expand_dims(scale, 1 - axis).astype(np.float64)
    assert (np.abs(whole * steps - weight) <= 0.5001 * steps).all()
    greatest = np.abs(weight).max(axis=1 - axis)
    assert (np.abs(whole).max(axis=1 - axis)[greatest > 0] == largest).all()  # the range is used whole


def test_all_weights_of_products_are_stored_in_8_bits(built, images, graphs, tmp_path):
    onnx = pytest.importorskip("onnx")
    encode = built("onnxruntime", "clip")
    encode(images[:1])
    source = encode._graph(images.shape[-2:])
    quantise_weights(source, tmp_path / "small.onnx", False)
    before, after = onnx.load(str(source)), onnx.load(str(tmp_path / "small.onnx"))
    onnx.checker.check_model(after)
    weights = {tensor.name: tensor for tensor in before.graph.initializer}
    products = [n for n in before.graph.node if n.op_type in ("MatMul", "Gemm") and n.input[1] in weights]
    stored = {tensor.name: tensor for tensor in after.graph.initializer}
    whole = [tensor for tensor in stored.values() if tensor.data_type == onnx.TensorProto.INT8]
    assert len({node.input[1] for node in products}) == len(whole) >= 4 * 4  # qkv, out, two of the MLP a block
    assert not {node.input[1] for node in products} & stored.keys()
