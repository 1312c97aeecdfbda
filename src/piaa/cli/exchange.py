"""`piaa export` and `piaa import`: tags where other programs read them, and corrections back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import console, output, shows_errors

if TYPE_CHECKING:
    from piaa.exchange.common import Maps

IMAGES_HELP = "Folder that relative paths are taken from; else the current folder."


@shows_errors
def export_tags(
    tags: Annotated[Path | None, typer.Argument(help="A table that 'piaa tag' wrote.")] = None,
    to: Annotated[str, typer.Option(help="The format; 'piaa export' alone lists them.")] = "",
    out: Annotated[Path | None, typer.Option(help="File or folder to write; not for xmp and embedded.")] = None,
    images: Annotated[Path | None, typer.Option(help=IMAGES_HELP)] = None,
    naming: Annotated[str, typer.Option(help="Sidecars: darktable (a.jpg.xmp) or adobe (a.xmp).")] = "darktable",
    parent: Annotated[str, typer.Option(help="First level of hierarchical keywords; '' for none.")] = "piaa",
    replace: Annotated[
        bool, typer.Option("--replace", help="Take away keywords below --parent that are no longer given.")
    ] = False,
    backup: Annotated[
        bool, typer.Option("--backup/--no-backup", help="Keep each file as it was; for embedded.")
    ] = True,
    classifier: Annotated[Path | None, typer.Option(help="Draw heat maps with this classifier; for fiftyone.")] = None,
    device: options.Device = "auto",
) -> None:
    """Write tags where people's tools read them: sidecars, keywords, and the formats of labelling programs."""
    from piaa.errors import InputError
    from piaa.exchange import EXPORTS, Options, read_tags
    from piaa.exchange import export_tags as run

    if tags is None:
        for name, each in EXPORTS.items():
            output.print(f"{name:<14}{each.what}", markup=False, highlight=False)
        return
    if not to:
        raise InputError(f"say which format with --to: {', '.join(EXPORTS)}")
    if classifier and to != "fiftyone":
        raise InputError(f"{to} holds no heat maps, so --classifier has no meaning; leave it out")
    table = read_tags(tags)
    maps = heat_maps(classifier, device) if classifier else None
    result = run(table, to, Options(out, images, naming, parent, replace, backup, maps))
    log = tags.with_name(f"{tags.name}.{to}.errors.jsonl")
    note_failures(log, result.failed)
    for note in result.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    where = f" -> {out}" if out else ""
    console.print(f"{result.written} of {len(table.rows)} images exported{where}", markup=False, highlight=False)
    if result.failed:
        path, reason = result.failed[0]
        console.print(f"{len(result.failed)} images could not be exported: see {log}", markup=False, highlight=False)
        console.print(f"the first: {path}: {reason}", markup=False, highlight=False)
    if table.rows and not result.written:
        raise typer.Exit(1)


@shows_errors
def import_truth(
    file: Annotated[Path, typer.Argument(help="What the other program exported.")],
    source: Annotated[str, typer.Option("--from", help="label-studio, cvat, fiftyone or csv.")],
    out: Annotated[Path, typer.Option(help="The truth file to write: .csv, or .jsonl.")],
    images: Annotated[Path | None, typer.Option(help=IMAGES_HELP)] = None,
) -> None:
    """Take in labels that somebody has corrected, as truth for 'piaa eval'."""
    from piaa.exchange import read_corrections, relative_to, write_corrections
    from piaa.files import check_place

    check_place(out)
    rows = relative_to(read_corrections(file, source), images, out)
    write_corrections(rows, out)
    names = {name for row in rows for name in row.labels}
    console.print(f"{len(rows)} images, {len(names)} labels -> {out}", markup=False, highlight=False)
    missing = [row.path for row in rows if not (out.parent / row.path).is_file()]
    if missing:
        message = f"{len(missing)} of these images are not there, {missing[0]} for one; --images says where they begin"
        console.print(f"note: {message}", markup=False, highlight=False)


def heat_maps(classifier: Path, device: str) -> Maps:
    """What draws the maps of an image file for some labels."""
    from piaa.cli.loading import load_recognizer

    scorer = load_recognizer(classifier, device=device).scorer()

    def draw(path: Path, labels: list[str]) -> dict[str, Any]:
        from piaa.inputs.images import open_image
        from piaa.report.explain import heat_map

        picture = open_image(path)
        maps, _ = scorer.patch_maps(picture)
        region = scorer.preprocess.region(*picture.size)
        scale = 256 / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        shrunk = (region[0] * scale, region[1] * scale, region[2] * scale, region[3] * scale)
        number = {name: index for index, name in enumerate(scorer.label_names)}
        return {name: heat_map(maps[number[name]], size, shrunk) for name in labels if name in number}

    return draw


def note_failures(log: Path, failed: Sequence[tuple[str, str]]) -> None:
    """A line for each image that failed; no file where none did."""
    from piaa.files import writing

    with writing(log):
        log.unlink(missing_ok=True)
        if failed:
            lines = (json.dumps({"path": path, "reason": reason, "stage": "export"}, ensure_ascii=False) + "\n"
                     for path, reason in failed)  # fmt: skip
            log.write_text("".join(lines), encoding="utf-8")
