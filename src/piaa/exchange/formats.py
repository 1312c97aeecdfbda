"""Every format by name. A new one is a file in this folder and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from piaa.errors import InputError
from piaa.exchange.coco import export_coco
from piaa.exchange.common import Exported, Exporter, Options
from piaa.exchange.corrections import Corrected
from piaa.exchange.cvat import export_cvat, read_cvat
from piaa.exchange.embedded import export_embedded
from piaa.exchange.fifty_one import export_fifty_one, read_fifty_one_files
from piaa.exchange.hugging_face import export_hugging_face
from piaa.exchange.label_studio import export_label_studio, read_label_studio
from piaa.exchange.one_hot import export_one_hot, read_csv
from piaa.exchange.sidecars import export_sidecars
from piaa.exchange.tag_table import TagTable
from piaa.exchange.yolo import export_yolo

Reader = Callable[[Path], list[Corrected]]


@dataclass(frozen=True)
class Format:
    """A format to write.

    Attributes:
        write: the exporter.
        ending: of the file it writes; `/` for a folder, empty where it writes beside the images.
        what: one line for people.
    """

    write: Exporter
    ending: str
    what: str


EXPORTS: dict[str, Format] = {
    "xmp": Format(export_sidecars, "", "XMP sidecars beside the images (darktable, digiKam, Lightroom, Immich)"),
    "embedded": Format(export_embedded, "", "keywords inside the image files (JPEG, PNG, TIFF, WebP, HEIC)"),
    "coco": Format(export_coco, ".json", "COCO JSON, each label a box around the whole image"),
    "label-studio": Format(export_label_studio, ".json", "Label Studio tasks with pre-annotations"),
    "cvat": Format(export_cvat, ".xml", "CVAT for images 1.1"),
    "fiftyone": Format(export_fifty_one, "/", "a folder that FiftyOne reads, with heat maps if asked for"),
    "huggingface": Format(export_hugging_face, ".parquet", "Parquet that Hugging Face datasets reads"),
    "csv": Format(export_one_hot, ".csv", "CSV with a column of 0 and 1 for each class"),
    "yolo-cls": Format(export_yolo, "/", "a folder a class, each image under its surest label"),
}
IMPORTS: dict[str, Reader] = {
    "label-studio": read_label_studio,
    "cvat": read_cvat,
    "fiftyone": read_fifty_one_files,
    "csv": read_csv,
}


def export_tags(table: TagTable, name: str, options: Options) -> Exported:
    """Write a table in a format.

    Raises:
        InputError: for a format that does not exist, an output it needs or cannot write, or of another ending.
    """
    if name not in EXPORTS:
        raise InputError(f"no format is called {name!r}; choose one of: {', '.join(EXPORTS)}")
    wanted = EXPORTS[name]
    if not wanted.ending:
        if options.out is not None:
            raise InputError(f"{name} writes beside the images, so --out has no meaning; leave it out")
    else:
        out = options.target()
        if wanted.ending != "/" and out.suffix.lower() != wanted.ending:
            raise InputError(f"{out}: {name} is written as {wanted.ending}; give a name that ends so")
        if not out.absolute().parent.is_dir():
            raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")
    return wanted.write(table, options)


def read_corrections(file: Path, name: str) -> list[Corrected]:
    """Read what a person has corrected in another program.

    Raises:
        InputError: for a format that does not exist, or a file that is not of it.
    """
    if name not in IMPORTS:
        raise InputError(f"no format is called {name!r}; choose one of: {', '.join(IMPORTS)}")
    return IMPORTS[name](file)
