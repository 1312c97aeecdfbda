"""A table of tags as one self-contained page: thumbnails with their labels, the most doubtful first, no truth needed.

The page holds no script; a label is chosen by CSS alone. However many images there are, a bounded number is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined
from markupsafe import Markup

from piaa.errors import ImageError
from piaa.exchange.tag_table import THRESHOLD, TagRow, TagTable
from piaa.files import check_place, write_text
from piaa.inputs.images import printable
from piaa.inputs.item import Item
from piaa.inputs.sources import named_items
from piaa.inputs.sources.places import is_url
from piaa.report.builder import printable_page, resource
from piaa.report.pictures import data_uri

SIDE = 184
"""Pixels of a thumbnail's longer side."""
AT_ONCE = 16
"""Pictures that are drawn together."""
MOST_IMAGES, MOST_LABELS, MOST_ON_TILE = 400, 80, 8


@dataclass(frozen=True)
class Tile:
    """One image on the page.

    Attributes:
        name, path: its file name and the whole path.
        picture: data URI, or empty where `error` says why there is none.
        labels: name and score, the surest first, at most `MOST_ON_TILE`.
        more: how many labels that leaves out.
        near: the label that is nearest below its threshold, and its score; None where it is not known.
        classes: numbers of the labels among those that can be chosen.
        place: position in the table.
    """

    name: str
    path: str
    picture: str
    error: str
    labels: list[tuple[str, float]]
    more: int
    near: tuple[str, float] | None
    classes: list[int]
    place: int


def write_gallery(
    table: TagTable, path: Path, *, images: Path | None = None, most: int = MOST_IMAGES, in_order: bool = False
) -> int:
    """Write the page, whole or not at all.

    Args:
        table: what was tagged.
        path: the .html.
        images: folder that relative paths of the table are taken from; None is the current one.
        most: images at most: the most doubtful half of them, then others spread over the rest.
        in_order: the first ones of the table instead, in its order: what a search found.

    Returns:
        How many images are on it.

    Raises:
        InputError: it cannot be written.
    """
    check_place(path)
    chosen = list(range(min(most, len(table.rows)))) if in_order else choose(table.rows, most)
    counts = Counter(name for row in table.rows for name in row.labels)
    listed = [name for name, _ in counts.most_common(MOST_LABELS)]
    number = {name: index for index, name in enumerate(listed)}
    pictures = _pictures([table.rows[index].path for index in chosen], images)
    tiles = [_tile(table.rows[index], pictures, number, index) for index in chosen]
    page = _template().render(
        title=table.source.name,
        css=Markup(resource("report.css") + resource("gallery.css")),
        rules=Markup("\n".join(_rules(len(listed)))),
        labels=[(name, counts[name]) for name in listed],
        left_out=len(counts) - len(listed),
        tiles=tiles,
        total=len(table.rows),
        labelled=sum(bool(row.labels) for row in table.rows),
        classes=len(table.classes),
        whole=len(chosen) == len(table.rows),
        scores_known=any(row.scores for row in table.rows),
        threshold=THRESHOLD,
        in_order=in_order,
    )
    write_text(path, printable_page(page))
    return len(tiles)


def choose(rows: Sequence[TagRow], most: int) -> list[int]:
    """Positions of the images to show: the worst half of `most`, then others spread evenly over the rest."""
    order = sorted(range(len(rows)), key=lambda index: worst(rows[index]))
    if len(order) <= most:
        return order
    first, rest = order[: most - most // 2], order[most - most // 2 :]
    step = len(rest) / max(1, most // 2)
    return [*first, *(rest[int(number * step)] for number in range(most // 2))]


def worst(row: TagRow) -> tuple[float, float]:
    """Sorts the most doubtful first; where only given labels are known, images without any, then the least sure."""
    if row.scores:
        return (1, -row.doubt)
    return (0, 0) if not row.labels else (1, -row.doubt)


def _pictures(paths: Sequence[str], images: Path | None) -> dict[str, tuple[str, str]]:
    """Data URI of each thumbnail, or empty and the reason why there is none, by path."""
    names = {_from(path, images): path for path in paths}
    found: dict[str, tuple[str, str]] = {}
    items = named_items(names)
    with ThreadPoolExecutor(2) as pool:
        while some := list(islice(items, AT_ONCE)):  # what lies in a compressed tar is in memory until it is drawn
            found |= zip((names.get(item.id, item.id) for item in some), pool.map(_picture, some), strict=True)
    return found


def _from(path: str, images: Path | None) -> str:
    """The id of an image of the table, its relative path taken from a folder."""
    return path if images is None or is_url(path) else printable(images / path)


def _picture(item: Item) -> tuple[str, str]:
    try:
        return data_uri(item.load(ample=SIDE), SIDE, quality=70), ""
    except ImageError as problem:
        return "", problem.reason


def _tile(row: TagRow, pictures: dict[str, tuple[str, str]], number: dict[str, int], index: int) -> Tile:
    picture, error = pictures.get(row.path, ("", "no such image"))
    below = [(score, name) for name, score in row.scores.items() if name not in row.labels]
    near = max(below, default=None)
    pairs = list(row.labels.items())
    return Tile(
        name=Path(row.path).name,
        path=row.path,
        picture=picture,
        error=error,
        labels=pairs[:MOST_ON_TILE],
        more=max(0, len(pairs) - MOST_ON_TILE),
        near=(near[1], near[0]) if near else None,
        classes=[number[name] for name in row.labels if name in number],
        place=index,
    )


def _rules(labels: int) -> Iterator[str]:
    """What a chosen label hides: all tiles without it; numbers alone, so that no name gets into the style sheet."""
    yield "body:has(#none:checked) .tile:not(.no-label) { display: none; }"
    for index in range(labels):
        yield f"body:has(#label-{index}:checked) .tile:not(.label-{index}) {{ display: none; }}"


@lru_cache
def _template() -> Any:
    environment = Environment(
        loader=BaseLoader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(resource("gallery.html.j2"))
