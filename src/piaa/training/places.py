"""A timm backbone as SST and SARB take it: places of the image in the stead of one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Places(nn.Module):
    """Images B x 3 x H x W to places B x M x s.

    As published, of a ResNet the last stage alone learns; what lies below keeps its weights and its batch statistics.
    Of any other backbone everything learns.

    Args:
        backbone: a timm model without its classifier.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.width = backbone, int(backbone.num_features)  # type: ignore[arg-type]
        self._last = getattr(backbone, "layer4", None)
        if self._last is not None:
            backbone.requires_grad_(False)
            self._last.requires_grad_(True)

    def train(self, mode: bool = True) -> Places:
        """Set the last stage, or everything, to learning; what is frozen stays as it is in use."""
        super().train(mode)
        if self._last is not None:
            self.backbone.eval()
            self._last.train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """B x M x s."""
        seen: Tensor = self.backbone.forward_features(images)  # type: ignore[operator]
        if seen.ndim == 3:  # tokens; [CLS] and registers come first
            return seen[:, int(getattr(self.backbone, "num_prefix_tokens", 0)) :]
        if seen.shape[1] == self.width:
            return seen.flatten(2).mT
        return torch.flatten(seen, 1, 2)  # B x H x W x s
