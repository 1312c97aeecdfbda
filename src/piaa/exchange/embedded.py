"""Keywords inside the image files: XMP `dc:subject`, `lr:hierarchicalSubject` and, where the format has it, IPTC.

The pixels are not touched: the file is copied, keywords are written into the copy, the compressed picture of both is
compared, and only then the copy takes the place of the original, of which a backup is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from piaa.errors import ImageError, InputError
from piaa.exchange.common import Exported, Options, keyword_of, one_by_one, unique
from piaa.exchange.tag_table import TagRow, TagTable

BACKUP = ".before-piaa"
EXIV2 = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp")
EXIFTOOL = (".heic", ".heif", ".avif")
IPTC_BYTES = 64
"""The longest IPTC keyword (IPTC-IIM 4.2, 2:25); longer ones are in XMP alone."""
_SUBJECT, _HIERARCHY = "Xmp.dc.subject", "Xmp.lr.hierarchicalSubject"
_KEYWORDS, _CHARSET = "Iptc.Application2.Keywords", "Iptc.Envelope.CharacterSet"


def export_embedded(table: TagTable, options: Options) -> Exported:
    """Keywords into each image file.

    Raises:
        InputError: pyexiv2 is not installed.
    """
    try:
        import pyexiv2
    except (ImportError, OSError) as error:
        raise InputError(
            f"embedding keywords needs pyexiv2: in a checkout: pip install -e '.[exchange]' ({error})"
        ) from error
    pyexiv2.set_log_level(4)
    result = one_by_one(table, lambda row: _embed(row, options))
    if options.backup and result.written:
        result.notes.append(f"the files as they were are kept beside them, named NAME{BACKUP}")
    return result


def _embed(row: TagRow, options: Options) -> Path | None:
    path = Path(os.path.realpath(options.existing(row)))
    suffix = path.suffix.lower()
    if suffix not in (*EXIV2, *EXIFTOOL):
        raise ImageError(row.path, f"keywords cannot be embedded in {suffix or 'such'} files; use sidecars")
    aside = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp{suffix}")
    try:
        shutil.copy2(path, aside)
        changed = (_with_exiv2 if suffix in EXIV2 else _with_exiftool)(row, aside, options)
        if not changed:
            return None
        if picture_hash(path) != picture_hash(aside):
            raise ImageError(row.path, "its picture would have changed, so it is left as it was; use sidecars")
        backup = path.with_name(path.name + BACKUP)
        if options.backup and not backup.exists():
            shutil.copy2(path, backup)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def picture_hash(path: Path) -> str:
    """Of the decoded pixels of every frame, the mode and the size; HEIC through pillow-heif.

    Raises:
        ImageError: it cannot be decoded, so that nobody could say whether it changed.
    """
    total = hashlib.sha256()
    try:
        if path.suffix.lower() in EXIFTOOL:
            import pillow_heif

            pillow_heif.register_heif_opener()
            pillow_heif.register_avif_opener() if hasattr(pillow_heif, "register_avif_opener") else None
        with Image.open(path) as picture:
            for number in range(getattr(picture, "n_frames", 1)):
                picture.seek(number)
                total.update(f"{picture.mode} {picture.size}".encode() + picture.tobytes())
    except ImportError as error:
        raise ImageError(path, "HEIC pictures cannot be compared without pillow-heif; use sidecars") from error
    except Exception as error:
        raise ImageError(path, f"cannot be decoded: {error}") from error
    return total.hexdigest()


def _wanted(
    row: TagRow, options: Options, have: Sequence[str], hierarchy: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The plain and the hierarchical keywords that the file should have, what it has included."""
    names = [keyword_of(name) for name in row.labels]
    above = f"{keyword_of(options.parent)}|" if options.parent else ""
    gone: set[str] = set()
    if options.replace and above:
        gone = {entry.removeprefix(above) for entry in hierarchy if entry.startswith(above)} - set(names)
    kept = [name for name in have if name not in gone]
    levels = [entry for entry in hierarchy if entry.removeprefix(above) not in gone or not entry.startswith(above)]
    return unique([*kept, *names]), unique([*levels, *(above + name for name in names)])


def _with_exiv2(row: TagRow, file: Path, options: Options) -> bool:
    import pyexiv2

    try:
        with pyexiv2.Image(os.fspath(file)) as image:
            xmp, iptc = image.read_xmp(), image.read_iptc()
            have, hierarchy = _listed(xmp.get(_SUBJECT)), _listed(xmp.get(_HIERARCHY))
            plain, levels = _wanted(row, options, unique([*have, *_listed(iptc.get(_KEYWORDS))]), hierarchy)
            if plain == have and levels == hierarchy:
                return False
            image.modify_xmp({_SUBJECT: plain, _HIERARCHY: levels})
            short = [name for name in plain if len(name.encode()) <= IPTC_BYTES]
            image.modify_iptc({_CHARSET: "\x1b%G", _KEYWORDS: short})
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ImageError(row.path, f"its metadata cannot be read or written: {error}") from error
    return True


def _with_exiftool(row: TagRow, file: Path, options: Options) -> bool:
    """HEIC and its like, which exiv2 reads but does not write."""
    before = json.loads(_exiftool(row, "-j", "-XMP-dc:Subject", "-XMP-lr:HierarchicalSubject", os.fspath(file)))[0]
    have, hierarchy = _listed(before.get("Subject")), _listed(before.get("HierarchicalSubject"))
    plain, levels = _wanted(row, options, have, hierarchy)
    if plain == have and levels == hierarchy:
        return False
    values = [f"-XMP-dc:Subject={name}" for name in plain]
    values += [f"-XMP-lr:HierarchicalSubject={name}" for name in levels]
    _exiftool(row, "-overwrite_original", *values, os.fspath(file))
    return True


def _exiftool(row: TagRow, *arguments: str) -> str:
    command = ["exiftool", "-charset", "filename=utf8", *arguments]  # the file is absolute: no name begins with `-`
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except FileNotFoundError as error:
        raise ImageError(row.path, "HEIC needs the program exiftool, which is not installed; use sidecars") from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(row.path, "exiftool did not finish within a minute") from error
    if done.returncode:
        message = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ImageError(row.path, f"exiftool: {message.splitlines()[0] if message else 'failed'}")
    return done.stdout.decode()


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
