"""A model that is ready to use: image tower, text encoder, preprocessing."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from piaa.errors import ModelError
from piaa.vision.front_ends import DEFAULT_FRONT_END
from piaa.vision.preprocess import Preprocess, build_preprocess
from piaa.vision.towers import Tower

ENLARGED = 4 / 3
"""Side of the default input over the side that a model was trained for."""

Tokenizer = Callable[[list[str]], Tensor]


@dataclass(frozen=True)
class LoadedModel:
    """What `load_model` gives.

    Attributes:
        name: as asked for: `embedded`, an open_clip name, `local-dir:PATH`, a path; paths are absolute.
        pretrained: the tag or the checkpoint file; empty where the name says it all.
        tower: the image tower, on `device`, in `dtype`.
        mean: per channel, of pixels in [0, 1].
        std: likewise.
        image_size: (height, width) in pixels that the model was trained for.
        resize: how the model's own recipe resizes: `shortest` or `squash`.
        interpolation: likewise: `bicubic` or `bilinear`.
        context: length of the text encoder's input in tokens.
        fingerprint: `model_fingerprint` of the image tower as loaded, before any change of precision.
        clip: the open_clip model; its image tower is the one in `tower`, its text tower stays in float32.
        make_tokenizer: gives the tokenizer; called at the first text, as it may need a package of its own.
        front_end: the one that suits the model best, for those who name none.
    """

    name: str
    pretrained: str
    tower: Tower
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: tuple[int, int]
    resize: str
    interpolation: str
    context: int
    fingerprint: str
    clip: Any = field(repr=False)
    make_tokenizer: Callable[[], Tokenizer] = field(repr=False)
    front_end: str = DEFAULT_FRONT_END

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.tower.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the image tower."""
        return self.tower.dtype

    @property
    def larger_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the default input: `ENLARGED` times the trained size, whole patches.

        `benchmarks/resolution.py` measures what it gains; `--image-size trained` is the published size.
        """
        height, width = (
            round(side * ENLARGED / step) * step
            for side, step in zip(self.image_size, self.tower.patch_size, strict=True)
        )
        return height, width

    @property
    def embed_dim(self) -> int:
        """Width d of the shared space."""
        return self.tower.embed_dim

    @torch.no_grad()
    def encode_text(self, texts: list[str]) -> Tensor:
        """Text embeddings `len(texts) x d`, float32, on `device`, not normalised.

        A text longer than the context is cut, with a warning that names it.

        Raises:
            ModelError: when the tokenizer needs a package that is not installed, or does not belong to the
                model.
        """
        tokenizer = self._tokenizer
        tokens = tokenizer(texts)
        full = tokens[:, -1] == getattr(tokenizer, "eot_token_id", -1)
        if full.any():
            first = texts[int(full.int().argmax())]
            warnings.warn(
                f"{int(full.sum())} texts fill all {self.context} tokens and may be cut, such as {first!r}",
                stacklevel=2,
            )
        vocabulary = _vocabulary(self.clip)
        if vocabulary is not None and int(tokens.max()) >= vocabulary:
            raise ModelError(
                f"model {self.name!r} knows {vocabulary} tokens, its tokenizer gives number "
                f"{int(tokens.max())}; the directory lacks its own tokenizer"
            )
        embeddings: Tensor = self.clip.encode_text(tokens.to(self.device))
        return embeddings.float()

    def preprocess(self, image_size: int | tuple[int, int] | None = None, resize: str | None = None) -> Preprocess:
        """The model's own preprocessing, with another size or resize mode where given."""
        return build_preprocess(
            self.image_size if image_size is None else image_size,
            self.resize if resize is None else resize,
            self.mean,
            self.std,
            self.interpolation,
        )

    @property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = self.__dict__.get("_made_tokenizer")
        if tokenizer is None:
            tokenizer = self.make_tokenizer()
            object.__setattr__(self, "_made_tokenizer", tokenizer)
        return tokenizer  # type: ignore[no-any-return]


def _vocabulary(clip: Any) -> int | None:
    embedding = getattr(clip, "token_embedding", None) or getattr(getattr(clip, "text", None), "token_embedding", None)
    return int(embedding.num_embeddings) if isinstance(embedding, nn.Embedding) else None


def model_fingerprint(visual: nn.Module) -> str:
    """A short hash (16 hexadecimal digits) of an image tower's weights, names and shapes.

    Equal for equal float32 values, wherever the weights came from; a classifier file keeps it, to say which
    model it belongs to.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(visual.state_dict().items()):
        digest.update(f"{name} {tuple(weight.shape)}\n".encode())
        values = weight.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
        digest.update(np.ascontiguousarray(values, dtype="<f4").data)
    return digest.hexdigest()[:16]
