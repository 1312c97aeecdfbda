"""A model is found: name and pretrained tag become a `LoadedModel`.

Comes in: what a user calls a model. Goes out: its tower, its text encoder and its preprocessing. open_clip is imported
when needed; no engine must be imported here.
"""

from __future__ import annotations

import torch

from piaa.errors import ModelError
from piaa.vision.models.batching import BatchedEncoder, most_images
from piaa.vision.models.catalogue import ModelInfo, list_models
from piaa.vision.models.devices import resolve_device, resolve_precision
from piaa.vision.models.loaded import LoadedModel, model_fingerprint
from piaa.vision.models.self_test import Check, SelfTestReport, self_test
from piaa.vision.models.sources import EMBEDDED, find_source, from_anywhere
from piaa.vision.preprocess import CLIP_MEAN, CLIP_STD

__all__ = [
    "EMBEDDED",
    "BatchedEncoder",
    "Check",
    "LoadedModel",
    "ModelInfo",
    "SelfTestReport",
    "list_models",
    "load_model",
    "model_fingerprint",
    "most_images",
    "self_test",
]


def load_model(
    name: str = EMBEDDED,
    pretrained: str | None = None,
    *,
    device: str | torch.device = "auto",
    precision: str = "auto",
) -> LoadedModel:
    """Load a model with its image tower, text encoder and preprocessing.

    Args:
        name: `embedded` (the model in the package); an open_clip name such as `ViT-B-16`; `local-dir:PATH` or
            a path, to a directory of open_clip or of a Hugging Face CLIP, or to OpenAI's `.pt` archive; the
            name of a directory inside PIAA_MODELS_DIR.
        pretrained: with an open_clip name alone: one of its tags, a checkpoint file (safetensors, a state
            dict, a TorchScript archive), or `random` / `random:SEED` for tests and timings.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: of the image tower: `auto` (fp16 on cuda, else fp32), `fp32`, `bf16` or `fp16`. Text stays
            fp32.

    Raises:
        ModelError: when the model cannot be found, downloaded, read or used; the message says what can be
            done.
    """
    from piaa.vision.towers import build_tower

    place = resolve_device(device)
    dtype = resolve_precision(precision, place)
    source = find_source(name, pretrained or "")
    try:
        tower = build_tower(source.clip.visual)
    except ModelError as error:
        raise ModelError(f"model {name} cannot be used: {error}") from error
    fingerprint = model_fingerprint(source.clip.visual)
    source.clip.requires_grad_(False).to(place)
    tower.to(device=place, dtype=dtype)
    name, pretrained = from_anywhere(name, pretrained or "")
    return LoadedModel(
        name=name,
        pretrained=pretrained,
        tower=tower,
        mean=tuple(source.preprocess.get("mean", CLIP_MEAN)),
        std=tuple(source.preprocess.get("std", CLIP_STD)),
        image_size=tower.image_size,
        resize="squash" if source.preprocess.get("resize_mode") == "squash" else "shortest",
        interpolation=str(source.preprocess.get("interpolation", "bicubic")),
        context=int(getattr(source.clip, "context_length", 77)),
        fingerprint=fingerprint,
        clip=source.clip,
        make_tokenizer=source.make_tokenizer,
        front_end=source.front_end,
    )
