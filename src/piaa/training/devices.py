"""A trained network as ONNX, for devices without PyTorch: in float32, or in 8 bits.

The file says in its metadata, under `piaa`, what a program needs beside it: class names, thresholds, the size of the
images and how their pixels are scaled.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from piaa.errors import ModelError
from piaa.files import whole_file
from piaa.vision.runtimes.processor import sums_int8_without_overflow

INPUT, OUTPUT, KEY = "images", "probabilities", "piaa"
ADVICE = "in a checkout: pip install -e '.[engines]'"


def write_onnx(network: nn.Module, size: int, about: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a network: `images` B x 3 x size x size to `probabilities` B x C.

    Args:
        network: B x 3 x size x size to a pair, the logits B x C first.
        size: pixels of a side.
        about: JSON values for the file's metadata.
        path: the file, written whole or not at all.

    Raises:
        ModelError: onnx or onnxscript is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelError(f"the export needs onnx and onnxscript: {ADVICE}") from error
    example, plain = torch.zeros(2, 3, size, size), _Probabilities(network).eval()
    batch = {0: torch.export.Dim("batch", min=1)}
    with whole_file(path) as aside:
        torch.onnx.export(
            plain, (example,), aside, input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes={"images": batch},
            external_data=False, verbose=False,
        )  # fmt: skip
        model = onnx.load(str(aside))
        onnx.helper.set_model_props(model, {KEY: json.dumps(about, ensure_ascii=False)})
        onnx.save(model, str(aside))


def write_int8(source: str | os.PathLike[str], path: str | os.PathLike[str], images: Tensor, batch: int = 32) -> None:
    """Write a file of `write_onnx` in 8 bits, weights and what passes between layers.

    Args:
        source: the file in float32.
        path: the file to write; its metadata are those of `source`.
        images: n x 3 x size x size, which the ranges of the layers are taken from; a hundred will do.
        batch: images at a time.

    Raises:
        ModelError: onnx or onnxruntime is not installed.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise ModelError(f"8 bits need onnx and onnxruntime: {ADVICE}") from error
    level = logging.root.level
    with whole_file(path) as aside, tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        logging.root.setLevel(logging.ERROR)  # it recommends what is done here
        try:
            quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)  # batch norms go into convolutions
            quantize_static(
                str(folded), str(aside), _Given(images, batch), quant_format=QuantFormat.QDQ, per_channel=True,
                reduce_range=not sums_int8_without_overflow(), activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )  # fmt: skip
        finally:
            logging.root.setLevel(level)
        model, origin = onnx.load(str(aside)), onnx.load(str(source))
        onnx.helper.set_model_props(model, {prop.key: prop.value for prop in origin.metadata_props})
        onnx.save(model, str(aside))


class _Given:
    """Images as the quantiser asks for them (its `CalibrationDataReader`)."""

    def __init__(self, images: Tensor, batch: int) -> None:
        self._parts = iter(torch.split(images.float(), batch))

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, or None after the last."""
        part = next(self._parts, None)
        return None if part is None else {INPUT: part.numpy()}


class _Probabilities(nn.Module):
    """Images to probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        probabilities: Tensor = torch.sigmoid(self.network(images)[0])
        return probabilities
