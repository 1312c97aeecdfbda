"""The image tower in training: as open_clip runs it, and beside the embedding how far its patches look.

Left to itself so small a tower keeps what it knows of the image wherever there is room, most of it in patches of plain
background, and no patch says what lies under it. Two things prevent that; both look at images and captions alone.

- The share of attention that patches pay to [CLS] and to patches that are not their neighbours is added to the loss.
- For a part of the images [CLS] forgets, before the last block, all that it has read in the blocks before. It must
  then find in the patches themselves what the caption says.

Nothing of this is left when the model is used: the forward pass is open_clip's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def far_from(grid: tuple[int, int], radius: int) -> Tensor:
    """M x (M + 1) of 0 and 1: which tokens ([CLS] first) a patch should not look at."""
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    distance = (places[:, None] - places[None]).abs().amax(dim=-1)
    far = (distance > radius).float()
    return torch.cat([torch.ones(len(far), 1), far], dim=1)


class LocalTower(nn.Module):
    """open_clip's image tower, block by block.

    Args:
        visual: the tower; its weights are shared, not copied.
        radius: a patch's neighbours are those at most so many rows and columns away.
    """

    def __init__(self, visual: nn.Module, radius: int = 1) -> None:
        super().__init__()
        self.visual = visual
        self.register_buffer("far", far_from(visual.grid_size, radius), persistent=False)

    def forward(self, images: Tensor, forget: Tensor) -> tuple[Tensor, Tensor]:
        """Image embeddings N x d, and the share of patches' attention that goes far, a mean over blocks, 0 to 1.

        Args:
            images: N x 3 x H x W, normalised.
            forget: N bool, whose [CLS] forgets before the last block.
        """
        visual = self.visual
        tokens = visual._embeds(images)
        first = tokens[:, :1]
        shares = []
        for number, block in enumerate(visual.transformer.resblocks):
            if number == len(visual.transformer.resblocks) - 1:
                cls = torch.where(forget[:, None, None], first, tokens[:, :1])
                tokens = torch.cat([cls, tokens[:, 1:]], dim=1)
            attended, share = self._attend(block, block.ln_1(tokens))
            tokens = tokens + attended
            tokens = tokens + block.mlp(block.ln_2(tokens))
            shares.append(share)
        return visual.ln_post(tokens[:, 0]) @ visual.proj, torch.stack(shares).mean()

    def _attend(self, block: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
        attention = block.attn
        n, t, width = tokens.shape
        joined = F.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = joined.view(n, t, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)
        share = (weights[:, :, 1:].mean(dim=(0, 1)) * self.far).sum(dim=-1).mean()
        heads = (weights @ v).transpose(1, 2).reshape(n, t, width)
        return attention.out_proj(heads), share
