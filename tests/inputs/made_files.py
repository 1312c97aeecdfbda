"""Files that no library here writes: colour profiles, a camera RAW, a very large JPEG."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

D50 = (0.9642, 1.0, 0.8249)
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""Colorants, adapted to D50: X, Y, Z of red, of green, of blue."""
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(space: bytes, pcs: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67),
        b"wtpt": b"XYZ " + bytes(4) + _fixed(*D50),
        **tags,
    }
    table, data, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += struct.pack(">4sII", name, at + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    head = bytes(4) + struct.pack(">I4s4s4s12x4s", 0x02400000, kind, space, pcs, b"acsp")
    head = bytes(4) + head + bytes(28) + _fixed(*D50)
    whole = head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + data
    return struct.pack(">I", len(whole)) + whole[4:]


def rgb_profile(colorants: tuple, gamma: float | None) -> bytes:
    """Matrix and curve; the curve of sRGB where no gamma is given."""
    if gamma is None:
        curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*SRGB_CURVE)
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags = {
        name: b"XYZ " + bytes(4) + _fixed(*xyz)
        for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)
    }
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    return _profile(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": curve})


def cmyk_profile(inks: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A table of two steps a channel: Lab of the overprints that are named, black for all others."""
    cells = bytearray()
    for number in range(16):
        light, a, b = inks.get(tuple(int(bit) for bit in f"{number:04b}"), (0.0, 0.0, 0.0))  # type: ignore[arg-type]
        cells += bytes([round(light * 2.55), round(a + 128), round(b + 128)])
    ramp = bytes(range(256))
    body = (
        b"mft1"
        + bytes(4)
        + bytes([4, 3, 2, 0])
        + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
        + ramp * 4
        + bytes(cells)
        + ramp * 3
    )
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": body, b"A2B1": body, b"A2B2": body})


def as_srgb(colour: tuple[int, int, int], colorants: tuple, gamma: float | None) -> np.ndarray:
    """What a colour is in sRGB, by the definition, clipped: 0 to 255."""
    value = np.array(colour) / 255
    linear = value**gamma if gamma else np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return _encoded(np.linalg.solve(np.array(SRGB).T, np.array(colorants).T @ linear))


def lab_as_srgb(lab: tuple[float, float, float]) -> np.ndarray:
    f = (lab[0] + 16) / 116
    fxyz = np.array([f + lab[1] / 500, f, f - lab[2] / 200])
    xyz = np.where(fxyz > 6 / 29, fxyz**3, 3 * (6 / 29) ** 2 * (fxyz - 4 / 29)) * D50
    return _encoded(np.linalg.solve(np.array(SRGB).T, xyz))


def _encoded(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def large_jpeg(width: int, height: int, progressive: bool = False) -> bytes:
    """A colour JPEG (4:2:0) of any size, evenly grey, made without holding its pixels. Sides: multiples of 16."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), (128, 128, 128)).save(stream, "JPEG", subsampling=2, progressive=progressive)
    small = stream.getvalue()
    frame = small.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    small = small[: frame + 5] + struct.pack(">HH", height, width) + small[frame + 9 :]
    if progressive:
        return small
    scan = small.index(b"\xff\xda")
    start = scan + 2 + int.from_bytes(small[scan + 2 : scan + 4], "big")
    block = bytes.fromhex("28a28a00")  # four luma and two chroma blocks: no difference, end of block
    return small[:start] + block * (width * height // 256) + b"\xff\xd9"


def ultra_hdr_jpeg(picture: Image.Image) -> bytes:
    """A JPEG with a gain map behind it, as Android writes them: XMP, a multi-picture index, a second JPEG."""
    streams = [io.BytesIO(), io.BytesIO()]
    picture.save(streams[0], "JPEG", quality=95)
    picture.convert("L").resize((picture.width // 4, picture.height // 4)).save(streams[1], "JPEG")
    first, second = (stream.getvalue() for stream in streams)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:hdrgm="urn:gain-map" hdrgm:Version="1.0"/>'
    app1 = b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp
    length = 4 + 8 + 2 + 3 * 12 + 4 + 32
    total = 2 + len(app1) + 4 + length + len(first) - 2
    offset = total - (2 + len(app1) + 4 + 4)  # counted from the index's own header
    index = b"MM\0*" + struct.pack(">IH", 8, 3)
    index += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100") + struct.pack(">HHII", 0xB001, 4, 1, 2)
    index += struct.pack(">HHII", 0xB002, 7, 32, 8 + 2 + 36 + 4) + bytes(4)
    index += struct.pack(">IIIHH", 0x20030000, total, 0, 0, 0) + struct.pack(">IIIHH", 0, len(second), offset, 0, 0)
    app2 = b"\xff\xe2" + struct.pack(">H", 2 + 4 + len(index)) + b"MPF\0" + index
    return first[:2] + app1 + app2 + first[2:] + second


def dng(width: int, height: int, red: float, green: float, blue: float) -> bytes:
    """An uncompressed Bayer picture (RGGB, 16 bits) of one colour, linear 0 to 1."""
    sensor = np.empty((height, width), "<u2")
    for row, column, value in ((0, 0, red), (0, 1, green), (1, 0, green), (1, 1, blue)):
        sensor[row::2, column::2] = round(value * 65535)
    unit = b"".join(
        struct.pack("<ii", round(v * 10000), 10000)
        for v in (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    )
    long, short, byte, text, rational, signed = 4, 3, 1, 2, 5, 10
    entries = [
        (254, long, [0]), (256, long, [width]), (257, long, [height]), (258, short, [16]), (259, short, [1]),
        (262, short, [32803]), (271, text, b"Test\0"), (272, text, b"Test\0"), (273, long, None), (274, short, [1]),
        (277, short, [1]), (278, long, [height]), (279, long, [sensor.nbytes]), (284, short, [1]),
        (33421, short, [2, 2]), (33422, byte, bytes([0, 1, 1, 2])), (50706, byte, bytes([1, 4, 0, 0])),
        (50708, text, b"Test Camera\0"), (50714, short, [0]), (50717, long, [65535]), (50721, signed, unit),
        (50728, rational, struct.pack("<6I", 1, 1, 1, 1, 1, 1)), (50778, short, [21]),
    ]  # fmt: skip
    sizes = {byte: 1, text: 1, short: 2, long: 4, rational: 8, signed: 8}
    directory, extra = b"", b""
    start = 8 + 2 + 12 * len(entries) + 4
    bodies = [(tag, kind, _packed(value, "I" if kind == long else "H")) for tag, kind, value in entries]
    pixels = start + sum(len(v) + len(v) % 2 for _, _, v in bodies if v is not None and len(v) > 4)
    for tag, kind, given in bodies:
        body = struct.pack("<I", pixels) if given is None else given
        count = len(body) // sizes[kind]
        if len(body) > 4:
            directory += struct.pack("<HHII", tag, kind, count, start + len(extra))
            extra += body + bytes(len(body) % 2)
        else:
            directory += struct.pack("<HHI", tag, kind, count) + body.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + extra + sensor.tobytes()


def _packed(value: list[int] | bytes | None, kind: str) -> bytes | None:
    return struct.pack(f"<{len(value)}{kind}", *value) if isinstance(value, list) else value
