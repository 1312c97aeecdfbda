"""The size of a JPEG XL picture, read first, since its decoder decodes the whole picture as soon as it opens it."""

from __future__ import annotations

from typing import IO

_BOXED = b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_BITS = (9, 13, 18, 30)
_BOXES = 100


def size_of(stream: IO[bytes]) -> tuple[int, int] | None:
    """Width and height in pixels, as the file says (ISO/IEC 18181-1, SizeHeader); None where there is no such header.

    Args:
        stream: the file, at any place; it is left at its beginning.
    """
    stream.seek(0)
    try:
        head = _codestream(stream)
    finally:
        stream.seek(0)
    return _parsed(head) if head[:2] == b"\xff\x0a" and len(head) >= 12 else None


def _codestream(stream: IO[bytes]) -> bytes:
    """The first bytes of the picture proper, inside its boxes (18181-2) or bare."""
    head = stream.read(12)
    if head != _BOXED:
        return head + stream.read(4)
    for _ in range(_BOXES):
        start = stream.tell()
        header = stream.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        body = start + 8
        if length == 1:
            length, body = int.from_bytes(header[8:16], "big"), start + 16
        if kind in (b"jxlc", b"jxlp"):
            stream.seek(body + (4 if kind == b"jxlp" else 0))  # a part begins with its number
            return stream.read(16)
        if length < 8:
            break
        stream.seek(start + length)
    return b""


def _parsed(head: bytes) -> tuple[int, int]:
    bits = int.from_bytes(head[2:], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(small: int) -> int:
        return 8 * (take(5) + 1) if small else take(_BITS[take(2)]) + 1

    small = take(1)
    height = side(small)
    ratio = take(3)
    width = side(small) if ratio == 0 else height * _RATIOS[ratio][0] // _RATIOS[ratio][1]
    return width, height
