"""Keywords in sidecars and in files: read by exiv2 and exiftool, merged with what is there, pixels as they were."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from exchange_world import ROWS, make_images, make_table
from PIL import Image

from piaa.errors import InputError
from piaa.exchange import Options, export_tags
from piaa.exchange.embedded import BACKUP, picture_hash
from piaa.exchange.sidecars import EMPTY, keywords_in, merged

pyexiv2 = pytest.importorskip("pyexiv2", reason="pyexiv2 is not installed: pip install -e '.[exchange]'")
DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <!-- a comment of the user's -->
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:darktable="http://darktable.sf.net/" xmp:Rating="4" darktable:history_end="2">
   <dc:subject><rdf:Seq><rdf:li>holiday</rdf:li><rdf:li>umbrella</rdf:li></rdf:Seq></dc:subject>
   <darktable:history><rdf:Seq><rdf:li darktable:num="0" darktable:params="00aa"/></rdf:Seq></darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def exiv2(path: Path) -> tuple[dict, dict]:
    with pyexiv2.Image(str(path)) as image:
        return image.read_xmp(), image.read_iptc()


def exiftool(path: Path) -> dict:
    if not shutil.which("exiftool"):
        pytest.skip("exiftool is not installed: apt-get install libimage-exiftool-perl")
    done = subprocess.run(["exiftool", "-j", str(path)], capture_output=True, check=True)
    return json.loads(done.stdout)[0]


@pytest.mark.parametrize(("naming", "name"), [("darktable", "plain.jpg.xmp"), ("adobe", "plain.xmp")])
def test_sidecars_are_read_by_exiv2_and_exiftool(tmp_path: Path, naming: str, name: str) -> None:
    make_images(tmp_path)
    result = export_tags(make_table(), "xmp", Options(images=tmp_path, naming=naming))
    assert (result.written, result.failed) == (4, [])
    xmp, _ = exiv2(tmp_path / name)
    assert xmp["Xmp.dc.subject"] == ["umbrella", "ünï 傘"]
    assert xmp["Xmp.lr.hierarchicalSubject"] == ["piaa|umbrella", "piaa|ünï 傘"]
    odd = tmp_path / ("sub/ünï.tiff.xmp" if naming == "darktable" else "sub/ünï.xmp")
    assert exiv2(odd)[0]["Xmp.dc.subject"] == ["=1+1", "fish/trout", "two lines"]
    assert exiftool(tmp_path / name)["Subject"] == ["umbrella", "ünï 傘"]


def test_a_sidecar_that_is_there_is_merged_and_nothing_of_it_lost(tmp_path: Path) -> None:
    make_images(tmp_path)
    before = tmp_path / "before.xmp"
    sidecar = tmp_path / "plain.jpg.xmp"
    for path in (before, sidecar):
        path.write_text(DARKTABLE)
    export_tags(make_table(ROWS[:1]), "xmp", Options(images=tmp_path))
    old, new = exiv2(before)[0], exiv2(sidecar)[0]
    assert new.pop("Xmp.dc.subject") == ["holiday", "umbrella", "ünï 傘"]
    assert new.pop("Xmp.lr.hierarchicalSubject") == ["piaa|umbrella", "piaa|ünï 傘"]
    del old["Xmp.dc.subject"]
    assert old == new and new["Xmp.xmp.Rating"] == "4"
    assert "a comment of the user's" in sidecar.read_text()
    again = sidecar.read_bytes()
    export_tags(make_table(ROWS[:1]), "xmp", Options(images=tmp_path))
    assert sidecar.read_bytes() == again
    export_tags(make_table([("plain.jpg", {"=1+1": 0.7})]), "xmp", Options(images=tmp_path, replace=True))
    assert exiv2(sidecar)[0]["Xmp.dc.subject"] == ["holiday", "=1+1"]  # what is below the parent and no longer given
    assert exiv2(sidecar)[0]["Xmp.lr.hierarchicalSubject"] == ["piaa|=1+1"]


@pytest.mark.parametrize("content", ["not xml", "<a/>", '<!DOCTYPE x [<!ENTITY a "b">]><x/>'])
def test_a_sidecar_that_is_none_is_left_alone_and_reported(tmp_path: Path, content: str) -> None:
    make_images(tmp_path)
    (tmp_path / "plain.jpg.xmp").write_text(content)
    result = export_tags(make_table(), "xmp", Options(images=tmp_path))
    assert (tmp_path / "plain.jpg.xmp").read_text() == content
    assert [path for path, _ in result.failed] == ["plain.jpg"] and "left as it was" in result.failed[0][1]
    assert result.written == 3


def test_images_that_are_not_there_get_no_sidecar(tmp_path: Path) -> None:
    result = export_tags(make_table(), "xmp", Options(images=tmp_path))
    assert (result.written, len(result.failed)) == (0, 4) and not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="naming"):
        export_tags(make_table(), "xmp", Options(images=tmp_path, naming="other"))


def test_the_short_form_of_a_subject_is_kept() -> None:
    space = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
    short = EMPTY.replace('rdf:about=""', f'rdf:about="" {space} dc:subject="holiday"').replace(
        f" {space} xmlns:lr", " xmlns:lr"
    )
    assert keywords_in(merged(short.encode(), ["umbrella"])) == ["holiday", "umbrella"]


def test_other_prefixes_for_the_same_names_are_found(tmp_path: Path) -> None:
    odd = DARKTABLE.replace("rdf:", "r:").replace(":rdf=", ":r=").replace("dc:", "d:").replace(":dc=", ":d=")
    assert "<d:subject><r:Seq>" in odd
    (tmp_path / "a.xmp").write_bytes(merged(odd.encode(), ["x"]))
    assert keywords_in((tmp_path / "a.xmp").read_bytes()) == ["holiday", "umbrella", "x"]
    found = exiftool(tmp_path / "a.xmp")
    assert (found["Subject"], found["HierarchicalSubject"]) == (["holiday", "umbrella", "x"], "piaa|x")


def test_keywords_are_embedded_and_pixels_stay(tmp_path: Path) -> None:
    make_images(tmp_path)
    Image.new("RGB", (9, 7), "red").save(tmp_path / "new.webp")
    rows = [*ROWS[:3], ("new.webp", {"umbrella": 0.7})]
    with pyexiv2.Image(str(tmp_path / "plain.jpg")) as image:
        image.modify_iptc({"Iptc.Application2.Keywords": ["holiday"], "Iptc.Application2.City": "Turku"})
        image.modify_exif({"Exif.Image.Artist": "somebody"})
    pixels = {path: picture_hash(tmp_path / path) for path, _ in rows}
    raw = {path: (tmp_path / path).read_bytes() for path, _ in rows}
    result = export_tags(make_table(rows), "embedded", Options(images=tmp_path))
    assert (result.written, result.failed) == (4, [])
    for path, labels in rows:
        assert picture_hash(tmp_path / path) == pixels[path]
        assert (tmp_path / (path + BACKUP)).read_bytes() == raw[path]
        xmp, iptc = exiv2(tmp_path / path)
        wanted = [name.replace("|", "/").replace("\n", " ") for name in labels]
        wanted = ["holiday", *wanted] if path == "plain.jpg" else wanted
        assert xmp["Xmp.dc.subject"] == wanted
        if not path.endswith(".webp"):  # has no place for IPTC
            found = iptc["Iptc.Application2.Keywords"]
            assert wanted in (found, [found])
    assert exiv2(tmp_path / "plain.jpg")[1]["Iptc.Application2.City"] == "Turku"
    assert exiftool(tmp_path / "plain.jpg")["Artist"] == "somebody"
    assert exiftool(tmp_path / "plain.jpg")["Keywords"] == ["holiday", "umbrella", "ünï 傘"]
    once = {path: (tmp_path / path).read_bytes() for path, _ in rows}
    export_tags(make_table(rows), "embedded", Options(images=tmp_path))
    assert {path: (tmp_path / path).read_bytes() for path, _ in rows} == once
    assert {path: (tmp_path / (path + BACKUP)).read_bytes() for path, _ in rows} == raw
    assert not list(tmp_path.rglob(".*"))


def test_keywords_in_heic(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    heif.register_heif_opener()
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "a.heic")
    exiftool(tmp_path / "a.heic")
    before = picture_hash(tmp_path / "a.heic")
    result = export_tags(
        make_table([("a.heic", {"umbrella": 0.9, "ünï 傘": 0.6})]), "embedded", Options(images=tmp_path)
    )
    assert (result.written, result.failed) == (1, [])
    assert exiftool(tmp_path / "a.heic")["Subject"] == ["umbrella", "ünï 傘"]
    assert picture_hash(tmp_path / "a.heic") == before


def test_a_damaged_image_is_left_as_it_was(tmp_path: Path) -> None:
    make_images(tmp_path)
    whole = (tmp_path / "plain.jpg").read_bytes()
    (tmp_path / "plain.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "note.gif").write_bytes(b"GIF89a")
    rows = [("plain.jpg", {"umbrella": 0.9}), ("note.gif", {"umbrella": 0.9}), ROWS[1]]
    result = export_tags(make_table(rows), "embedded", Options(images=tmp_path))
    assert [path for path, _ in result.failed] == ["plain.jpg", "note.gif"] and result.written == 1
    assert (tmp_path / "plain.jpg").read_bytes() == whole[: len(whole) // 2]
    assert not (tmp_path / ("plain.jpg" + BACKUP)).exists()
