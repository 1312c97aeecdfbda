"""Images that a job draws one by one and that are dealt with by a cluster, window by window, ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from piaa.cluster.pipeline import Block
from piaa.cluster.results import Result, Traffic
from piaa.errors import ImageError
from piaa.inputs.items import Item, iterate

FIRST_WINDOW, MOST_BLOCKS = 8, 512
"""Blocks of the first window and of the largest; each has twice as many as the one before. A window is what is held."""
TRIES = 5
"""How often in a row a pipeline is begun again without a single result in between."""


class ClusterFailure(BaseException):
    """The cluster could not go on. No `Exception`: it must not be taken for the fault of one image."""


class Lost(Exception):
    """A result that was not due came out of a pipeline."""


Run = Callable[[Sequence[Block]], Iterator[Result]]
Take = Callable[[Result], dict[int, Any]]


@dataclass(frozen=True)
class ClusterItem(Item):
    """An image of a window; to load it is to wait for what the cluster made of it."""

    outcome: Callable[[], Any] = field(default=lambda: None, compare=False)

    def load(self, ample: int = 0) -> Any:
        """What the cluster made of it: scores, or nothing where evidence was gathered.

        Raises:
            ImageError: it could not be read, with the reason that it has on one machine.
        """
        found = self.outcome()
        if isinstance(found, str):
            raise ImageError(self.id, found)
        return found


@dataclass
class Stream:
    """All images of an input; it can be iterated more than once, as the input can.

    Attributes:
        inputs: see `piaa.inputs.items.iterate`.
        block: images in a block.
        run: deals with blocks, in order.
        take: what a result says of each image that could be read.
        until: images before this index are dealt with: their failures are in `failed`.
        failed: index to reason, of those.
        traffic: what has come so far.
    """

    inputs: Any
    block: int
    run: Run
    take: Take
    until: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)

    def __iter__(self) -> Iterator[Item]:
        items, first, blocks = iterate(self.inputs), 0, FIRST_WINDOW
        while drawn := list(islice(items, blocks * self.block)):
            window = _Window(self, first, drawn)
            for index, item in enumerate(drawn, first):
                yield ClusterItem(item.id, item.source, outcome=_Outcome(window, index))
            window.close()
            first, blocks = first + len(drawn), min(2 * blocks, MOST_BLOCKS)


@dataclass(frozen=True)
class _Outcome:
    window: _Window
    index: int

    def __call__(self) -> Any:
        return self.window.outcome(self.index)


class _Window:
    """The images that are at the cluster together. A pipeline runs from the first image that is asked for."""

    def __init__(self, stream: Stream, first: int, items: list[Item]) -> None:
        self.stream, self.first, self.items = stream, first, items
        self.done: dict[int, Any] = {}
        self.due = -1
        self.results: Iterator[Result] = iter(())
        self.tries = 0

    def outcome(self, index: int) -> Any:
        """What became of an image; a text is the reason why it could not be read.

        Raises:
            ClusterFailure: nothing can be had of it.
        """
        try:
            return self._outcome(index)
        except Exception as error:
            raise ClusterFailure(f"{type(error).__name__}: {error}") from error

    def _outcome(self, index: int) -> Any:
        if index < self.stream.until and index not in self.done:
            return self.stream.failed.get(index)
        if self.due < 0:
            self._begin(self.first + (index - self.first) // self.stream.block * self.stream.block)
        while index not in self.done:
            self._next()
        return self.done.pop(index)

    def close(self) -> None:
        """End the pipeline, whether all was asked for or not."""
        close = getattr(self.results, "close", None)
        if close:
            close()

    def _begin(self, first: int) -> None:
        size, end = self.stream.block, self.first + len(self.items)
        starts = range(first, end, size)
        blocks = [Block(at, self.items[at - self.first : at - self.first + size]) for at in starts]
        self.due, self.results = first, iter(self.stream.run(blocks))

    def _next(self) -> None:
        try:
            result = next(self.results)
            if result.first != self.due:
                raise Lost(f"a result of image {result.first} came, where {self.due} was due")
        except Exception as error:
            self._again(error)
            return
        self.tries = 0
        self.due += result.count
        taken = self.stream.take(result)
        self.done |= {index: taken.get(index) for index in range(result.first, self.due)} | result.failed
        self.stream.until = self.due
        self.stream.failed = dict(result.failed)
        self.stream.traffic.add(replace(result))

    def _again(self, error: Exception) -> None:
        """Begin again behind the last result; it is the only one that is not yet taken, so none is taken twice."""
        self.tries += 1
        self.stream.traffic.restarts += 1
        if self.tries >= TRIES:
            raise ClusterFailure(f"{type(error).__name__}: {error}") from error
        self.close()
        self._begin(self.due)
