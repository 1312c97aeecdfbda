"""CVAT for images 1.1: tags of whole images in XML, and the corrections back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from piaa.errors import ImageError, InputError
from piaa.exchange.common import Exported, Options, image_size, plain, unique
from piaa.exchange.corrections import Corrected, read_text
from piaa.exchange.tag_table import TagRow, TagTable
from piaa.files import whole_file

SHAPES = ("tag", "box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid")
SCORE = {"name": "score", "mutable": "False", "input_type": "number", "default_value": "0", "values": "0;1;0.000001"}


def export_cvat(table: TagTable, options: Options) -> Exported:
    """One XML file; image names are those of the table, and each tag has its score as an attribute."""
    out = options.target()
    result = Exported(places=[out])
    with whole_file(out) as aside, open(aside, "w", encoding="utf-8") as stream:
        _write(table, options, result, stream)
    return result


def read_cvat(file: Path) -> list[Corrected]:
    """The labels of each image: of its tags, and of the shapes drawn on it.

    Raises:
        InputError: it is no such XML.
    """
    text = read_text(file)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{file}: it declares XML entities, which CVAT never writes")
    try:
        rows = list(_images(text))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{file}: not readable as XML: {error}") from error
    if not rows:
        raise InputError(f"{file}: no image in it; export as 'CVAT for images 1.1'")
    for row in rows:
        if not row.path or not all(row.labels):
            raise InputError(f"{file}: an image without a name, or a tag without a label ({row.path})")
    return rows


def _images(text: str) -> Iterator[Corrected]:
    for _, element in ElementTree.iterparse(io.BytesIO(text.encode()), events=("end",)):
        if element.tag == "image":
            labels = [child.get("label", "") for child in element if child.tag in SHAPES]
            yield Corrected(element.get("name", ""), unique(labels))
            element.clear()


def _write(table: TagTable, options: Options, result: Exported, stream: TextIO) -> None:
    attribute = "".join(f"<{key}>{value}</{key}>" for key, value in SCORE.items())
    attributes = f"<attributes><attribute>{attribute}</attribute></attributes>"
    labels = "\n".join(f"<label><name>{escape(plain(name))}</name>{attributes}</label>" for name in table.classes)
    stream.write(f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
<version>1.1</version>
<meta><task><name>piaa</name><size>{len(table.rows)}</size><labels>
{labels}
</labels></task></meta>
""")
    for row in table.rows:
        try:
            size = image_size(options.existing(row))
        except ImageError as error:
            result.failed.append((row.path, error.reason))
            continue
        stream.write(_image(result.written, row, size))
        result.written += 1
    stream.write("</annotations>\n")


def _image(number: int, row: TagRow, size: tuple[int, int]) -> str:
    tags = "".join(
        f'<tag label={quoteattr(plain(name))} source="auto"><attribute name="score">{score:.6f}</attribute></tag>\n'
        for name, score in row.labels.items()
    )
    about = f'id="{number}" name={quoteattr(plain(row.path))} width="{size[0]}" height="{size[1]}"'
    return f"<image {about}>\n{tags}</image>\n"
