"""Hugging Face `transformers` CLIP directories, read without that package by renaming the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.errors import ModelError
from piaa.vision.models.checkpoints import read_directory_weights, read_json

_SIMPLE = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm": "visual.ln_pre",
    "vision_model.post_layernorm": "visual.ln_post",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "logit_scale": "logit_scale",
}
_IN_A_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_LAYER = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_ACTIVATIONS = {"quick_gelu": True, "gelu": False}


def is_hugging_face_clip(directory: Path) -> bool:
    """Whether a directory holds a `transformers` CLIP model and no open_clip one."""
    config = directory / "config.json"
    return config.is_file() and not (directory / "open_clip_config.json").is_file()


def open_clip_config(directory: Path) -> dict[str, Any]:
    """The `model_cfg` and `preprocess_cfg` that open_clip would write for this model.

    Raises:
        ModelError: when config.json is not that of a CLIP model with a vision transformer, or names an
            activation that CLIP does not have.
    """
    config = read_json(directory / "config.json")
    if config.get("model_type") != "clip" or "vision_config" not in config:
        raise ModelError(
            f"{directory}: model_type {config.get('model_type')!r} is not supported; "
            "of Hugging Face directories only CLIP models are"
        )
    vision, text = config["vision_config"], config.get("text_config", {})
    activation = vision.get("hidden_act", "quick_gelu")
    if activation not in _ACTIVATIONS or text.get("hidden_act", activation) != activation:
        raise ModelError(f"{directory}: activation {activation!r} is not supported; quick_gelu and gelu are")
    if text.get("vocab_size", 49408) != 49408:
        raise ModelError(f"{directory}: a vocabulary of {text['vocab_size']} tokens is not CLIP's; not supported")
    width, text_width = vision.get("hidden_size", 768), text.get("hidden_size", 512)
    model = {
        "embed_dim": config.get("projection_dim", 512),
        "quick_gelu": _ACTIVATIONS[activation],
        "vision_cfg": {
            "image_size": vision.get("image_size", 224),
            "layers": vision.get("num_hidden_layers", 12),
            "width": width,
            "head_width": width // vision.get("num_attention_heads", 12),
            "patch_size": vision.get("patch_size", 32),
            "mlp_ratio": vision.get("intermediate_size", 4 * width) / width,
        },
        "text_cfg": {
            "context_length": text.get("max_position_embeddings", 77),
            "vocab_size": 49408,
            "width": text_width,
            "heads": text.get("num_attention_heads", 8),
            "layers": text.get("num_hidden_layers", 12),
            "mlp_ratio": text.get("intermediate_size", 4 * text_width) / text_width,
        },
    }
    return {"model_cfg": model, "preprocess_cfg": _preprocessing(directory)}


def _preprocessing(directory: Path) -> dict[str, Any]:
    path = directory / "preprocessor_config.json"
    if not path.is_file():
        return {}
    config = read_json(path)
    return {ours: config[theirs] for ours, theirs in (("mean", "image_mean"), ("std", "image_std")) if theirs in config}


def openai_layout(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a `transformers` CLIPModel to OpenAI's layout; q, k and v are joined.

    Raises:
        ModelError: naming the first weight that has no place there.
    """
    renamed: dict[str, Tensor] = {}
    thirds: dict[str, dict[str, Tensor]] = {}
    for key, value in weights.items():
        if key.endswith("position_ids"):  # a buffer that older versions saved
            continue
        if key in ("visual_projection.weight", "text_projection.weight"):
            renamed["visual.proj" if key.startswith("visual") else "text_projection"] = value.T.contiguous()
            continue
        stem, _, kind = key.rpartition(".")
        layer = _LAYER.fullmatch(key)
        if key in _SIMPLE:
            renamed[_SIMPLE[key]] = value
        elif stem in _SIMPLE:
            renamed[f"{_SIMPLE[stem]}.{kind}"] = value
        elif layer and (layer[3] in _IN_A_LAYER or layer[3].startswith("self_attn.")):
            tower = "visual.transformer" if layer[1] == "vision" else "transformer"
            block = f"{tower}.resblocks.{layer[2]}"
            if layer[3] in _IN_A_LAYER:
                renamed[f"{block}.{_IN_A_LAYER[layer[3]]}.{kind}"] = value
            else:
                thirds.setdefault(f"{block}.attn.in_proj_{kind}", {})[layer[3]] = value
        else:
            raise ModelError(f"weight {key!r} has no place in a CLIP model; not supported")
    for name, parts in thirds.items():
        try:
            renamed[name] = torch.cat([parts[f"self_attn.{letter}_proj"] for letter in "qkv"])
        except KeyError as error:
            raise ModelError(f"weight {error.args[0]!r} of {name!r} is missing") from error
    return renamed


def read_hugging_face_clip(directory: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The open_clip config and the weights in OpenAI's layout of a `transformers` CLIP directory.

    Raises:
        ModelError: see `open_clip_config`, `openai_layout` and `read_directory_weights`.
    """
    config = open_clip_config(directory)
    return config, openai_layout(read_directory_weights(directory))
