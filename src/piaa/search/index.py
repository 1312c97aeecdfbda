"""An index of images for search by text: [CLS] and some patches of each, in one safetensors file.

    tensors    cls N x d, pieces N x K x d (both of unit length, float16), stamps N x 2 (bytes, time of change in ns)
    metadata   piaa: {format, format_version, names, setup, versions}

`setup` says which model and preprocessing the vectors come from; vectors of two set-ups are never mixed. An index can
be deleted at any time: it is then made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from piaa.engine import Setup
from piaa.errors import ImageError, InputError
from piaa.files import whole_file
from piaa.inputs.items import Item, batches
from piaa.search.pieces import PIECES, pieces_of
from piaa.version import __version__

FORMAT, FORMAT_VERSION = "piaa-search-index", 1
DECODED = 16
TOGETHER = {"cuda": 64}
"""Images that are encoded together, by device, always as many; elsewhere each by itself, so that its vectors are the
same to the last bit in any company."""
SAVED_EVERY = 2000  # new images
CHECKED = 1024  # images at a time

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """What is known of N images.

    Attributes:
        names: N, paths below the folder, or as they were given.
        stamps: N x 2, int64: size in bytes and time of change in nanoseconds.
        cls: N x d, float16, unit length.
        pieces: N x K x d, float16, unit length; see `piaa.search.pieces`.
        setup: plain values of the `Setup` that the vectors come from.
    """

    names: list[str]
    stamps: Tensor
    cls: Tensor
    pieces: Tensor
    setup: dict[str, Any]

    def __len__(self) -> int:
        return len(self.names)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        about = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "names": self.names,
            "setup": self.setup,
            "versions": {"piaa": __version__, "torch": torch.__version__},
        }
        tensors = {"stamps": self.stamps, "cls": self.cls, "pieces": self.pieces}
        with whole_file(path) as aside:
            save_file({name: each.contiguous() for name, each in tensors.items()}, aside, {"piaa": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> SearchIndex:
        """Read what `save` wrote.

        Raises:
            InputError: it is something else, damaged, or of a newer version.
        """
        try:
            with safe_open(path, framework="pt") as opened:
                about = json.loads((opened.metadata() or {}).get("piaa", "{}"))
                if not isinstance(about, dict) or about.get("format") != FORMAT:
                    raise InputError(f"{path}: no search index of piaa; name another file with --index")
                if about["format_version"] > FORMAT_VERSION:
                    raise InputError(f"{path}: an index of a newer piaa; upgrade piaa, or name another with --index")
                stamps, vectors, pieces = (opened.get_tensor(name) for name in ("stamps", "cls", "pieces"))
            index = cls(list(map(str, about["names"])), stamps, vectors, pieces, dict(about["setup"]))
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: no search index of piaa, or damaged ({error}); delete it or use --index"
            ) from error
        if not index._fits():
            raise InputError(f"{path}: a damaged search index: its parts do not fit each other; delete it")
        return index

    def _fits(self) -> bool:
        count = len(self.names)
        shapes = self.stamps.shape == (count, 2) and self.cls.ndim == 2 and self.pieces.ndim == 3
        if not shapes or len(self.cls) != count or len(self.pieces) != count:
            return False
        parts = [*torch.split(self.cls, CHECKED), *torch.split(self.pieces, CHECKED)] if count else []
        finite = all(bool(torch.isfinite(part).all()) for part in parts)
        return self.cls.shape[1] == self.pieces.shape[2] and finite

    def only(self, rows: list[int]) -> SearchIndex:
        """The same for some of its images."""
        return replace(
            self,
            names=[self.names[row] for row in rows],
            stamps=self.stamps[rows],
            cls=self.cls[rows],
            pieces=self.pieces[rows],
        )


@dataclass(frozen=True)
class Updated:
    """What became of an index.

    Attributes:
        index: as it is now.
        encoded: images that went through the model.
        kept: images whose vectors were there already.
        removed: images that are no longer there.
    """

    index: SearchIndex
    encoded: int
    kept: int
    removed: int


def update_index(
    index: SearchIndex | None,
    items: Iterable[tuple[str, Item]],
    setup: Setup,
    *,
    save: Callable[[SearchIndex], None],
    on_error: Callable[[ImageError], None],
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> Updated:
    """Encode the images that are new or have changed, and forget those that are gone.

    Args:
        index: as it was; None for none.
        items: the name and the image of each that is to be in it. The order does not matter.
        setup: that of the index.
        save: writes an index; called now and then, at the end where something has changed, and when stopped.
        on_error: told of each image that cannot be read; it is left out.
        workers: threads that decode.
        progress: called with the images encoded so far and how many there are to encode.

    Raises:
        InputError: the index comes from another set-up.
    """
    about = setup.describe()
    if index is not None and index.setup != about:
        raise other_setup(index.setup, about)
    wanted = dict(items)
    stamps = {name: _stamp(item) for name, item in wanted.items()}
    known = index if index is not None else _empty(setup)
    kept = [row for row, name in enumerate(known.names) if stamps.get(name) == tuple(known.stamps[row].tolist())]
    there = {known.names[row] for row in kept}
    new = [name for name in wanted if name not in there]
    gone = sum(name not in wanted for name in known.names)
    parts = [known.only(kept)]
    unsaved = len(kept) < len(known.names)
    try:
        for part in _encoded([(name, wanted[name]) for name in new], stamps, setup, workers, on_error, progress):
            parts.append(part)
            unsaved = True
            if sum(map(len, parts[1:])) >= SAVED_EVERY:
                parts = [_joined(parts)]
                save(parts[0])
                unsaved = False
    finally:
        result = _joined(parts)
        if unsaved:
            save(result)
    return Updated(result, len(result) - len(kept), len(kept), gone)


def other_setup(there: dict[str, Any], wanted: dict[str, Any]) -> InputError:
    """The error for an index that comes from another model or preprocessing than is wanted."""
    differing = [key for key in {**there, **wanted} if there.get(key) != wanted.get(key)]
    told = ", ".join(f"{key} {there.get(key)!r} and not {wanted.get(key)!r}" for key in differing)
    return InputError(f"the index was made with {told}; name another index with --index, or delete it")


def _empty(setup: Setup) -> SearchIndex:
    width = setup.model.embed_dim
    stamps = torch.zeros(0, 2, dtype=torch.int64)
    vectors, pieces = torch.zeros(0, width).half(), torch.zeros(0, 0, width).half()
    return SearchIndex([], stamps, vectors, pieces, setup.describe())


def _encoded(
    items: list[tuple[str, Item]],
    stamps: dict[str, tuple[int, int]],
    setup: Setup,
    workers: int,
    on_error: Callable[[ImageError], None],
    progress: Progress,
) -> Iterator[SearchIndex]:
    """The vectors of images, batch by batch; every batch has the same size for the encoder."""
    if not items:
        return
    encode = setup.encoder()
    together = TOGETHER.get(setup.model.device.type, 1)
    about = setup.describe()
    progress(0, len(items))
    decoded = max(together, DECODED)
    for batch in batches((item for _, item in items), setup.preprocess, decoded, workers, on_error):
        encoded = [encode(_filled(images, together)) for images in torch.split(batch.images, together)]
        count = len(batch.ids)
        cls = F.normalize(torch.cat([each.cls for each in encoded])[:count].float().cpu(), dim=-1)
        grid = encoded[0].grid
        finest = torch.cat([each.patches[:, -grid[0] * grid[1] :] for each in encoded])[:count].cpu()
        pieces = pieces_of(finest, grid, PIECES)
        names = [items[place][0] for place in batch.indices]
        rows = torch.tensor([stamps[name] for name in names], dtype=torch.int64)
        yield SearchIndex(names, rows, cls.half(), pieces.half(), about)
        progress(batch.indices[-1] + 1, len(items))


def _filled(images: Tensor, count: int) -> Tensor:
    """The images, and the last of them again until there are `count`."""
    return torch.cat([images, images[-1:].expand(count - len(images), -1, -1, -1)])


def _joined(parts: list[SearchIndex]) -> SearchIndex:
    """One index, its images in the order of their names."""
    filled = [part for part in parts if len(part)] or parts[:1]
    whole = replace(
        filled[0],
        names=[name for part in filled for name in part.names],
        stamps=torch.cat([part.stamps for part in filled]),
        cls=torch.cat([part.cls for part in filled]),
        pieces=torch.cat([part.pieces for part in filled]),
    )
    order = sorted(range(len(whole)), key=lambda row: whole.names[row])
    return whole if order == list(range(len(whole))) else whole.only(order)


def _stamp(item: Item) -> tuple[int, int]:
    """Size and time of change of a file; a hash of what is known of another image, and never the same of nothing."""
    known = item.stamp()
    if known is None:
        return -1, id(item)
    if isinstance(item.source, Path):
        return int(known[0]), int(known[1])
    digest = hashlib.blake2b(repr(known).encode("utf-8", "surrogatepass"), digest_size=15).digest()
    return -2 - int.from_bytes(digest[:7]), int.from_bytes(digest[7:], signed=True)
