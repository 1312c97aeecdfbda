"""Bad input out of good input: bytes, text and JSON, all from one random generator, so that a case has a number."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    "\x00", "\n", "\r\n", "\x1b[31m", "\x1b]0;x\x07", '"', "'", ";", ",", ":", "#", "<", ">", "&", "]]>", "=1+1", "@x",
    "../", "/", "\\", "%s", "{}", "[", "]", "null", "NaN", "Infinity", "-1", "1e999", "9" * 400, "9" * 5000, "\ufeff",
    "\u202e", "\ud7ff", "a" * 300, "[" * 5000, '{"a":' * 3000, "<!DOCTYPE a [<!ENTITY b 'c'>]>", "&b;", "<a>" * 2000,
    '<?xml version="1.0" encoding="utf-32"?>', "labels", "path", "0", "1", "true",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, float("nan"), float("inf"), "", "x", "\x00", "a" * 300, [],
    {}, [[]], [None], [{}], {"": None}, {"a": []}, ["x", "x"], "\ud800", [1, 2, 3, 4, 5],
)  # fmt: skip


def mutated(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the seeds, changed once or several times; now and then not at all."""
    data = rng.choice(seeds)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        data = rng.choice(_CHANGES)(data, seeds, rng)
    return repaired(data) if rng.random() < 0.7 else data


def repaired(data: bytes) -> bytes:
    """A PNG with right checksums, so that what is behind them is reached; anything else as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        if at + 12 + length > len(data):
            break
        parts.append(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts) + data[at:]


def _flip(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    out = bytearray(data or b"\x00")
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(min(len(out), rng.choice((64, 1024, len(out)))))  # headers decide more than what follows
        out[at] = rng.choice((out[at] ^ (1 << rng.randrange(8)), rng.randrange(256), 0, 255))
    return bytes(out)


def _number(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    value = (rng.choice(NUMBERS) % (1 << (8 * width))).to_bytes(width, rng.choice(("little", "big")))
    at = rng.randrange(max(1, min(len(data), rng.choice((64, 1024, len(data) or 1)))))
    return data[:at] + value + data[at + width :]


def _word(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    at, gone = rng.randrange(len(data) + 1), rng.choice((0, 0, 1, 4))
    return data[:at] + rng.choice(WORDS).encode("utf-8", "surrogatepass") + data[at + gone :]


def _cut(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 4, 16, 256)) :]


def _repeat(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    at, length = rng.randrange(len(data) + 1), rng.choice((1, 4, 64, 1024))
    return data[:at] + data[at : at + length] * rng.choice((2, 3, 50)) + data[at + length :]


def _splice(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(seeds)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _encoding(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    try:
        return data.decode().encode(rng.choice(("utf-16", "latin-1", "utf-32", "utf-8-sig")), "replace")
    except ValueError:
        return data


def _json(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Another value somewhere in a JSON document; of JSON lines, in one line."""
    lines = data.split(b"\n")
    which = rng.randrange(len(lines))
    for text, put in ((data, lambda new: new), (lines[which], lambda new: _line(lines, which, new))):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return put(json.dumps(_node(value, rng)).encode("utf-8", "surrogatepass"))
    return _word(data, seeds, rng)


def _line(lines: list[bytes], which: int, new: bytes) -> bytes:
    return b"\n".join([*lines[:which], new, *lines[which + 1 :]])


def _node(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, dict | list) or not value or rng.random() < 0.2:
        return rng.choice(VALUES)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = rng.choice(list(keys))
    changed = dict(value) if isinstance(value, dict) else list(value)
    if rng.random() < 0.1:
        del changed[key]  # type: ignore[arg-type]
    else:
        changed[key] = _node(value[key], rng)  # type: ignore[index]
    return changed


_CHANGES: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    _flip, _flip, _number, _word, _word, _cut, _remove, _repeat, _splice, _encoding, _json, _json,
)  # fmt: skip
