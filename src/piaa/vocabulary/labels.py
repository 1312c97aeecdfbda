"""Class names: one a line, `name` or `name: synonym, synonym`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from piaa.errors import LabelError

MAX_NAME_LENGTH = 200
"""Characters; a text encoder reads some 75 tokens, so anything longer is a mistake in the file."""


LIST_MARKS = "[](){},\"'"
"""What a list that a program printed begins and ends with."""


@dataclass(frozen=True)
class Label:
    """One class.

    Attributes:
        name: what is written out.
        synonyms: further phrases for the same thing; the text prototype is the mean over name and synonyms.
    """

    name: str
    synonyms: tuple[str, ...] = ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """The name and its synonyms."""
        return (self.name, *self.synonyms)


def read_labels(path: str | Path) -> list[Label]:
    """Read a label file: UTF-8, with or without a byte order mark; blank lines and lines with `#` first are
    skipped.

    Raises:
        LabelError: naming file and line, when the file cannot be read, is not UTF-8 or has no name in it, and
            for empty, overlong or duplicate names and synonyms.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path}: cannot read the label file: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LabelError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    lines = [(f"{path}, line {number}", line) for number, line in enumerate(_lines(text), start=1)]
    kept = [(place, line) for place, line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not kept:
        raise LabelError(f"{path}: no class names in it; write one a line")
    return _checked(kept)


def parse_labels(names: Sequence[str | Label]) -> list[Label]:
    """Class names given in a program, each `name`, `name: synonym, synonym` or a `Label`.

    Raises:
        LabelError: naming the item, counted from 1, for the same faults as in a file, and for an empty list.
    """
    if isinstance(names, str):
        short = repr(names[:40])
        raise LabelError(f"class names must be a list of strings, not the one string {short}; write [{short}]")
    if isinstance(names, Mapping):
        raise LabelError(
            "class names must be a list, not a mapping; write synonyms into the name: ['cat: kitten, tomcat', 'dog']"
        )
    if isinstance(names, Set):
        raise LabelError("class names must be a list, not a set: a set has no order, and columns need one")
    if not names:
        raise LabelError("no class names given; give at least one")
    return _checked((f"class name {number}", name) for number, name in enumerate(names, start=1))


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _checked(entries: Iterable[tuple[str, str | Label]]) -> list[Label]:
    labels: list[Label] = []
    names: dict[str, str] = {}
    synonyms: list[tuple[str, str]] = []
    for place, entry in entries:
        label = _parse(place, entry)
        key = _key(label.name)
        if key in names:
            raise LabelError(f"{place}: duplicate class name {label.name!r}; first at {names[key]}")
        names[key] = place
        synonyms += [(place, synonym) for synonym in label.synonyms]
        labels.append(label)
    for place, synonym in synonyms:
        if _key(synonym) in names:
            raise LabelError(
                f"{place}: synonym {synonym!r} is also a class name, at {names[_key(synonym)]}; keep one of the two"
            )
    return labels


def _parse(place: str, entry: str | Label) -> Label:
    if isinstance(entry, Label):
        name, parts = entry.name, list(entry.synonyms)
    elif isinstance(entry, str):
        name, colon, rest = entry.partition(":")
        if not colon:
            _refuse_lists(place, entry.strip())
        whole = "," in name and not rest.strip()  # a name with a comma, ended by a colon
        parts = rest.split(",") if colon and not whole else []
    else:
        raise LabelError(f"{place}: must be a string, not {type(entry).__name__}")
    name = _clean(place, name, "class name")
    phrases = [_clean(place, part, f"synonym of {name!r}") for part in parts]
    keys = [_key(phrase) for phrase in phrases]
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise LabelError(f"{place}: synonym {phrases[position]!r} of {name!r} is there twice")
    return Label(name, tuple(phrases))


def _refuse_lists(place: str, entry: str) -> None:
    """Several names in one line, or a list as a program prints it, would silently become one class."""
    if entry and entry[0] in LIST_MARKS and entry[-1] in LIST_MARKS:
        raise LabelError(
            f"{place}: {entry[:60]!r} looks like a list as a program prints it; write the names alone, one a line, "
            "without brackets and quotes"
        )
    names = [part.strip() for part in entry.split(",") if part.strip()]
    if "," in entry and names:
        first, rest = names[0], ", ".join(names[1:]) or "..."
        raise LabelError(
            f"{place}: {entry[:60]!r} has commas and no colon. If these are several classes, write each on a line of "
            f"its own. If they mean the same, write '{first}: {rest}'. If it is one name with a comma, end it with a "
            f"colon: '{entry[:60]}:'"
        )


def _clean(place: str, text: str, what: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise LabelError(f"{place}: empty {what}")
    if len(text) > MAX_NAME_LENGTH:
        raise LabelError(f"{place}: {what} of {len(text)} characters; at most {MAX_NAME_LENGTH} are allowed")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise LabelError(f"{place}: {what} {text!r} holds control characters")
    return text


def _key(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
