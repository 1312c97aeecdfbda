"""XMP sidecars: keywords in a file beside the image, where darktable, digiKam, Lightroom and Immich look for them.

`dc:subject` holds the plain keywords and `lr:hierarchicalSubject` the same below one parent (XMP specification, part 1,
8.4; Lightroom's namespace). What a sidecar already holds stays: keywords are added to its lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from piaa.errors import ImageError, InputError
from piaa.exchange.common import NAMINGS, Exported, Options, keyword_of, one_by_one, unique
from piaa.exchange.tag_table import TagRow, TagTable
from piaa.files import whole_file

X, RDF = "adobe:ns:meta/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC, LR = "http://purl.org/dc/elements/1.1/", "http://ns.adobe.com/lightroom/1.0/"
PREFIXES = {RDF: "rdf", DC: "dc", LR: "lr"}
XMLNS = "http://www.w3.org/2000/xmlns/"
EMPTY = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="{X}" x:xmptk="piaa">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about="" xmlns:dc="{DC}" xmlns:lr="{LR}"/>
 </rdf:RDF>
</x:xmpmeta>
"""


def export_sidecars(table: TagTable, options: Options) -> Exported:
    """A sidecar for each image, beside it.

    Raises:
        InputError: for a naming that does not exist.
    """
    if options.naming not in NAMINGS:
        raise InputError(f"no naming of sidecars is called {options.naming!r}; choose one of: {', '.join(NAMINGS)}")
    return one_by_one(table, lambda row: _write(row, options))


def sidecar_path(image: Path, naming: str) -> Path:
    """`a.jpg.xmp` (darktable, digiKam) or `a.xmp` (Adobe); one that is there under another case is taken."""
    path = image.with_name(image.name + ".xmp") if naming == "darktable" else image.with_suffix(".xmp")
    upper = path.with_suffix(".XMP")
    return upper if upper.is_file() and not path.is_file() else path


def merged(text: bytes, labels: Sequence[str], parent: str = "piaa", replace: bool = False) -> bytes:
    """A sidecar with the labels added to what it holds.

    Args:
        text: of the sidecar there is.
        labels: class names.
        parent: first level of the hierarchical keywords; empty for none.
        replace: take away what is below `parent` and not among the labels, and the same plain keywords.

    Raises:
        InputError: it is no XMP.
    """
    document = _parse(text)
    keywords = unique(keyword_of(label) for label in labels)
    above = f"{keyword_of(parent)}|" if parent else ""
    if replace and above:
        old = [entry for entry in _values(document, LR, "hierarchicalSubject") if entry.startswith(above)]
        gone = {entry.removeprefix(above) for entry in old} - set(keywords)
        _remove(document, LR, "hierarchicalSubject", {above + name for name in gone})
        _remove(document, DC, "subject", gone)
    _add(document, DC, "subject", keywords)
    _add(document, LR, "hierarchicalSubject", [above + name for name in keywords])
    result: bytes = document.toxml(encoding="UTF-8")
    return result


def keywords_in(text: bytes) -> list[str]:
    """The plain keywords of a sidecar.

    Raises:
        InputError: it is no XMP.
    """
    return _values(_parse(text), DC, "subject")


def _write(row: TagRow, options: Options) -> Path:
    path = sidecar_path(options.existing(row), options.naming)
    before = path.read_bytes() if path.is_file() else None
    try:
        after = merged(before or EMPTY.encode(), list(row.labels), options.parent, options.replace)
    except InputError as error:
        raise ImageError(row.path, f"its sidecar {path.name} is left as it was: {error}") from error
    if before is None or after != before:
        with whole_file(path, durable=False) as aside:
            aside.write_bytes(after)
    return path


def _parse(text: bytes) -> minidom.Document:
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError("it declares XML entities, which no sidecar needs")
    try:
        document = minidom.parseString(text)
    except (ExpatError, ValueError, LookupError) as error:
        raise InputError(f"not readable as XML: {error}") from error
    if not document.getElementsByTagNameNS(RDF, "RDF"):
        raise InputError("no rdf:RDF in it, so it is no XMP")
    return document


def _children(parent: minidom.Node) -> list[minidom.Element]:
    return [child for child in parent.childNodes if isinstance(child, minidom.Element)]


def _bags(document: minidom.Document, space: str, name: str) -> list[minidom.Element]:
    """The lists of a property: rdf:Bag, or rdf:Seq where a program wrote one."""
    found = document.getElementsByTagNameNS(space, name)
    return [child for each in found for child in _children(each) if child.namespaceURI == RDF]


def _items(bag: minidom.Element) -> list[minidom.Element]:
    return [child for child in _children(bag) if child.localName == "li"]


def _text(item: minidom.Element) -> str:
    return "".join(child.data for child in item.childNodes if isinstance(child, minidom.Text))


def _values(document: minidom.Document, space: str, name: str) -> list[str]:
    return [_text(item) for bag in _bags(document, space, name) for item in _items(bag)]


def _remove(document: minidom.Document, space: str, name: str, values: set[str]) -> None:
    for bag in _bags(document, space, name):
        for item in _items(bag):
            if _text(item) in values:
                bag.removeChild(item).unlink()


def _add(document: minidom.Document, space: str, name: str, values: Iterable[str]) -> None:
    known = set(_values(document, space, name))
    new = [value for value in values if value not in known]
    if not new:
        return
    bags = _bags(document, space, name)
    bag = bags[0] if bags else _new_bag(document, space, name)
    for value in new:
        item = _element(document, bag, RDF, "li")
        item.appendChild(document.createTextNode(value))


def _new_bag(document: minidom.Document, space: str, name: str) -> minidom.Element:
    top = document.getElementsByTagNameNS(RDF, "RDF")[0]
    described = [each for each in _children(top) if each.localName == "Description"]
    holder = described[0] if described else _element(document, top, RDF, "Description")
    if not described:
        holder.setAttributeNS(RDF, f"{holder.prefix}:about", "")
    old = document.getElementsByTagNameNS(space, name)  # there, but no list in it: a single value in its place
    values = [_text(each).strip() for each in old]
    for each in old:
        if each.parentNode is not None:
            each.parentNode.removeChild(each)  # type: ignore[arg-type]
    if holder.hasAttributeNS(space, name):  # the short form of RDF
        values.append(holder.getAttributeNS(space, name))
        holder.removeAttributeNS(space, name)
    bag = _element(document, _element(document, holder, space, name), RDF, "Bag")
    for value in filter(None, values):
        _element(document, bag, RDF, "li").appendChild(document.createTextNode(value))
    return bag


def _element(document: minidom.Document, parent: minidom.Element, space: str, name: str) -> minidom.Element:
    """A new child, under the prefix that the document uses for its namespace, declared if it is not."""
    prefix = _prefix(parent, space)
    if prefix is None:
        prefix = PREFIXES[space]
        while _space_of(parent, prefix) not in (None, space):
            prefix += "_"
        child = document.createElementNS(space, f"{prefix}:{name}")
        child.setAttributeNS(XMLNS, f"xmlns:{prefix}", space)
    else:
        child = document.createElementNS(space, f"{prefix}:{name}" if prefix else name)
    parent.appendChild(child)
    return child


def _prefix(element: minidom.Element, space: str) -> str | None:
    """The nearest prefix that means a namespace at an element, `` for the default one, None where there is none."""
    for name, value, _ in _declarations(element):
        if value == space and _space_of(element, name) == space:
            return name
    return None


def _space_of(element: minidom.Element, prefix: str) -> str | None:
    return next((value for name, value, _ in _declarations(element) if name == prefix), None)


def _declarations(element: minidom.Element) -> list[tuple[str, str, minidom.Element]]:
    """(prefix, namespace, where) of every declaration in force at an element, the nearest first."""
    found = []
    at: minidom.Node | None = element
    while isinstance(at, minidom.Element):
        for attribute in list(at.attributes.values()):
            if attribute.name == "xmlns" or attribute.name.startswith("xmlns:"):
                found.append((attribute.name.partition(":")[2], attribute.value, at))
        at = at.parentNode
    return found
