"""The one-pass encoder with its front-end as one graph, in ONNX: images in, [CLS] and patches out."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from piaa.errors import ModelError
from piaa.vision.encoder import Encoder
from piaa.vision.quiet import quiet

INPUT, OUTPUTS = "images", ("cls", "patches")
MOST_IMAGES = 65536


class EncoderGraph(nn.Module):
    """An encoder whose result is plain tensors, which is what can be exported and compiled."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """`N x 3 x H x W` to [CLS] `N x d` and patches `N x M x d`, float32."""
        encoded = self.encoder(images)
        return encoded.cls, encoded.patches


def export_onnx(encoder: Encoder, size: tuple[int, int], path: Path) -> None:
    """Write the graph for images of one size and any number of them.

    Args:
        encoder: on the CPU, in float32.
        size: (height, width) in pixels.
        path: the .onnx file; weights beyond 2 GB lie beside it.

    Raises:
        ModelError: when the tower or the front-end does something that no graph can hold.
    """
    examples = torch.zeros(2, 3, *size)
    fixed = copy.deepcopy(encoder).eval()
    fixed.tower.fix_positions(fixed.tower.grid_of(examples))
    fixed(examples)  # rotary positions are kept from the last call
    images = torch.export.Dim("images", min=1, max=MOST_IMAGES)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                EncoderGraph(fixed),
                (examples,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: images},),
            )
    except Exception as error:
        raise ModelError(
            f"front-end {encoder.front_end.name!r} on a {type(encoder.tower).__name__} cannot be exported as one "
            f"graph ({_reason(error)}); use --engine eager or compile"
        ) from error
    if program is None:  # the exporter's type says so, for its other ways of being called
        raise ModelError("the exporter gave no graph; use --engine eager")
    program.save(str(path))


def _reason(error: BaseException) -> str:
    """What lies at the root, in one line: the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


def _quiet() -> contextlib.AbstractContextManager[None]:
    """The exporter's running comments are no news to a user of piaa."""
    return quiet("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
