"""Is the model, as taken apart here, the model that the library runs? Asked of any weights."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.errors import ModelError
from piaa.vision.encoder import run_blocks
from piaa.vision.front_ends import FRONT_ENDS
from piaa.vision.models.loaded import LoadedModel
from piaa.vision.towers import Tower, build_tower

EXACT = 1e-5
"""Largest relative error in float32 where the arithmetic is the same."""
BATCH_LIMITS = {"sc-clip": 1e-3}
"""SC-CLIP compares similarities with a threshold; one that lies on it within rounding moves one patch."""
HALF_LIMITS = {torch.bfloat16: 0.05, torch.float16: 0.01}
"""Largest relative error of half precision; SC-CLIP may have three times as much, for its thresholds."""


@dataclass(frozen=True)
class Check:
    """One figure and what it may be.

    Attributes:
        name: what was compared.
        value: the relative error found.
        limit: the largest that passes.
    """

    name: str
    value: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the value is within the limit (never for NaN)."""
        return self.value <= self.limit


@dataclass(frozen=True)
class SelfTestReport:
    """What `self_test` found.

    Attributes:
        model: its name and pretrained tag.
        device: where it ran.
        checks: the figures.
        seconds: how long it took.
    """

    model: str
    device: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


@torch.no_grad()
def self_test(model: LoadedModel, seed: int = 0) -> SelfTestReport:
    """Compare a model with the library's own, on two random images of the trained size.

    - [CLS] equals the library's `encode_image`.
    - The plain front-end's patches equal the library's own tokens, each pooled and projected as if alone.
    - A block put together from its parts (queries, keys, values, output, MLP) is the block.
    - Every front-end gives an image the same patches alone and beside another.
    - Half precision stays near float32: bf16, and fp16 on a GPU.

    Args:
        model: loaded with precision fp32.
        seed: of the images.

    Raises:
        ModelError: when the model is not in float32, as its exact values are gone.
    """
    if model.dtype != torch.float32:
        raise ModelError(f"the self-test needs the model in fp32, not {model.dtype}; load it with precision fp32")
    start = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, *model.tower.image_size, generator=generator).to(model.device)
    cls, patches = _encode(model.tower, images)
    checks = [
        Check("[CLS] against encode_image", _error(cls, model.clip.encode_image(images)), EXACT),
        Check("patches against own tokens", _error(patches["clip"], _own_patches(model, images)), EXACT),
    ]
    for block in sorted({model.tower.depth // 2, model.tower.depth - 1}):
        checks.append(Check(f"block {block + 1} against its parts", _parts_error(model.tower, images, block), EXACT))
    _, alone = _encode(model.tower, images[1:])
    for name, single in alone.items():
        error = _error(single, patches[name][1:])
        checks.append(Check(f"{name} alone against in a batch", error, BATCH_LIMITS.get(name, EXACT)))
    for dtype in (torch.bfloat16, torch.float16) if model.device.type == "cuda" else (torch.bfloat16,):
        _, rounded = _encode(_in_precision(model.tower, dtype), images[1:])
        for name, half in rounded.items():
            limit = HALF_LIMITS[dtype] * (3 if name == "sc-clip" else 1)
            label = f"{name} in {str(dtype).removeprefix('torch.')} against float32"
            checks.append(Check(label, _error(half, patches[name][1:]), limit))
    label = f"{model.name} {model.pretrained}".strip()
    return SelfTestReport(label, str(model.device), tuple(checks), time.perf_counter() - start)


def _error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


def _encode(tower: Tower, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The [CLS] embedding and the patches of every front-end, from one pass over the blocks."""
    needed = frozenset().union(*(front_end.needs(tower.depth) for front_end in FRONT_ENDS.values()))
    trace = run_blocks(tower, images, needed)
    patches = {name: front_end(tower, trace).float() for name, front_end in FRONT_ENDS.items()}
    return tower.last_block_cls(trace.before(tower.depth), trace.grid).float(), patches


def _parts_error(tower: Tower, images: Tensor, index: int) -> float:
    tokens, grid = tower.embed(images)
    q, k, v = tower.qkv(index, tokens, grid)
    middle = tokens + tower.attention_out(index, F.scaled_dot_product_attention(q, k, v))
    return _error(middle + tower.mlp(index, middle), tower.block(index, tokens, grid))


def _in_precision(tower: Tower, dtype: torch.dtype) -> Tower:
    visual: Any = tower.visual
    return build_tower(copy.deepcopy(visual)).to(dtype)


def _own_patches(model: LoadedModel, images: Tensor) -> Tensor:
    """Patch tokens by the library's own forward pass, then its own pooling and projection of each alone."""
    visual: Any = model.clip.visual
    if hasattr(visual, "trunk"):
        trunk = visual.trunk
        normed = trunk.forward_features(images)[:, trunk.num_prefix_tokens :]
        single = normed.flatten(0, 1)[:, None]
        if trunk.attn_pool is None and trunk.global_pool == "avg":  # the mean leaves out what it takes for a prefix
            single = single.expand(-1, trunk.num_prefix_tokens + 1, -1)
        return visual.head(trunk.forward_head(single)).unflatten(0, normed.shape[:2])  # type: ignore[no-any-return]
    states = visual.forward_intermediates(images, indices=1, output_fmt="NLC", intermediates_only=True)
    tokens = states["image_intermediates"][-1]
    return visual.ln_post(tokens) @ visual.proj  # type: ignore[no-any-return]
