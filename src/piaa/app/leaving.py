"""What the page gives to take away: tables of tags, the formats of `piaa.exchange`, corrections, keywords."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from piaa.app.session import Session
from piaa.errors import InputError
from piaa.exchange import EXPORTS, Corrected, Options, export_tags, write_corrections
from piaa.exchange.common import Exported
from piaa.exchange.tag_table import TagTable
from piaa.jobs.tables import check_output, output_endings, write_table

DOWNLOADS: dict[str, str] = {
    "csv": "one-hot CSV, for a spreadsheet",
    "tags.jsonl": "tags as piaa tag writes them, JSON lines",
    "tags.csv": "the same, CSV",
    "tags.parquet": "the same, Parquet",
    "truth": "what you corrected, for piaa eval and piaa calibrate",
    "label-studio": "Label Studio tasks",
    "cvat": "CVAT for images",
    "coco": "COCO JSON",
    "huggingface": "Hugging Face Parquet",
    "xmp": "XMP sidecars, in a zip",
}


def download(session: Session, name: str) -> tuple[str, bytes]:
    """A file to take away: its name and its bytes.

    Raises:
        InputError: for a format that does not exist, nothing tagged, or a name that the format cannot hold.
    """
    if name not in DOWNLOADS:
        raise InputError(f"no format is called {name!r}; choose one of: {', '.join(DOWNLOADS)}")
    table = session.table()
    with tempfile.TemporaryDirectory(prefix="piaa-export-") as folder:
        path = _written(session, table, name, Path(folder))
        return path.name, path.read_bytes()


def _written(session: Session, table: TagTable, name: str, folder: Path) -> Path:
    if name.startswith("tags."):
        return _tags(table, folder / f"piaa-{name}")
    if name == "truth":
        return _truth(session, folder / "piaa-truth.jsonl")
    if name == "xmp":
        return _sidecars(session, table, folder)
    out = folder / f"piaa-{name}{EXPORTS[name].ending}"
    result = export_tags(table, name, Options(out, session.root))
    extra = [place for place in result.places if place != out]
    return _zipped(folder / f"piaa-{name}.zip", [out, *extra]) if extra else out


def _tags(table: TagTable, out: Path) -> Path:
    assert out.suffix in output_endings()
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


def _truth(session: Session, out: Path) -> Path:
    rows = session.table().rows
    write_corrections([Corrected(rows[index].path, list(rows[index].labels)) for index in session.corrected()], out)
    return out


def _sidecars(session: Session, table: TagTable, folder: Path) -> Path:
    """Sidecars for pictures that are elsewhere: each beside an empty file of the picture's name, then zipped."""
    inside = folder / "sidecars"
    inside.mkdir()
    rows = []
    for number, row in enumerate(table.rows):
        name = Path(row.path).name
        if (inside / name).exists():
            name = f"{number}-{name}"
        (inside / name).touch()
        rows.append(type(row)(name, row.labels))
    result = export_tags(TagTable(rows, table.classes, {}, table.source), "xmp", Options(images=inside))
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
    if session.root is not None:
        raise InputError("these pictures are in no folder of yours; take the sidecars as a zip")
    return export_tags(session.table(), "xmp", Options())
