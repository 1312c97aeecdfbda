"""timm's vision transformers inside open_clip: EVA and EVA-02, PE-Core, SigLIP, MobileCLIP-B, ViTamin."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.errors import ModelError
from piaa.vision.towers.base import Grid, Tower
from piaa.vision.towers.positions import BICUBIC, Resample


class TimmTower(Tower):
    """What EVA and plain timm towers share: embedding, projection, pooling. Blocks differ.

    Args:
        visual: open_clip's `TimmModel`, whose `trunk` is the transformer and whose `head` projects.

    Raises:
        ModelError: naming what cannot be taken apart (register tokens, gated attention, other block types).
    """

    block_names: tuple[str, ...]
    attention_names: tuple[str, ...]

    def __init__(self, visual: Any) -> None:
        super().__init__()
        trunk = visual.trunk
        block = trunk.blocks[0]
        self._check(trunk, block)
        self.visual = visual.eval()
        self.depth = len(trunk.blocks)
        self.width = int(trunk.embed_dim)
        self.heads = int(block.attn.num_heads)
        self.patch_size = _patch_size(trunk.patch_embed)
        rows, columns = trunk.patch_embed.grid_size
        self.trained_grid: Grid = (int(rows), int(columns))
        self.positions_grid = self.trained_grid  # of the learnt positions
        self.image_size = (int(trunk.patch_embed.img_size[0]), int(trunk.patch_embed.img_size[1]))
        self.prefix_tokens = int(trunk.num_prefix_tokens)
        self.embed_dim = _embed_dim(visual)
        self.affine_out = isinstance(block.attn.norm, torch.nn.Identity)
        self.pools_all_tokens = trunk.attn_pool is not None or trunk.global_pool == "avg"

    def _check(self, trunk: Any, block: Any) -> None:
        name = type(trunk).__name__
        if getattr(trunk, "reg_token", None) is not None or trunk.num_prefix_tokens > 1:
            raise ModelError(f"{name} towers with register tokens are not supported")
        if type(block).__name__ not in self.block_names or type(block.attn).__name__ not in self.attention_names:
            kinds = f"{type(block).__name__} with {type(block.attn).__name__}"
            raise ModelError(f"{name} towers with blocks of type {kinds} are not supported")
        if getattr(block.attn, "gate", None) is not None or getattr(block.attn, "num_kv_groups", 1) != 1:
            raise ModelError(f"{name} towers with gated or grouped attention are not supported")
        if trunk.attn_pool is None and trunk.global_pool not in ("token", "avg"):
            raise ModelError(f"{name} towers with pooling {trunk.global_pool!r} are not supported")
        if getattr(trunk.attn_pool, "pos_embed", None) is not None:
            raise ModelError(f"{name} towers whose pooling has positions are not supported")

    @property
    def trunk(self) -> Any:
        """The timm transformer."""
        return self.visual.trunk

    def embed(self, images: Tensor, resample: Resample = BICUBIC) -> tuple[Tensor, Grid]:  # noqa: D102
        grid = self.grid_of(images)
        trunk = self.trunk
        patch_embed = trunk.patch_embed
        features = patch_embed.backbone(images) if hasattr(patch_embed, "backbone") else images
        tokens = patch_embed.proj(features).flatten(2).transpose(1, 2)
        tokens = getattr(patch_embed, "norm", torch.nn.Identity())(tokens)
        prefix = tokens[:, :0] if trunk.cls_token is None else trunk.cls_token.expand(tokens.shape[0], -1, -1)
        if trunk.pos_embed is not None:
            own = 0 if trunk.no_embed_class else prefix.shape[1]
            prefix_positions, positions = trunk.pos_embed[0].split([own, trunk.pos_embed.shape[1] - own])
            tokens = tokens + resample.patches(positions, self.positions_grid, grid)
            if self.positions_grid != grid:
                prefix_positions = resample.prefix(prefix_positions)
            prefix = prefix + prefix_positions if own else prefix
        return trunk.norm_pre(torch.cat([prefix, tokens], dim=1)), grid

    def fix_positions(self, grid: Grid) -> None:  # noqa: D102
        learnt = self.trunk.pos_embed
        if learnt is not None:
            own = learnt.shape[1] - self.positions_grid[0] * self.positions_grid[1]
            resampled = BICUBIC.patches(learnt[0, own:], self.positions_grid, grid)
            fixed = torch.cat([learnt[0, :own], resampled])[None].detach()
            self.trunk.pos_embed = torch.nn.Parameter(fixed, requires_grad=False)
        self.positions_grid = grid

    @abstractmethod
    def _rotate(self, heads: Tensor, grid: Grid) -> Tensor:
        """Queries or keys with rotary positions, where the tower has them."""

    def qkv(self, index: int, tokens: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:  # noqa: D102
        attention = self.trunk.blocks[index].attn
        q, k, v = self._projected(index, tokens, "qkv")
        q, k = self._rotate(attention.q_norm(q), grid), self._rotate(attention.k_norm(k), grid)
        return q.type_as(v), k.type_as(v), v

    def keys_values(self, index: int, tokens: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:  # noqa: D102
        k, v = self._projected(index, tokens, "kv")
        return self._rotate(self.trunk.blocks[index].attn.k_norm(k), grid).type_as(v), v

    def cls_attention(self, index: int, tokens: Tensor, grid: Grid) -> Tensor:  # noqa: D102
        k, v = self.keys_values(index, tokens, grid)
        (q,) = self._projected(index, tokens[:, :1], "q")  # [CLS] has no rotary position
        return F.scaled_dot_product_attention(self.trunk.blocks[index].attn.q_norm(q).type_as(v), k, v)

    def _projected(self, index: int, tokens: Tensor, wanted: str) -> list[Tensor]:
        """Some neighbours of `qkv` by their letters, in heads, before their own norms and positions."""
        block = self.trunk.blocks[index]
        attention = block.attn
        normed = self._norm_before(block, tokens)
        if attention.qkv is None:
            return [self.split_heads(getattr(attention, f"{letter}_proj")(normed)) for letter in wanted]
        bias = attention.qkv.bias
        if getattr(attention, "q_bias", None) is not None:
            bias = torch.cat([attention.q_bias, attention.k_bias, attention.v_bias])
        weight = attention.qkv.weight
        third, first = len(weight) // 3, "qkv".index(wanted)
        rows = slice(first * third, (first + len(wanted)) * third)
        projected = F.linear(normed, weight[rows], None if bias is None else bias[rows])
        return [self.split_heads(part) for part in projected.chunk(len(wanted), dim=-1)]

    def _norm_before(self, block: Any, tokens: Tensor) -> Tensor:
        normed: Tensor = block.norm1(tokens)
        return normed

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection of each token on its own.

        Where the tower pools by attention (SigLIP), a token goes through the pooling as if it were
        the only one.
        """
        trunk = self.trunk
        normed = trunk.norm(tokens)
        if trunk.attn_pool is not None:
            normed = trunk.attn_pool(normed.flatten(0, -2)[:, None]).unflatten(0, normed.shape[:-1])
        return self._head(normed)

    def cls_embedding(self, tokens: Tensor) -> Tensor:  # noqa: D102
        trunk = self.trunk
        if not self.pools_all_tokens:
            return self.project(tokens[:, 0])
        return self._head(trunk.pool(trunk.norm(tokens)))

    def _head(self, features: Tensor) -> Tensor:
        projected: Tensor = self.visual.head(self.trunk.head(self.trunk.fc_norm(features)))
        return projected


class TimmVitTower(TimmTower):
    """timm's `VisionTransformer`: SigLIP, SigLIP 2, MobileCLIP-B, MobileCLIP2-L."""

    block_names = ("Block",)
    attention_names = ("Attention",)

    def block(self, index: int, tokens: Tensor, grid: Grid) -> Tensor:  # noqa: D102
        output: Tensor = self.trunk.blocks[index](tokens)
        return output

    def _rotate(self, heads: Tensor, grid: Grid) -> Tensor:
        return heads

    def attention_out(self, index: int, heads_output: Tensor) -> Tensor:  # noqa: D102
        block = self.trunk.blocks[index]
        output: Tensor = block.ls1(block.attn.proj(block.attn.norm(self.join_heads(heads_output))))
        return output

    def mlp(self, index: int, tokens: Tensor) -> Tensor:  # noqa: D102
        block = self.trunk.blocks[index]
        output: Tensor = block.ls2(block.mlp(block.norm2(tokens)))
        return output


class EvaTower(TimmTower):
    """timm's `Eva`: EVA-01, EVA-02 (rotary positions, SwiGLU, sub-LN) and Perception Encoder CLIPs."""

    block_names = ("EvaBlock", "EvaBlockPostNorm")
    attention_names = ("EvaAttention", "AttentionRope")

    def __init__(self, visual: Any) -> None:
        super().__init__(visual)
        self._post_norm = type(self.trunk.blocks[0]).__name__ == "EvaBlockPostNorm"
        self.affine_out = self.affine_out and not self._post_norm
        self._rotary: tuple[object, Tensor] | None = None

    def _check(self, trunk: Any, block: Any) -> None:
        super()._check(trunk, block)
        if trunk.rope is not None and type(trunk.rope).__name__ != "RotaryEmbeddingCat":
            raise ModelError(f"rotary positions of type {type(trunk.rope).__name__} are not supported")

    def block(self, index: int, tokens: Tensor, grid: Grid) -> Tensor:  # noqa: D102
        output: Tensor = self.trunk.blocks[index](tokens, rope=self._positions(grid))
        return output

    def _positions(self, grid: Grid) -> Tensor | None:
        """Sines and cosines for the grid, `M x 2h`; all blocks share them, so the last are kept."""
        rope = self.trunk.rope
        if rope is None:
            return None
        if grid == self.trained_grid:
            return rope.get_embed()  # type: ignore[no-any-return]
        key = (grid, self.device, self.dtype)
        if self._rotary is None or self._rotary[0] != key:
            resized = copy.deepcopy(rope)
            resized.update_feat_shape(list(grid))
            self._rotary = (key, resized.get_embed().to(self.device))
        return self._rotary[1]

    def _rotate(self, heads: Tensor, grid: Grid) -> Tensor:
        from timm.layers.pos_embed_sincos import apply_rot_embed_cat

        positions = self._positions(grid)
        if positions is None:
            return heads
        prefix = heads.shape[2] - grid[0] * grid[1]
        half = bool(getattr(self.trunk.blocks[0].attn, "rotate_half", False))
        rotated = apply_rot_embed_cat(heads[:, :, prefix:], positions, half=half)
        return torch.cat([heads[:, :, :prefix], rotated.to(heads.dtype)], dim=2)

    def _norm_before(self, block: Any, tokens: Tensor) -> Tensor:
        return tokens if self._post_norm else super()._norm_before(block, tokens)

    def attention_out(self, index: int, heads_output: Tensor) -> Tensor:  # noqa: D102
        block = self.trunk.blocks[index]
        output: Tensor = block.attn.proj(block.attn.norm(self.join_heads(heads_output)))
        if self._post_norm:
            return block.norm1(output)  # type: ignore[no-any-return]
        return output if block.gamma_1 is None else block.gamma_1 * output

    def mlp(self, index: int, tokens: Tensor) -> Tensor:  # noqa: D102
        block = self.trunk.blocks[index]
        if self._post_norm:
            return block.norm2(block.mlp(tokens))  # type: ignore[no-any-return]
        output: Tensor = block.mlp(block.norm2(tokens))
        return output if block.gamma_2 is None else block.gamma_2 * output


def _patch_size(patch_embed: Any) -> tuple[int, int]:
    height, width = patch_embed.patch_size
    ratio = getattr(patch_embed, "feature_ratio", (1, 1)) if hasattr(patch_embed, "backbone") else (1, 1)
    return int(height) * int(ratio[0]), int(width) * int(ratio[1])


def _embed_dim(visual: Any) -> int:
    linear = [m for m in (*visual.trunk.head.modules(), *visual.head.modules()) if isinstance(m, torch.nn.Linear)]
    return int(linear[-1].out_features) if linear else int(visual.trunk.num_features)
