"""The encoder through `torch.compile`: on any device, in the model's own precision."""

from __future__ import annotations

import torch
from torch import Tensor

from piaa.errors import ModelError
from piaa.vision.encoder import Encoded, Encoder
from piaa.vision.runtimes.graph import EncoderGraph


class CompiledEncoder:
    """The face of `piaa.vision.encoder.Encoder` over one compiled graph for any number of images.

    The first call compiles, which takes from half a minute to minutes; each process pays it again.

    Args:
        encoder: the encoder.
        backend: of `torch.compile`.
    """

    def __init__(self, encoder: Encoder, backend: str = "inductor") -> None:
        self.tower, self.front_end = encoder.tower, encoder.front_end
        self._compiled = torch.compile(EncoderGraph(encoder), backend=backend)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Encoded:
        """Encode normalised images `N x 3 x H x W`.

        Raises:
            InputError: when H or W is not a multiple of the patch.
            ModelError: when it cannot be compiled, such as without a C++ compiler.
        """
        grid = self.tower.grid_of(images)
        count = len(images)
        images = images.to(self.tower.device, self.tower.dtype)
        if count == 1:  # one image alone would be compiled for itself
            images = images.expand(2, -1, -1, -1).contiguous()
        torch._dynamo.maybe_mark_dynamic(images, 0)
        try:
            cls, patches = self._compiled(images)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
            raise ModelError(f"torch.compile fails here ({reason}); use another --engine") from error
        return Encoded(cls[:count], patches[:count], grid)
