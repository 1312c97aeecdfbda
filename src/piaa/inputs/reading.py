"""One call's way over its images: what was read, and what could not be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from piaa.errors import ImageError
from piaa.inputs.items import Batch, Item, Preprocessor, batches, iterate


@dataclass
class Reading:
    """A call that reads images; nothing of it is shared with other calls.

    Attributes:
        inputs: see `piaa.inputs.items.iterate`.
        preprocess: PIL RGB to 3 x H x W.
        batch_size: images in a batch.
        workers: threads that decode.
        ids: of the images so far.
    """

    inputs: Any
    preprocess: Preprocessor
    batch_size: int
    workers: int
    ids: list[str] = field(default_factory=list)
    _read: set[int] = field(default_factory=set)
    _errors: list[ImageError] = field(default_factory=list)

    def batches(self) -> Iterator[Batch]:
        """The images that can be read."""
        items = self._counted()
        for batch in batches(items, self.preprocess, self.batch_size, self.workers, self._errors.append):
            self._read.update(batch.indices)
            yield batch

    @property
    def reasons(self) -> dict[int, str]:
        """Position of an image to the reason why it could not be read; errors come in the order of the images."""
        missing = (index for index in range(len(self.ids)) if index not in self._read)
        return {index: error.reason for index, error in zip(missing, self._errors, strict=True)}

    def _counted(self) -> Iterator[Item]:
        for item in iterate(self.inputs):
            self.ids.append(item.id)
            yield item
