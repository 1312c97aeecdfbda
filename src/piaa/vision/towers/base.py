"""The one face that every image tower shows to the front-ends and the encoder.

Tokens are `N x T x D`: first the prefix (the [CLS] token, or nothing), then the patches in row-major order.
Front-ends also pass patches alone; a tower tells the two apart by comparing T with the grid, so nothing here
holds state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piaa.errors import InputError, ModelError
from piaa.vision.towers.positions import BICUBIC, Resample

Grid = tuple[int, int]
"""(rows, columns) of patches."""
Heads = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values, each `N x heads x T x (D / heads)`."""
ALL = slice(None)


class Tower(nn.Module, ABC):
    """A vision transformer taken apart into the steps that front-ends recombine.

    Attributes:
        depth: number of blocks, L.
        width: width of a token, D.
        heads: attention heads of a block.
        patch_size: height and width of a patch in pixels.
        prefix_tokens: 1 when the tower has a [CLS] token, else 0.
        embed_dim: width of the shared image-text space, d.
        image_size: (height, width) in pixels that the tower was trained for.
        affine_out: whether `attention_out` is affine, as it is without an inner norm.
        pools_all_tokens: True when the image embedding needs every token of the last block (average or
            attention pooling); False when the [CLS] token alone is enough.
    """

    depth: int
    width: int
    heads: int
    patch_size: tuple[int, int]
    prefix_tokens: int
    embed_dim: int
    image_size: tuple[int, int]
    affine_out: bool
    pools_all_tokens: bool

    @abstractmethod
    def embed(self, images: Tensor, resample: Resample = BICUBIC) -> tuple[Tensor, Grid]:
        """Images `N x 3 x H x W` to the input tokens `N x T x D` of block 0, and the patch grid.

        Args:
            images: normalised.
            resample: how learnt positions come to another grid than the trained one.

        Raises:
            InputError: when H or W is not a multiple of the patch.
        """

    @abstractmethod
    def block(self, index: int, tokens: Tensor, grid: Grid) -> Tensor:
        """The whole block `index` (0-based), unchanged: `N x T x D` to `N x T x D`."""

    @abstractmethod
    def qkv(self, index: int, tokens: Tensor, grid: Grid) -> Heads:
        """Queries, keys and values of block `index`, each `N x heads x T x (D / heads)`.

        They include the block's first layer norm, its biases and, where the tower has them, rotary positions.
        They are scaled for a softmax of `q k' / sqrt(D / heads)`.
        """

    @abstractmethod
    def keys_values(self, index: int, tokens: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        """The last two of `qkv` alone, for two thirds of its work."""

    @abstractmethod
    def cls_attention(self, index: int, tokens: Tensor, grid: Grid) -> Tensor:
        """What [CLS] alone gathers by the plain attention of block `index`: `N x heads x 1 x (D / heads)`.

        Equal to the first row of softmax(q k') v up to rounding, for less work.
        """

    @abstractmethod
    def attention_out(self, index: int, heads_output: Tensor) -> Tensor:
        """Attention's `N x heads x T x (D / heads)` to the residual branch `N x T x D`.

        Inner norm where there is one, output projection, layer scale.
        """

    @abstractmethod
    def mlp(self, index: int, tokens: Tensor) -> Tensor:
        """The MLP's residual branch of block `index`, second norm and layer scale included."""

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection of each token on its own: `N x T x D` to `N x T x d`, not normalised."""

    @abstractmethod
    def cls_embedding(self, tokens: Tensor) -> Tensor:
        """The image embedding `N x d`, not normalised, from the tokens after the last block.

        Where `pools_all_tokens` is False only `tokens[:, 0]` is read.
        """

    def fix_positions(self, grid: Grid) -> None:
        """Resample the learnt positions to another grid for good, in place; for a copy of a tower that has one size.

        Embeddings of that grid stay what they are; an exported graph then holds no interpolation.
        """
        raise ModelError(f"the positions of a {type(self).__name__} cannot be fixed to one size")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the tower's weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """The device of the tower's weights."""
        return next(self.parameters()).device

    def grid_of(self, images: Tensor) -> Grid:
        """The patch grid of `N x 3 x H x W` images.

        Raises:
            InputError: when the tensor is not a batch of RGB images, or H or W is not a multiple of the
            patch.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"images must be N x 3 x H x W, not {' x '.join(map(str, images.shape))}")
        height, width = images.shape[-2:]
        patch_height, patch_width = self.patch_size
        if (
            height,
            width,
        ) == self.image_size:  # the trained size itself may leave a rest, which the tower ignores
            return height // patch_height, width // patch_width
        if height < patch_height or width < patch_width or height % patch_height or width % patch_width:
            raise InputError(
                f"image size {height} x {width} is not a multiple of the model's patch, "
                f"{patch_height} x {patch_width}; choose a size that is"
            )
        return height // patch_height, width // patch_width

    def split_heads(self, tokens: Tensor) -> Tensor:
        """`N x T x D` to `N x heads x T x (D / heads)`."""
        return tokens.reshape(*tokens.shape[:-1], self.heads, -1).transpose(1, 2)

    @staticmethod
    def join_heads(heads_output: Tensor) -> Tensor:
        """`N x heads x T x (D / heads)` to `N x T x D`."""
        return heads_output.transpose(1, 2).flatten(2)

    def finish_block(self, index: int, tokens: Tensor, heads: Heads, rows: slice = ALL) -> Tensor:
        """What follows the queries, keys and values of a block: attention, residual, MLP.

        Args:
            index: the block.
            tokens: `N x T x D`, its input.
            heads: its `qkv`.
            rows: the rows to compute.
        """
        q, k, v = heads
        attended = F.scaled_dot_product_attention(q[:, :, rows], k, v)
        return self.add_mlp(index, self.add_attention(index, tokens[:, rows], attended))

    def add_attention(self, index: int, tokens: Tensor, heads_output: Tensor) -> Tensor:
        """`tokens + attention_out(index, heads_output)`, `N x T x D`, in memory of its own."""
        # sums take the place of what was just computed: memory that is new to the process costs page faults
        return self.attention_out(index, heads_output).add_(tokens)

    def add_mlp(self, index: int, tokens: Tensor) -> Tensor:
        """`tokens + mlp(index, tokens)`, `N x T x D`, in memory of its own."""
        return self.mlp(index, tokens).add_(tokens)

    def last_block_cls(self, tokens: Tensor, grid: Grid, heads: Heads | None = None) -> Tensor:
        """The image embedding `N x d` from the tokens before the last block, which is run plainly.

        Where [CLS] alone is pooled, only its own row of the block is computed.

        Args:
            tokens: `N x T x D`.
            grid: of the patches.
            heads: the last block's `qkv` of these tokens, where it is known already.
        """
        last = self.depth - 1
        if self.pools_all_tokens:
            heads = self.qkv(last, tokens, grid) if heads is None else heads
            return self.cls_embedding(self.finish_block(last, tokens, heads))
        if heads is not None:
            return self.cls_embedding(self.finish_block(last, tokens, heads, slice(0, 1)))
        cls = self.add_attention(last, tokens[:, :1], self.cls_attention(last, tokens, grid))
        return self.cls_embedding(self.add_mlp(last, cls))
