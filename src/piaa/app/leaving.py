"""What the page gives to take away: tables of tags, the formats of `piaa.exchange`, corrections, keywords."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from piaa.app.session import Session
from piaa.app.view import View
from piaa.errors import InputError
from piaa.exchange import EXPORTS, Corrected, Options, export_tags, write_corrections
from piaa.exchange.common import Exported
from piaa.exchange.tag_table import TagRow, TagTable
from piaa.jobs.tables import check_output, write_table

DOWNLOADS: dict[str, str] = {
    "csv": "Spreadsheet (CSV, a column of 0 and 1 for each label)",
    "xmp": "Keywords for photo programs (XMP sidecars, in a zip)",
    "truth": "The pictures you checked, as truth for piaa eval",
    "classifier": "The classifier with your thresholds, for piaa tag",
    "tags.jsonl": "Labels with scores, JSON lines",
    "tags.csv": "Labels with scores, CSV",
    "tags.parquet": "Labels with scores, Parquet",
    "label-studio": "Label Studio tasks (zip)",
    "cvat": "CVAT for images",
    "coco": "COCO JSON",
    "huggingface": "Hugging Face Parquet",
}


def download(session: Session, name: str) -> tuple[str, bytes]:
    """A file to take away: its name and its bytes.

    Raises:
        InputError: for a format that does not exist, nothing tagged, or a name that the format cannot hold.
    """
    if name not in DOWNLOADS:
        raise InputError(f"no format is called {name!r}; choose one of: {', '.join(DOWNLOADS)}")
    with tempfile.TemporaryDirectory(prefix="piaa-export-") as folder:
        path = _written(session, name, Path(folder))
        return path.name, path.read_bytes()


def _written(session: Session, name: str, folder: Path) -> Path:
    if name == "classifier":
        out = folder / "piaa-classifier.piaa"
        session.moved_recognizer().save(out)
        return out
    view = session.view()
    table = table_of(view)
    if name.startswith("tags."):
        return _tags(table, folder / f"piaa-{name}")
    if name == "truth":
        return _truth(view, table, folder / "piaa-truth.jsonl")
    if name == "xmp":
        return _sidecars(table, folder)
    out = folder / f"piaa-{name}{EXPORTS[name].ending}"
    result = export_tags(table, name, Options(out, session.base))
    extra = [place for place in result.places if place != out]
    return _zipped(folder / f"piaa-{name}.zip", [out, *extra]) if extra else out


def table_of(view: View) -> TagTable:
    """The labels as they are now, corrections included; a label that a person gave keeps its low score."""
    result, rows = view.result, []
    for index, path in enumerate(result.paths):
        row = result.scores[index]
        order = [int(c) for c in np.argsort(-row, kind="stable")]
        labels = {result.classes[c]: round(float(row[c]), 6) for c in order if view.given[index, c]}
        rows.append(TagRow(path, labels, {result.classes[c]: round(float(row[c]), 6) for c in range(len(row))}))
    return TagTable(rows, result.classes, {}, Path("piaa-app"))


def _tags(table: TagTable, out: Path) -> Path:
    check_output(out, table.classes)
    rows = [
        {
            "path": row.path,
            "labels": [{"label": name, "score": score} for name, score in row.labels.items()],
            "scores": row.scores,
        }
        for row in table.rows
    ]
    write_table(out, out.suffix, [rows], table.classes)
    return out


def _truth(view: View, table: TagTable, out: Path) -> Path:
    """The labels of the pictures that were checked whole; of the others a person has said too little for a truth."""
    if not view.checked:
        raise InputError("no picture is checked yet: open one, and tick 'All labels of this picture are right'")
    rows = [table.rows[index] for index in sorted(view.checked)]
    write_corrections([Corrected(row.path, list(row.labels)) for row in rows], out)
    return out


def _sidecars(table: TagTable, folder: Path) -> Path:
    """Sidecars for pictures that are elsewhere: each beside an empty file of the picture's name, then zipped."""
    inside = folder / "sidecars"
    inside.mkdir()
    rows = []
    for number, row in enumerate(table.rows):
        name = Path(row.path).name
        if (inside / name).exists():
            name = f"{number}-{name}"
        (inside / name).touch()
        rows.append(replace(row, path=name))
    result = export_tags(replace(table, rows=rows), "xmp", Options(images=inside))
    return _zipped(folder / "piaa-sidecars.zip", result.places)


def _zipped(out: Path, files: list[Path]) -> Path:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return out


def beside(session: Session) -> Exported:
    """XMP sidecars beside the pictures of a folder of this machine; what is there is merged.

    Raises:
        InputError: the pictures were dropped or drawn, so that nothing lies beside them.
    """
    if session.base is not None:
        raise InputError("these pictures are in no folder of yours; take the sidecars as a zip")
    return export_tags(table_of(session.view()), "xmp", Options())
