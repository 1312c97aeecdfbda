"""A folder a class, as YOLO's classifiers, torchvision's ImageFolder and timm read them.

Such folders hold one label an image: the surest. The images are linked, or copied where links cannot be made.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from piaa.errors import InputError
from piaa.exchange.common import Exported, Options, one_by_one, plain
from piaa.exchange.tag_table import TagRow, TagTable


def export_yolo(table: TagTable, options: Options) -> Exported:
    """`OUT/CLASS/NAME`; a class of the table without an image has an empty folder, so that class numbers hold.

    Raises:
        InputError: the folder is there and not empty, or two class names give one folder.
    """
    out = options.target()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: there is something already; give the name of a new folder")
    folders = {name: folder_name(name) for name in table.classes}
    if len(set(map(str.casefold, folders.values()))) < len(folders):
        raise InputError(f"{out}: two class names give folders of one name: {', '.join(sorted(folders.values()))}")
    try:
        for folder in folders.values():
            (out / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    labelled = TagTable([row for row in table.rows if row.labels], table.classes, table.about, table.source)
    result = one_by_one(labelled, lambda row: _place(row, options, out / folders[next(iter(row.labels))]))
    without = len(table.rows) - len(labelled.rows)
    if without:
        result.notes.append(f"{without} images have no label, so there is no folder for them")
    several = sum(len(row.labels) > 1 for row in labelled.rows)
    if several:
        result.notes.append(f"{several} images have more than one label; each stands under its surest")
    result.places = [out]
    return result


def folder_name(label: str) -> str:
    """A class name as the name of a folder on any system."""
    name = re.sub(r'[\\/:*?"<>|]', "_", plain(label)).strip(" .")
    return name[:100] or "_"


def _place(row: TagRow, options: Options, folder: Path) -> Path:
    source = options.existing(row)
    target = folder / source.name
    number = 1
    while os.path.lexists(target):
        number += 1
        target = folder / f"{source.stem}-{number}{source.suffix}"
    try:
        target.symlink_to(source)
    except (OSError, NotImplementedError):  # Windows without the right to make links
        shutil.copyfile(source, target)
    return target
