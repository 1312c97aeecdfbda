"""8-bit weights in an exported graph: the products of the blocks, which are nearly all of its work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Quantiser = Callable[[Path, Path, bool], None]
LARGEST = {False: 127, True: 63}
"""Greatest weight as a whole number, of 8 bits and of 7."""


def quantise_products(source: Path, target: Path, seven_bits: bool) -> None:
    """Products with weights become products of 8-bit numbers, activations with a range of their own at each call.

    Args:
        source: the .onnx file in float32.
        target: the file to write.
        seven_bits: keep to 7 bits (see `piaa.vision.runtimes.processor`).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it recommends a step that the exporter has done
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=seven_bits,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.root.setLevel(level)


def quantise_weights(source: Path, target: Path, seven_bits: bool) -> None:
    """Weights of products are stored in 8 bits with a scale for each output; the engine does the rest.

    OpenVINO then quantises the activations of each token by themselves, so that no image depends on its batch.
    Arguments as of `quantise_products`.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(source))
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    written: dict[str, str] = {}
    for node in model.graph.node:
        name = node.input[1] if node.op_type in ("MatMul", "Gemm") else ""
        if name in weights and len(weights[name].dims) == 2:
            transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
            if name not in written:
                axis = 0 if transposed else 1
                whole, scale = to_whole_numbers(numpy_helper.to_array(weights[name]), axis, LARGEST[seven_bits])
                model.graph.initializer.append(numpy_helper.from_array(whole, f"{name}.int8"))
                model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
                written[name] = f"{name}.dequantised"
                inputs = [f"{name}.int8", f"{name}.scale"]
                nodes.append(helper.make_node("DequantizeLinear", inputs, [written[name]], axis=axis))
            node.input[1] = written[name]
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_unused(model)
    onnx.save(model, str(target))


def to_whole_numbers(weight: Any, axis: int, largest: int) -> tuple[Any, Any]:
    """A matrix as int8 times a scale for each row (axis 0) or column (axis 1); the error is at most half a scale.

    Returns:
        whole numbers from -largest to largest, in the shape of `weight`; scales, float32.
    """
    greatest = np.abs(weight).max(axis=1 - axis)
    scale = (np.where(greatest > 0, greatest, 1) / largest).astype(np.float32)
    divided = weight / np.expand_dims(scale, 1 - axis)
    return np.clip(np.rint(divided), -largest, largest).astype(np.int8), scale


def _drop_unused(model: Any) -> None:
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


METHODS: dict[str, Quantiser] = {"onnxruntime": quantise_products, "openvino": quantise_weights}
"""How each engine wants its 8 bits."""
