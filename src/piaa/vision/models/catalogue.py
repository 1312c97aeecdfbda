"""What can be used, and what is on this machine. Nothing here touches the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piaa.errors import ModelError
from piaa.vision.models import sources

SELECTED = (
    "ViT-B-16",
    "ViT-L-14",
    "EVA02-B-16",
    "EVA02-L-14",
    "ViT-B-32",
    "ViT-L-14-336",
    "ViT-H-14",
    "ViT-B-16-SigLIP",
    "ViT-B-16-SigLIP2",
    "MobileCLIP-B",
)
"""The paper's four backbones first, then those that people ask for."""


@dataclass(frozen=True)
class ModelInfo:
    """One line of `piaa models`.

    Attributes:
        name: for `--model`.
        tags: for `--pretrained`; empty for a directory.
        on_this_machine: those of the tags that are in the cache; for a directory, whether it is there at all.
        parameters: of both towers.
        grid: (rows, columns) of patches at the trained size.
        width: of a token.
        embed_dim: of the shared space.
        unsupported: why it cannot be used; empty when it can.
    """

    name: str
    tags: tuple[str, ...]
    on_this_machine: tuple[str, ...]
    parameters: int
    grid: tuple[int, int]
    width: int
    embed_dim: int
    unsupported: str = ""


def list_models(everything: bool = False) -> list[ModelInfo]:
    """The embedded model, model directories in PIAA_MODELS_DIR, and open_clip's models.

    Args:
        everything: every model of open_clip, with why it cannot be used where it cannot (takes a while),
            instead of the usual ones and those on this machine.
    """
    import open_clip

    infos = []
    if (sources.EMBEDDED_DIR / sources.CONFIG_NAME).is_file():
        infos.append(_directory_info(sources.EMBEDDED, sources.EMBEDDED_DIR))
    for folder in sources.models_dirs():
        for path in sorted(folder.iterdir()):
            if sources.holds_a_model(path):
                infos.append(_directory_info(path.name, path))
    tags: dict[str, list[str]] = {}
    for name, tag in open_clip.list_pretrained():
        tags.setdefault(name, []).append(tag)
    cached = {name: tuple(tag for tag in of_name if sources.is_cached(name, tag)) for name, of_name in tags.items()}
    others = open_clip.list_models() if everything else [name for name, found in cached.items() if found]
    for name in dict.fromkeys((*SELECTED, *others)):
        infos.append(_named_info(name, tuple(tags.get(name, ())), cached.get(name, ())))
    return infos


def _directory_info(name: str, path: Path) -> ModelInfo:
    try:
        return _info(name, (), ("directory",), sources.find_source(f"{sources.LOCAL_PREFIX}{path}", "").clip)
    except ModelError as error:
        return ModelInfo(name, (), ("directory",), 0, (0, 0), 0, 0, str(error))


def _named_info(name: str, tags: tuple[str, ...], cached: tuple[str, ...]) -> ModelInfo:
    import torch

    try:
        with torch.device("meta"), sources._quiet():
            clip = sources._create(name, name, load_weights=False, device="meta")
        return _info(name, tags, cached, clip)
    except ModelError as error:
        return ModelInfo(name, tags, cached, 0, (0, 0), 0, 0, str(error))


def _info(name: str, tags: tuple[str, ...], cached: tuple[str, ...], clip: Any) -> ModelInfo:
    from piaa.vision.towers import build_tower

    parameters = sum(parameter.numel() for parameter in clip.parameters())
    try:
        tower = build_tower(clip.visual)
    except ModelError as error:
        return ModelInfo(name, tags, cached, parameters, (0, 0), 0, 0, str(error))
    grid = (tower.image_size[0] // tower.patch_size[0], tower.image_size[1] // tower.patch_size[1])
    return ModelInfo(name, tags, cached, parameters, grid, tower.width, tower.embed_dim)
