"""WebDataset shards: tar files whose members share a name up to its first dot, `KEY.jpg` beside `KEY.json`.

Only the headers and the small label members are read at first; an image is read from its place in the tar when
its turn comes. Labels are taken from the first of these that a sample has:

    KEY.json   {"labels": [...]} or [...], of names or class indices
    KEY.txt    names (or indices), separated by `;` or line breaks
    KEY.cls    class indices, separated by blanks
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from piaa.datasets.base import Annotated, Annotations, LazyItem, first_folder
from piaa.datasets.folder import LABEL_FILES
from piaa.errors import InputError, LabelError
from piaa.files import parse_json
from piaa.inputs.images import SUFFIXES, printable
from piaa.vocabulary.labels import read_labels

LABEL_MEMBERS = ("json", "txt", "cls")
LEARN_SHARDS = ("train*.tar", "unlabelled*.tar", "unlabeled*.tar")
TEST_SHARDS = ("test*.tar", "val*.tar")


def find_web_dataset(root: Path) -> Path | None:
    """`root`, where it holds tar files named train... and test... or val..."""
    return root if _shards(root, LEARN_SHARDS) and _shards(root, TEST_SHARDS) else None


def read_web_dataset(
    home: Path, *, unlabelled: str | None = None, test: str | None = None, label_names: Sequence[str] | None = None
) -> Annotations:
    """Read the shards of a folder.

    Args:
        home: the folder.
        unlabelled: pattern of the shards to learn from; by default train*.tar or unlabelled*.tar.
        test: pattern of the test shards; by default test*.tar or val*.tar.
        label_names: C classes in order; by default those of labels.txt or classes.txt in the folder, and without
            such a file all names that occur, sorted.

    Raises:
        InputError: no shard matches, a shard is no plain tar, or holds no image.
        LabelError: naming shard and sample: labels of another form, an unknown class, a test image without labels,
            indices without any `label_names`.
    """
    samples = {
        "unlabelled": _samples(home, (unlabelled,) if unlabelled else LEARN_SHARDS),
        "test": _samples(home, (test,) if test else TEST_SHARDS),
    }
    for sample in samples["test"]:
        if sample.labels is None:
            wanted = ", ".join(f".{name}" for name in LABEL_MEMBERS)
            raise LabelError(f"{sample.id}: a test image without labels; wanted a member {wanted} beside it")
    names = _names(home, label_names, [*samples["unlabelled"], *samples["test"]])
    index = {name: number for number, name in enumerate(names)}
    first, second = ([_annotated(sample, index) for sample in group] for group in samples.values())
    return Annotations(names, first, second)


@dataclass
class _Sample:
    """One key of one shard: where its image lies, and its labels as written."""

    shard: Path
    key: str
    members: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    labels: list[str | int] | None = None
    ending: str = ""

    @property
    def id(self) -> str:
        return f"{printable(self.shard)}:{self.key}{self.ending}"


def _shards(home: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in home.glob(pattern)})


def _samples(home: Path, patterns: Sequence[str]) -> list[_Sample]:
    shards = _shards(home, patterns)
    if not shards:
        raise InputError(f"{printable(home)}: no shard matches {' or '.join(patterns)}")
    samples = [sample for shard in shards for sample in _of_shard(shard)]
    if not samples:
        raise InputError(f"{printable(home)}: no image in the shards {' or '.join(patterns)}")
    return samples


def _of_shard(shard: Path) -> Iterator[_Sample]:
    try:
        with tarfile.open(shard, "r:") as archive:
            samples: dict[str, _Sample] = {}
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                key, dot, extension = name.partition(".")
                if member.isfile() and key and dot:
                    full = f"{folder}/{key}" if folder else key
                    samples.setdefault(full, _Sample(shard, full)).members[extension.lower()] = member
            for sample in samples.values():
                picture = next((e for e in sample.members if f".{e}" in SUFFIXES), None)
                if picture is not None:
                    sample.ending = f".{picture}"
                    sample.labels = _labels(sample, archive)
                    yield sample
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"{printable(shard)}: not a readable tar ({error}); a compressed one must be decompressed first"
        ) from error


def _labels(sample: _Sample, archive: tarfile.TarFile) -> list[str | int] | None:
    kind = next((name for name in LABEL_MEMBERS if name in sample.members), None)
    if kind is None:
        return None
    stream = archive.extractfile(sample.members[kind])
    place = f"{sample.id} (.{kind})"
    try:
        text = stream.read().decode("utf-8-sig") if stream else ""
        if kind == "json":
            value = parse_json(text)
            value = value.get("labels") if isinstance(value, dict) else value
            if not isinstance(value, list) or not all(type(label) in (str, int) for label in value):
                raise LabelError(f'{place}: wanted {{"labels": [...]}} of names or class indices')
            return value
        if kind == "cls":
            return [int(token) for token in text.split()]
    except ValueError as error:
        raise LabelError(f"{place}: cannot be read as labels: {error}") from error
    names = [name.strip() for name in text.replace("\n", ";").split(";") if name.strip()]
    return [int(name) if name.isdecimal() else name for name in names]


def _names(home: Path, given: Sequence[str] | None, samples: list[_Sample]) -> list[str]:
    if given is not None:
        return list(given)
    path = first_folder(home, LABEL_FILES, Path.is_file)
    if path is not None:
        return [label.name for label in read_labels(path)]
    for sample in samples:
        if any(isinstance(label, int) for label in sample.labels or []):
            raise LabelError(f"{sample.id}: labels are indices; give label_names, or a labels.txt beside the shards")
    return sorted({str(label) for sample in samples for label in sample.labels or []})


def _annotated(sample: _Sample, index: dict[str, int]) -> Annotated:
    member = sample.members[sample.ending[1:]]
    item = LazyItem(sample.id, sample.shard, partial(_read, sample.shard, member.offset_data, member.size))
    if sample.labels is None:
        return Annotated(item, None)
    numbers = set()
    for label in sample.labels:
        number = index.get(label, -1) if isinstance(label, str) else label
        if not 0 <= number < len(index):
            raise LabelError(f"{sample.id}: no class is called {label!r}; there are {len(index)} classes")
        numbers.add(number)
    return Annotated(item, frozenset(numbers))


def _read(shard: Path, offset: int, size: int) -> Any:
    with open(shard, "rb") as stream:
        stream.seek(offset)
        data = stream.read(size)
    if len(data) < size:
        raise OSError("the tar is cut short")
    return data
