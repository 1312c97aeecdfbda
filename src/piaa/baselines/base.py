"""What a method is: words become prototypes, an image becomes a row of numbers, rows become scores.

Every number that a method needs of an image is in its row (`observe`); what it learns, it learns from the rows of
unlabelled images (`learn`); scores come from one row and what was learnt (`score`). So a method that learns nothing,
one that learns statistics and one that looks at an image twice have the same face, and a fit can be streamed, cut off
and resumed for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from piaa.vision.encoder import Encoded
from piaa.vision.towers import Tower
from piaa.vocabulary.labels import Label

Tensors = Mapping[str, Tensor]
Observer = Callable[[Tensor], Tensor]
"""Images `N x 3 x H x W` to rows `N x K` on the CPU."""
OPENAI_SCALE = 100.0
"""exp(logit scale) of OpenAI's models; of a model that does not say."""


class Model(Protocol):
    """What a method needs of a loaded model.

    Attributes:
        tower: the image tower.
        clip: the open_clip model, for its logit scale.
    """

    @property
    def tower(self) -> Tower:
        """The image tower."""
        ...

    @property
    def clip(self) -> Any:
        """The open_clip model."""
        ...

    def encode_text(self, texts: list[str]) -> Tensor:
        """Text embeddings `len(texts) x d`."""
        ...


class Sight(Protocol):
    """What a method needs to look at images; `piaa.engine.Setup` is one."""

    @property
    def model(self) -> Model:
        """The loaded model."""
        ...

    def encoder(self) -> Callable[[Tensor], Encoded]:
        """Images to embeddings, any number of them."""
        ...


@dataclass(frozen=True)
class Method(ABC):
    """A system of the paper's tables, with all its constants.

    Attributes:
        name: for `--method`.
        row: the line of the paper's table 1 or 3.
        front_end: the one it needs; empty for any.
    """

    name: str
    row: str
    front_end: str = ""

    transductive: ClassVar[bool] = False
    """Whether an image's scores depend on the other images that are scored with it."""
    learns: ClassVar[bool] = False
    """Whether `learn` gives anything; thresholds are learnt for every method."""
    without_maps: ClassVar[str] = ""
    """Why it cannot say where in an image a class is; empty where it can."""

    @property
    @abstractmethod
    def templates(self) -> tuple[str, ...]:
        """The prompt templates of its published code."""

    @abstractmethod
    def words(self, model: Model, labels: Sequence[Label], templates: Sequence[str]) -> dict[str, Tensor]:
        """Everything it needs of the class names, float32 on the CPU; `prototypes` (`C x d`) is one of them.

        Raises:
            LabelError: for class names that it cannot use.
        """

    @abstractmethod
    def observer(self, sight: Sight, words: Tensors) -> Observer:
        """The function from images to rows; each row depends on its own image alone.

        Raises:
            ModelError: for a tower that the method cannot use.
        """

    def learn(self, rows: Tensor, words: Tensors) -> dict[str, Tensor]:
        """What unlabelled images teach: rows `N x K` to tensors by name; nothing for most methods."""
        return {}

    @abstractmethod
    def score(self, rows: Tensor, words: Tensors, learnt: Tensors) -> Tensor:
        """Rows `N x K` to scores `N x C`, 0 to 1, each row by itself."""

    def maps(self, sight: Sight, words: Tensors, image: Tensor) -> Tensor:
        """Where each class is in one image `3 x H x W`: `C x rows x columns`, 0 to 1; see `without_maps`."""
        raise NotImplementedError(self.without_maps)

    def plain(self) -> dict[str, Any]:
        """Its constants as JSON values; `piaa.baselines.method_from_dict` is the inverse."""
        return asdict(self)


@dataclass(frozen=True)
class OnEmbeddings(Method):
    """A method that needs no more of an image than its embeddings, stored ones as well."""

    @abstractmethod
    def observe(self, encoded: Encoded, words: Tensors) -> Tensor:
        """Embeddings of N images to rows `N x K`."""

    def observer(self, sight: Sight, words: Tensors) -> Observer:
        """Encode and observe."""
        encode = sight.encoder()

        def look(images: Tensor) -> Tensor:
            encoded = encode(images)
            return self.observe(Encoded(encoded.cls.cpu(), encoded.patches.cpu(), encoded.grid), words)

        return look


def logit_scale(model: Model) -> float:
    """exp of the model's own logit scale."""
    scale = getattr(model.clip, "logit_scale", None)
    return float(scale.detach().exp()) if isinstance(scale, Tensor) else OPENAI_SCALE


def on_cpu(tensor: Tensor) -> Tensor:
    """A float32 copy on the CPU."""
    return tensor.detach().to("cpu", torch.float32)
