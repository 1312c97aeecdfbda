"""Engines by the names that users write: `eager`, `compile`, `openvino`, `openvino:bf16`, `auto` and so on.

Nothing heavy is imported here: a command line asks for names before it loads a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from piaa.errors import ModelError

FLOAT32 = "fp32"
AUTO = "auto"
ENGINES: dict[str, tuple[str, ...]] = {
    "eager": (FLOAT32,),
    "compile": (FLOAT32,),
    "openvino": (FLOAT32, "bf16", "int8"),
    "onnxruntime": (FLOAT32, "int8"),
    AUTO: (FLOAT32,),
}
"""Engine to its precisions, the default one first. `eager` and `compile` run in the model's own precision."""
EXPORTED = ("openvino", "onnxruntime")
"""Those that run an exported graph."""
EXPORT_PACKAGES = ("onnx", "onnxscript")


@dataclass(frozen=True)
class Engine:
    """An engine and its precision.

    Attributes:
        name: a key of `ENGINES`.
        precision: `fp32`, `bf16` or `int8`; of `eager` and `compile` always `fp32`, which then means the model's own.
    """

    name: str
    precision: str = FLOAT32

    def __str__(self) -> str:
        return self.name if self.precision == FLOAT32 else f"{self.name}:{self.precision}"

    @property
    def exact(self) -> bool:
        """Whether it gives the embeddings of the eager model, but for the order of additions."""
        return self.precision == FLOAT32

    @property
    def missing_packages(self) -> tuple[str, ...]:
        """What would have to be installed to use it from nothing."""
        needed = (self.name, *EXPORT_PACKAGES) if self.name in EXPORTED else ()
        return tuple(package for package in needed if find_spec(package) is None)

    def check_installed(self) -> None:
        """Raise a `ModelError` that names the missing packages, if any is missing."""
        missing = self.missing_packages
        if missing:
            raise ModelError(
                f"engine {self} needs {' and '.join(missing)}, not installed here; "
                "in a checkout: pip install -e '.[engines]'; or use --engine eager"
            )


def engine_names() -> list[str]:
    """Every name that can be written."""
    return [str(Engine(name, precision)) for name, precisions in ENGINES.items() for precision in precisions]


def parse_engine(text: str) -> Engine:
    """`NAME` or `NAME:PRECISION` as an `Engine`.

    Raises:
        ModelError: for an engine that does not exist, or a precision that it has not.
    """
    name, _, precision = text.lower().partition(":")
    precisions = ENGINES.get(name, ())
    if not precisions or (precision or precisions[0]) not in precisions:
        raise ModelError(f"no engine is called {text!r}; choose one of: {', '.join(engine_names())}")
    return Engine(name, precision or precisions[0])
