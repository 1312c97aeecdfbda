"""`piaa search`: find images by their labels, or by free text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from piaa.cli import options
from piaa.cli.console import console, progress_bars, show_note, show_weights, shows_errors

if TYPE_CHECKING:
    from piaa.search.found import Result
    from piaa.search.index import Progress

TABLES = (".jsonl", ".csv", ".parquet")
NEAREST = 20


@shows_errors
def search(
    target: Annotated[str, typer.Argument(help="A table that 'piaa tag' wrote, or a folder (nested) of images.")],
    query: Annotated[
        str,
        typer.Argument(help="Of a table: labels with and, or, not, (), and 'umbrella > 0.8'. Of images: any words."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write what was found: .txt (paths), .jsonl; of a table also .csv, .parquet.")
    ] = None,
    gallery: Annotated[Path | None, typer.Option(help="Also write a page with what was found to this .html.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Images at most, the best first; 0 for all. By default 20 for free text.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line instead of paths.")] = False,
    images: Annotated[
        Path | None, typer.Option(help="Folder that relative paths of the table are taken from, for --gallery.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option(help="Where the index of the images is kept; else beside their folder.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="For images: the model; else that of the index.")] = None,
    pretrained: options.Pretrained = None,
    quality: options.RunQuality = None,
    device: options.Device = "auto",
    engine: options.EngineName = None,
    workers: options.Workers = 2,
) -> None:
    """Find images: by the labels in a table of tags, or by free text in the images themselves.

    Free text needs an index of the images; it is made at the first search, and then only new and changed images are
    encoded.
    """
    from piaa.errors import InputError
    from piaa.search import check_found_place, search_tags, write_found

    table = Path(target).suffix.lower() in TABLES and not Path(target).is_dir()
    if table and (index or model or pretrained or quality):
        raise InputError(
            f"{target}: a table of tags is searched by its labels; --index and --model are for images, --quality too"
        )
    if out:
        check_found_place(out, table)
    if gallery:
        from piaa.cli.tag import check_gallery

        check_gallery(gallery)
    if table:
        from piaa.exchange import read_tags

        result = search_tags(read_tags(target), query)
    else:
        place = index or _beside(target)
        chosen = (model, pretrained, device, engine, quality)
        result = _by_text(target, query, place, chosen, workers)
        limit = NEAREST if limit is None else limit
    shown = result.best(limit)
    if out:
        write_found(shown, out)
    else:
        for one in shown.found:
            typer.echo(json.dumps(one.to_dict(), ensure_ascii=False) if as_json else _shown(one.path))
    if gallery:
        _show_gallery(shown, gallery, images, query)
    kind = "found" if table else "nearest (nearest need not mean that it is there)"
    where = f" -> {out}" if out else ""
    console.print(
        f"{len(shown.found)} of {result.total} images {kind}{where}", markup=False, highlight=False, soft_wrap=True
    )


def _shown(path: str) -> str:
    """The path as it is for another program; on a terminal without what could steer it."""
    if not sys.stdout.isatty():
        return path
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in path)


def _by_text(
    target: str,
    query: str,
    place: Path,
    chosen: tuple[str | None, str | None, str, str | None, str | None],
    workers: int,
) -> Result:
    from piaa.inputs.items import iterate
    from piaa.jobs.common import ErrorLog, errors_path
    from piaa.search.index import SearchIndex, update_index
    from piaa.search.rank import rank
    from piaa.search.setup import setup_for
    from piaa.search.words import check_words, text_of

    there = SearchIndex.load(place) if place.exists() else None
    setup = setup_for(there, *chosen)
    show_weights(setup.model)
    for note in check_words(setup.model, query):
        show_note(note)
    text = text_of(setup.model, query)
    folder = Path(target) if Path(target).is_dir() else None
    items = [(_name(item.id, folder), item) for item in iterate(target)]
    log = ErrorLog(errors_path(place))
    with progress_bars() as stage:
        updated = update_index(
            there,
            items,
            setup,
            save=lambda it: it.save(place),
            on_error=lambda error: log.take([{"path": error.path, "reason": error.reason, "stage": "read"}]),
            workers=workers,
            progress=_begun_late(stage, "indexing"),
        )
    if updated.encoded or updated.removed:
        told = f"{updated.encoded} images encoded, {updated.kept} known, {updated.removed} gone -> {place}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    if log.count:
        show_note(f"{log.count} images could not be read: see {log.path}")
    return rank(updated.index, text).below(folder)


def _begun_late(stage: Callable[[str], Progress], name: str) -> Progress:
    """A bar that is drawn at the first step; where there is no step there is no bar."""
    begun: list[Progress] = []

    def report(done: int, total: int | None) -> None:
        if not begun:
            begun.append(stage(name))
        begun[0](done, total)

    return report


def _name(path: str, folder: Path | None) -> str:
    """Below the folder, so that the index stays good where the folder moves."""
    from piaa.inputs.images import printable

    return path if folder is None else path.removeprefix(printable(folder)).lstrip("/\\") or path


def _beside(target: str) -> Path:
    """`photos.search.safetensors` beside `photos`.

    Raises:
        InputError: the images are no folder, so nothing is beside it.
    """
    from piaa.errors import InputError
    from piaa.files import check_place

    if not Path(target).is_dir():
        raise InputError(f"{target}: not a folder; say where the index of these images is kept: --index FILE")
    folder = Path(target).absolute()
    place = folder.with_name(f"{folder.name or 'images'}.search.safetensors")
    if not place.exists():
        try:
            check_place(place)
        except InputError as error:
            raise InputError(
                f"the index cannot be kept beside the images ({error}); name a place: --index FILE"
            ) from error
    return place


def _show_gallery(result: Result, gallery: Path, images: Path | None, query: str) -> None:
    from piaa.exchange import TagRow, TagTable
    from piaa.report.gallery import write_gallery

    rows = [one.row or TagRow(one.path, {}) for one in result.found]
    shown = write_gallery(TagTable(rows, result.classes, {}, Path(query)), gallery, images=images, in_order=True)
    console.print(f"{shown} images on {gallery}: open it in a browser", markup=False, highlight=False)
