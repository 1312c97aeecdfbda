"""A shard of a tagging run as a file: what it covers, then a record of each of its images.

The head is `{"covers", "digest", "whole", "failed", "records", "foreign", "check"}`: how many items from the shard's
first one on, a digest of their ids, sizes and times of change, whether these are all of the shard, how many of them
failed, a digest of the lines that follow, how many images are unlike those of the fit, and a digest of the head itself.
A record is a row, or `{"path", "reason", "stage"}` of an image that failed. So one changed byte is noticed, wherever it
is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from piaa.errors import InputError
from piaa.files import parse_json
from piaa.inputs.items import Item
from piaa.jobs.common import Record, digest_of_items
from piaa.jobs.formats import FOREIGN
from piaa.jobs.partial import Partial

LONGEST_HEAD = 4096
"""Characters of a shard's first line at most."""


@dataclass(frozen=True)
class Share:
    """Which shards of a run are this machine's: `index` of `count`, from 1."""

    index: int = 1
    count: int = 1

    def owns(self, number: int) -> bool:
        """Whether the shard of that number, from 0, is ours."""
        return number % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_share(text: str | None) -> Share:
    """What `--shard` was given, such as `2/8`.

    Raises:
        InputError: for anything else.
    """
    if text is None:
        return Share()
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Share(int(index), int(count))
    raise InputError(f"--shard {text}: give which of how many, from 1, such as 2/8")


@dataclass(frozen=True)
class Head:
    """See the head of this file."""

    covers: int
    digest: str
    whole: bool
    failed: int
    records: str
    foreign: int = 0

    def fits(self, items: Sequence[Item]) -> bool:
        """Whether it still says what these items, all those of the shard, would give."""
        if self.covers > len(items) or (self.whole and self.covers < len(items)):
            return False
        return self.digest == digest_of_items(items[: self.covers])


def shard_name(number: int) -> str:
    """Name of a shard's file."""
    return f"shard-{number:05d}.jsonl"


def is_error(record: Record) -> bool:
    """Whether a record is of an image that failed."""
    return "reason" in record


def write_shard(partial: Partial, number: int, items: Sequence[Item], covers: int, records: Sequence[Record]) -> None:
    """Keep the records of the first `covers` of the items."""
    lines = "".join(map(_line, records))
    failed = sum(map(is_error, records))
    foreign = sum(bool(record.get(FOREIGN)) for record in records)
    whole = covers == len(items)
    head = asdict(Head(covers, digest_of_items(items[:covers]), whole, failed, _digest(lines), foreign))
    text = _line({**head, "check": _digest(_line(head))}) + lines
    partial.write(shard_name(number), lambda path: path.write_text(text, encoding="utf-8", newline=""))


def read_head(partial: Partial, number: int) -> Head | None:
    """The head of a shard, if it was begun.

    Raises:
        InputError: when it is damaged.
    """
    name = shard_name(number)
    if not partial.has(name):
        return None
    try:
        with open(partial.path / name, encoding="utf-8", newline="") as stream:
            return _head(stream.readline(LONGEST_HEAD))
    except (OSError, ValueError) as error:
        raise partial.damaged(f"{name}: {str(error)[:200]}") from error


def read_records(partial: Partial, number: int) -> list[Record]:
    """All records of a shard.

    Raises:
        InputError: when it is damaged.
    """
    name = shard_name(number)
    try:
        with open(partial.path / name, encoding="utf-8", newline="") as stream:
            head, lines = _head(stream.readline(LONGEST_HEAD)), stream.read()
        if _digest(lines) != head.records:
            raise ValueError("its lines are not those that were written")
        return [parse_json(line) for line in lines.split("\n") if line]
    except (OSError, ValueError) as error:
        raise partial.damaged(f"{name}: {str(error)[:200]}") from error


def _head(line: str) -> Head:
    """The first line of a shard, understood.

    Raises:
        ValueError: it is not what was written.
    """
    values = parse_json(line)
    if not isinstance(values, dict) or values.pop("check", None) != _digest(_line(values)):
        raise ValueError("its first line is not the one that was written")
    return Head(**values)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _digest(text: str) -> str:
    """32 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def all_rows(partial: Partial, numbers: Sequence[int]) -> Iterator[list[Record]]:
    """The rows, shard by shard, without what failed."""
    for number in numbers:
        yield [record for record in read_records(partial, number) if not is_error(record)]


def check_shard_size(values: dict[str, Any]) -> int:
    """The size of shards that the run began with.

    Raises:
        InputError: it is not there.
    """
    try:
        return max(1, int(values["shard_size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("the unfinished run does not say how large its shards are; run without --resume") from error
