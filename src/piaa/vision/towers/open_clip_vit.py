"""open_clip's own VisionTransformer: OpenAI, LAION, DataComp, MetaCLIP, CLIPA, DFN and most others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piaa.errors import ModelError
from piaa.vision.towers.base import Grid, Tower
from piaa.vision.towers.fused import add_linear, add_mlp
from piaa.vision.towers.positions import BICUBIC, Resample


class OpenClipTower(Tower):
    """A `Tower` over the weights of an `open_clip.transformer.VisionTransformer`, which it does not change.

    Args:
        visual: the image tower of an open_clip model.

    Raises:
        ModelError: for attentional pooling (CoCa) and for open_clip's custom blocks.
    """

    def __init__(self, visual: Any) -> None:
        super().__init__()
        if visual.attn_pool is not None:
            raise ModelError(
                "image towers that end in attentional pooling (CoCa) are not supported: their patches "
                "share no space with the text; use a plain CLIP ViT"
            )
        blocks = visual.transformer.resblocks
        if not isinstance(blocks[0].attn, nn.MultiheadAttention):
            raise ModelError(f"blocks of type {type(blocks[0]).__name__} are not supported; use a plain CLIP ViT")
        if visual.pool_type not in ("tok", "avg"):
            raise ModelError(f"pooling {visual.pool_type!r} is not supported; use a CLIP ViT with a [CLS] token")
        self.visual = visual.eval()
        self.depth = len(blocks)
        self.width = int(visual.conv1.out_channels)
        self.heads = int(blocks[0].attn.num_heads)
        self.patch_size = (int(visual.patch_size[0]), int(visual.patch_size[1]))
        self.image_size = (int(visual.image_size[0]), int(visual.image_size[1]))
        self.prefix_tokens = 1
        self.embed_dim = int(visual.output_dim)
        self.affine_out = True
        self.pools_all_tokens = visual.pool_type == "avg"

    def embed(self, images: Tensor, resample: Resample = BICUBIC) -> tuple[Tensor, Grid]:  # noqa: D102
        grid = self.grid_of(images)
        patches = self.visual.conv1(images).flatten(2).transpose(1, 2)
        cls = self.visual.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        positions = self._positions(grid, resample).to(patches.dtype)
        return self.visual.ln_pre(torch.cat([cls, patches], dim=1) + positions), grid

    def _positions(self, grid: Grid, resample: Resample = BICUBIC) -> Tensor:
        learnt = self.visual.positional_embedding
        trained = (int(self.visual.grid_size[0]), int(self.visual.grid_size[1]))
        prefix = learnt[:1] if trained == grid else resample.prefix(learnt[:1])
        return torch.cat([prefix, resample.patches(learnt[1:], trained, grid)])

    def fix_positions(self, grid: Grid) -> None:  # noqa: D102
        self.visual.positional_embedding = nn.Parameter(self._positions(grid).detach(), requires_grad=False)
        self.visual.grid_size = grid

    def block(self, index: int, tokens: Tensor, grid: Grid) -> Tensor:  # noqa: D102
        block, transformer = self.visual.transformer.resblocks[index], self.visual.transformer
        if transformer.batch_first:
            return block(tokens)  # type: ignore[no-any-return]
        return block(tokens.transpose(0, 1)).transpose(0, 1)  # type: ignore[no-any-return]

    def qkv(self, index: int, tokens: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:  # noqa: D102
        block = self.visual.transformer.resblocks[index]
        projected = F.linear(block.ln_1(tokens), block.attn.in_proj_weight, block.attn.in_proj_bias)
        q, k, v = (self.split_heads(part) for part in projected.chunk(3, dim=-1))
        return q, k, v

    def keys_values(self, index: int, tokens: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:  # noqa: D102
        block = self.visual.transformer.resblocks[index]
        weight, bias = block.attn.in_proj_weight[self.width :], block.attn.in_proj_bias[self.width :]
        k, v = F.linear(block.ln_1(tokens), weight, bias).chunk(2, dim=-1)
        return self.split_heads(k), self.split_heads(v)

    def cls_attention(self, index: int, tokens: Tensor, grid: Grid) -> Tensor:
        """One query needs no keys and values of all tokens: (q Wk) x' and (A x) Wv have one row a head.

        A bias of the keys shifts all scores of a query alike, so softmax does not see it.
        """
        block = self.visual.transformer.resblocks[index]
        normed: Tensor = block.ln_1(tokens)
        w_q, w_k, w_v = block.attn.in_proj_weight.chunk(3)
        b_q, _, b_v = block.attn.in_proj_bias.chunk(3)
        q = self.split_heads(F.linear(normed[:, :1], w_q, b_q))[:, :, 0]  # N x heads x h
        w_k, w_v = (weight.reshape(self.heads, -1, self.width) for weight in (w_k, w_v))
        scores = torch.einsum("nhe,hed->nhd", q, w_k) @ normed.mT
        mixed = (scores * q.shape[-1] ** -0.5).softmax(dim=-1) @ normed  # N x heads x D
        attended: Tensor = torch.einsum("nhd,hed->nhe", mixed, w_v) + b_v.reshape(self.heads, -1)
        return attended[:, :, None]

    def attention_out(self, index: int, heads_output: Tensor) -> Tensor:  # noqa: D102
        block = self.visual.transformer.resblocks[index]
        return block.ls_1(block.attn.out_proj(self.join_heads(heads_output)))  # type: ignore[no-any-return]

    def mlp(self, index: int, tokens: Tensor) -> Tensor:  # noqa: D102
        block = self.visual.transformer.resblocks[index]
        return block.ls_2(block.mlp(block.ln_2(tokens)))  # type: ignore[no-any-return]

    def add_attention(self, index: int, tokens: Tensor, heads_output: Tensor) -> Tensor:  # noqa: D102
        block = self.visual.transformer.resblocks[index]
        if not isinstance(block.ls_1, nn.Identity):
            return super().add_attention(index, tokens, heads_output)
        return add_linear(tokens, block.attn.out_proj, self.join_heads(heads_output))

    def add_mlp(self, index: int, tokens: Tensor) -> Tensor:  # noqa: D102
        block = self.visual.transformer.resblocks[index]
        if not isinstance(block.ls_2, nn.Identity):
            return super().add_mlp(index, tokens)
        mlp = block.mlp
        return add_mlp(tokens, mlp.c_fc, mlp.gelu, mlp.c_proj, block.ln_2(tokens))

    def project(self, tokens: Tensor) -> Tensor:  # noqa: D102
        projected: Tensor = self.visual.ln_post(tokens)
        projection: Tensor = self.visual.proj
        return projected @ projection

    def cls_embedding(self, tokens: Tensor) -> Tensor:  # noqa: D102
        if self.pools_all_tokens and self.visual.final_ln_after_pool:
            return self.project(tokens[:, 1:].mean(dim=1))
        if self.pools_all_tokens:  # norm, mean, projection
            return self.project(tokens[:, 1:]).mean(dim=1)
        return self.project(tokens[:, 0])
