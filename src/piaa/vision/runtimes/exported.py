"""The encoder in an inference engine: exported once, kept on disk, opened for each size of image."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from piaa.errors import ModelError
from piaa.vision.encoder import Encoded, Encoder
from piaa.vision.runtimes.cache import GRAPH, describe_graph, graph_folder, installed
from piaa.vision.runtimes.graph import export_onnx
from piaa.vision.runtimes.names import Engine
from piaa.vision.runtimes.processor import sums_int8_without_overflow
from piaa.vision.runtimes.sessions import Session, open_session


class ExportedEncoder:
    """The face of `piaa.vision.encoder.Encoder` over an inference engine.

    Args:
        encoder: the encoder in PyTorch, on the CPU and in float32; its towers' sizes are asked for, it is not run.
        engine: `openvino` or `onnxruntime`, with its precision.
        fingerprint: `piaa.vision.models.model_fingerprint` of the tower's weights.
        root: the folder of exported graphs; None is the user's cache.

    Raises:
        ModelError: for another device or precision of the model, or a package that is missing.
    """

    def __init__(self, encoder: Encoder, engine: Engine, fingerprint: str, root: Path | None = None) -> None:
        self.tower, self.front_end = encoder.tower, encoder.front_end
        if self.tower.device.type != "cpu":
            raise ModelError(
                f"engine {engine} runs on the CPU, the model is on {self.tower.device}; use --device cpu, or "
                "--engine compile"
            )
        if self.tower.dtype != torch.float32:
            raise ModelError(
                f"engine {engine} takes the model in float32 and sets its own precision; use --precision fp32, "
                "and a precision of the engine such as openvino:bf16"
            )
        engine.check_installed()
        self.engine = engine
        self._encoder, self._fingerprint, self._root = encoder, fingerprint, root
        self._sessions: dict[tuple[int, int], Session] = {}

    def __call__(self, images: Tensor) -> Encoded:
        """Encode normalised images `N x 3 x H x W`.

        Raises:
            InputError: when H or W is not a multiple of the patch, or the cache cannot be written.
            ModelError: when the graph cannot be exported or opened.
        """
        grid = self.tower.grid_of(images)
        height, width = images.shape[-2:]
        if (height, width) not in self._sessions:
            self.prepare((height, width))
        cls, patches = self._sessions[height, width](images.to("cpu", torch.float32).contiguous().numpy())
        return Encoded(_tensor(cls), _tensor(patches), grid)

    def prepare(self, size: tuple[int, int]) -> None:
        """Export and open the graph for images of one (height, width), where that has not been done.

        Raises:
            InputError, ModelError: as calling does.
        """
        path = self._graph(size)
        if self.engine.precision == "int8":
            path = self._quantised(path, size)
        self._sessions[size] = open_session(path, self.engine, torch.get_num_threads())

    def _about(self, size: tuple[int, int]) -> dict[str, Any]:
        return describe_graph(self._encoder, self._fingerprint, size)

    def _graph(self, size: tuple[int, int]) -> Path:
        def make(folder: Path) -> None:
            export_onnx(self._encoder, size, folder / GRAPH)

        return graph_folder(self._about(size), make, self._root) / GRAPH

    def _quantised(self, path: Path, size: tuple[int, int]) -> Path:
        from piaa.vision.runtimes.quantise import METHODS

        method = METHODS[self.engine.name]
        seven_bits = not sums_int8_without_overflow()
        about = self._about(size) | {
            "precision": str(self.engine),
            "seven_bits": seven_bits,
            "quantiser": installed("onnxruntime", "onnx"),
        }
        return graph_folder(about, partial(_write, method, path, seven_bits), self._root) / GRAPH


def _write(method: Any, path: Path, seven_bits: bool, folder: Path) -> None:
    method(path, folder / GRAPH, seven_bits)


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
