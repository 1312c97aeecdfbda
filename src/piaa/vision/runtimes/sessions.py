"""A graph on disk becomes something to call: one function an inference engine, numpy arrays in and out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piaa.errors import ModelError
from piaa.vision.runtimes.graph import INPUT, OUTPUTS
from piaa.vision.runtimes.names import Engine

Array = NDArray[np.float32]
Session = Callable[[Array], tuple[Array, Array]]
"""Images `N x 3 x H x W` to [CLS] `N x d` and patches `N x M x d`."""


def open_session(path: Path, engine: Engine, threads: int) -> Session:
    """Load a graph into an engine.

    Args:
        path: the .onnx file; for `onnxruntime:int8` the quantised one.
        engine: `openvino` or `onnxruntime`, with its precision.
        threads: of the engine, at least 1.

    Raises:
        ModelError: when the processor lacks what the precision needs, or the engine refuses the graph.
    """
    try:
        return _OPENERS[engine.name](path, engine, threads)
    except ModelError:
        raise
    except Exception as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise ModelError(
            f"{path}: {engine} cannot use this graph ({reason}); delete the folder {path.parent} to export it "
            "again, or use --engine eager"
        ) from error


def _openvino(path: Path, engine: Engine, threads: int) -> Session:
    import openvino

    core = openvino.Core()
    if engine.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ModelError("this processor has no bfloat16 instructions; use --engine openvino or openvino:int8")
    compiled = core.compile_model(core.read_model(str(path)), "CPU", openvino_settings(engine, threads))
    outputs = [compiled.output(name) for name in OUTPUTS]

    def run(images: Array) -> tuple[Array, Array]:
        results = compiled({INPUT: images})
        return results[outputs[0]], results[outputs[1]]

    return run


def openvino_settings(engine: Engine, threads: int) -> dict[str, Any]:
    """All threads on one batch; float32 stays float32 also where the processor has something faster."""
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # the decoding threads share these cores
        "INFERENCE_PRECISION_HINT": "bf16" if engine.precision == "bf16" else "f32",
    }
    if engine.precision != "int8":
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
    return settings


def _onnxruntime(path: Path, engine: Engine, threads: int) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Array) -> tuple[Array, Array]:
        cls, patches = session.run(list(OUTPUTS), {INPUT: images})
        return cls, patches

    return one_by_one(run) if engine.precision == "int8" else run


def one_by_one(run: Session) -> Session:
    """The same, an image at a time.

    Activations that are quantised as they come take their range from everything that goes through together, so an
    image's result would depend on its batch.
    """

    def each(images: Array) -> tuple[Array, Array]:
        parts = [run(images[index : index + 1]) for index in range(len(images))]
        return np.concatenate([cls for cls, _ in parts]), np.concatenate([patches for _, patches in parts])

    return each


_OPENERS: dict[str, Callable[[Path, Engine, int], Session]] = {"openvino": _openvino, "onnxruntime": _onnxruntime}
