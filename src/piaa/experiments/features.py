"""Embeddings on disk: an image goes through the encoder once per (model, front-end, size), then sweeps cost seconds.

A store is a folder; in it one folder for each set of embeddings, named by everything that decides what they are:

    features.json   what it is of, which images, checksums, seconds of the encoder
    cls.npy         n x d float16
    patches.npy     n x M x d float16, memory-mapped when read

A set that is being made has the ending `.partial` and goes on where it was. Float16 costs less than 1e-3 of a cosine.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from piaa.engine import Setup, digest
from piaa.errors import ImageError, InputError
from piaa.files import parse_json, write_json, writing
from piaa.inputs.items import Item, batches
from piaa.jobs import Progress
from piaa.jobs.common import digest_of_items
from piaa.vision.encoder import Encoded

INFO, CLS, PATCHES, STATE = "features.json", "cls.npy", "patches.npy", "progress.json"


@dataclass(frozen=True)
class Features:
    """Stored embeddings of n images that could be read.

    Attributes:
        ids: n, of the items.
        indices: n, the position of each in the list of items.
        cls: n x d float16.
        patches: n x M x d float16, memory-mapped.
        grid: (rows, columns), M = rows * columns.
        failed: (id, reason) of the images that could not be read.
        seconds: that decoding and encoding took, all in all.
        encoder_seconds: of these, the encoder's own.
    """

    ids: list[str]
    indices: list[int]
    cls: NDArray[np.float16]
    patches: NDArray[np.float16]
    grid: tuple[int, int]
    failed: list[tuple[str, str]]
    seconds: float
    encoder_seconds: float

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, size: int = 256) -> Iterator[tuple[Encoded, list[int]]]:
        """Embeddings in float32, with the images' positions, a batch at a time."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            cls = torch.from_numpy(np.asarray(self.cls[rows], dtype=np.float32))
            patches = torch.from_numpy(np.asarray(self.patches[rows], dtype=np.float32))
            yield Encoded(cls, patches, self.grid), self.indices[rows]


class FeatureStore:
    """Embeddings under one folder, made when first asked for.

    Args:
        root: the folder.
        workers: threads that decode.
        verify: compare the checksums of what is read from disk.
    """

    def __init__(self, root: str | os.PathLike[str], workers: int = 2, verify: bool = False) -> None:
        self.root, self.workers, self.checks = Path(root), workers, verify

    def path(self, setup: Setup, items: Sequence[Item]) -> Path:
        """Where the embeddings of these images in this set-up are, or will be."""
        return self.root / digest(setup.describe(), digest_of_items(items))

    def estimate(self, setup: Setup, images: int) -> int:
        """Bytes that the embeddings of so many images take."""
        rows, columns = self._grid(setup)
        return images * (rows * columns + 1) * setup.model.embed_dim * 2

    def get(self, setup: Setup, items: Sequence[Item], progress: Progress | None = None) -> Features:
        """The embeddings, from disk where they are, else computed (and resumed where they were left).

        Raises:
            InputError: no image can be read, the disk has too little room, or what is stored is damaged.
        """
        path = self.path(setup, items)
        if not (path / INFO).is_file():
            self._make(path, setup, items, progress)
        elif self.checks:
            self.verify(path)
        return self._open(path)

    def verify(self, path: Path) -> None:
        """Compare the checksums of a stored set.

        Raises:
            InputError: naming the file that is not what was written.
        """
        info = parse_json((path / INFO).read_text(encoding="utf-8"))
        for name, expected in info["sha256"].items():
            if _sha256(path / name) != expected:
                raise InputError(f"{path / name}: its checksum is wrong; delete the folder {path} to make it again")

    def _make(self, path: Path, setup: Setup, items: Sequence[Item], progress: Progress | None) -> None:
        partial = path.with_name(path.name + ".partial")
        with writing(partial):
            partial.mkdir(parents=True, exist_ok=True)
        state = _read_state(partial)
        if not state["done"]:
            self._check_room(setup, len(items))
        shape = (len(items), int(np.prod(self._grid(setup))), setup.model.embed_dim)
        cls = _array(partial / CLS, (shape[0], shape[2]), state["done"])
        patches = _array(partial / PATCHES, shape, state["done"])
        self._fill(partial, setup, items, state, (cls, patches), progress)
        cls.flush()
        patches.flush()
        info = {
            "setup": setup.describe(),
            "grid": self._grid(setup),
            "items": len(items),
            "ids": [item.id for item in items],
            **{key: state[key] for key in ("rows", "failed", "seconds", "encoder_seconds")},
            "sha256": {name: _sha256(partial / name) for name in (CLS, PATCHES)},
        }
        write_json(partial / INFO, info, indent=None)
        (partial / STATE).unlink(missing_ok=True)
        os.replace(partial, path)

    def _fill(
        self,
        partial: Path,
        setup: Setup,
        items: Sequence[Item],
        state: dict[str, Any],
        arrays: tuple[NDArray[np.float16], NDArray[np.float16]],
        progress: Progress | None,
    ) -> None:
        """Row i belongs to item i; what cannot be read leaves its row empty and is not in `rows`."""
        encode = setup.encoder()
        begin, before = time.monotonic(), state["seconds"]

        def report(error: ImageError) -> None:
            state["failed"].append([error.path, error.reason])

        rest = items[state["done"] :]
        together = setup.decoded_together
        for batch in batches(rest, setup.preprocess, together, self.workers, report, start=state["done"]):
            start = time.monotonic()
            encoded = encode(batch.images)
            state["encoder_seconds"] += time.monotonic() - start
            for array, values in zip(arrays, (encoded.cls, encoded.patches), strict=True):
                array[batch.indices] = values.cpu().to(torch.float16).numpy()
            state["rows"] += batch.indices
            state["done"] = batch.indices[-1] + 1
            state["seconds"] = before + time.monotonic() - begin
            for array in arrays:
                array.flush()  # type: ignore[attr-defined]
            write_json(partial / STATE, state, indent=None)
            if progress:
                progress(state["done"], len(items))

    def _open(self, path: Path) -> Features:
        info = parse_json((path / INFO).read_text(encoding="utf-8"))
        rows = info["rows"]
        if not rows:
            raise InputError(f"none of the {info['items']} images can be read; the first: {info['failed'][0]}")
        try:
            cls, patches = (np.load(path / name, mmap_mode="r") for name in (CLS, PATCHES))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged embeddings ({error}); delete this folder to make them again") from error
        whole = len(rows) == info["items"]
        return Features(
            ids=[info["ids"][row] for row in rows],
            indices=rows,
            cls=cls if whole else cls[rows],
            patches=patches if whole else patches[rows],
            grid=tuple(info["grid"]),
            failed=[tuple(pair) for pair in info["failed"]],
            seconds=info["seconds"],
            encoder_seconds=info["encoder_seconds"],
        )

    def _check_room(self, setup: Setup, images: int) -> None:
        needed, free = self.estimate(setup, images), shutil.disk_usage(self.root).free
        if needed > free:
            raise InputError(
                f"{self.root}: the embeddings of {images} images take {needed / 2**30:.1f} GiB, "
                f"{free / 2**30:.1f} GiB are free; name another folder with --features"
            )

    @staticmethod
    def _grid(setup: Setup) -> tuple[int, int]:
        height, width = setup.preprocess.image_size
        patch_height, patch_width = setup.model.tower.patch_size
        return height // patch_height, width // patch_width


def _read_state(partial: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = parse_json((partial / STATE).read_text(encoding="utf-8"))
        return state
    except (OSError, json.JSONDecodeError):
        return {"done": 0, "rows": [], "failed": [], "seconds": 0.0, "encoder_seconds": 0.0}


def _array(path: Path, shape: tuple[int, ...], done: int) -> Any:
    mode: Any = "r+" if done and path.is_file() else "w+"
    with writing(path):
        return np.lib.format.open_memmap(path, mode, np.float16, shape)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
