"""From an engine's name to an encoder."""

from __future__ import annotations

from pathlib import Path

from piaa.vision.encoder import Encoder, ImageEncoder
from piaa.vision.runtimes.names import AUTO, EXPORTED, Engine, parse_engine


def build_encoder(
    encoder: Encoder, engine: Engine | str, fingerprint: str, size: tuple[int, int], root: Path | None = None
) -> ImageEncoder:
    """An encoder that runs in an engine; for `eager` the one that is given.

    Args:
        encoder: the encoder in PyTorch.
        engine: its name, see `piaa.vision.runtimes.names`.
        fingerprint: `piaa.vision.models.model_fingerprint` of the tower's weights.
        size: (height, width) of the images to come, for the trial of `auto`; other sizes work too.
        root: folder of exported graphs; None is the user's cache.

    Raises:
        ModelError: for an engine that does not exist, is not installed, or does not suit device and precision.
        InputError: when the cache cannot be written.
    """
    chosen = parse_engine(engine) if isinstance(engine, str) else engine
    if chosen.name == AUTO:
        from piaa.vision.runtimes.auto import choose_engine

        chosen = choose_engine(encoder, fingerprint, size, root)
    if chosen.name in EXPORTED:
        from piaa.vision.runtimes.exported import ExportedEncoder

        return ExportedEncoder(encoder, chosen, fingerprint, root)
    if chosen.name == "compile":
        from piaa.vision.runtimes.compiled import CompiledEncoder

        return CompiledEncoder(encoder)
    return encoder
