import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from piaa.errors import InputError
from piaa.report import (
    BankClass,
    BankPatch,
    ClassRow,
    GalleryImage,
    LabelCall,
    MeasuredOn,
    MethodRow,
    Note,
    ReportData,
    Step,
    ThresholdRow,
    build_report,
    reason,
    worst,
    write_report,
)
from piaa.report.builder import duration, percent
from piaa.report.pictures import PATCH_SIDE, patch_context

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Tags in order, texts of the body, every attribute; fails on tags that do not nest."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], "", []
        self.feed(html)
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open and self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data

    def values(self, tag, name):
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


def entry(name="a.jpg", right=1, wrong=0, missed=0, size=None):
    image = Image.new("RGB", (40, 30), (90, 120, 60))
    heat = np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)
    calls = [LabelCall(f"r{i}", 0.9, "right", heat) for i in range(right)]
    calls += [LabelCall(f"w{i}", 0.6 + i / 100, "wrong", None) for i in range(wrong)]
    calls += [LabelCall(f"m{i}", 0.3 - i / 100, "missed", heat, size and size + i / 10) for i in range(missed)]
    return GalleryImage(name, image, tuple(calls), (5, 0, 35, 30))


def report(text="plain"):
    image = Image.new("RGB", (64, 64), (200, 30, 30))
    patches = (BankPatch(image, (0, 0, 16, 16), 0.8, False), BankPatch(image, (16, 16, 32, 32)))
    return ReportData(
        title=text,
        measured_on=MeasuredOn(*[text] * 8),
        methods=(
            MethodRow(text, 0.4, small=0.2, role="baseline"),
            MethodRow("PIAA", 0.655, 0.5, 0.6, 0.3, 0.5, 0.7, role="ours"),
        ),
        classes=(ClassRow("low", 0.1, 0.2, 0.3, 5), ClassRow(text, 0.9, math.nan), ClassRow("none", None)),
        size_note=text,
        gallery=(replace(entry(), name=text, labels=(LabelCall(text, 0.7, "right"), *entry(1, 1, 1, 1).labels)),),
        failures=(entry(text, 0, 1, 2, 0.1),),
        bank=(BankClass(text, patches, 2, 9),),
        thresholds=(ThresholdRow(text, 0.5, 0.6, 2.5, True), ThresholdRow("oracle", 0.7, 0.8, uses_truth=True)),
        steps=(Step(text, 90, text), Step("nothing", 0)),
        skipped=(Note(text, text),),
        fallbacks=(Note(text, text),),
    )


def test_page_needs_nothing_from_outside():
    html = build_report(report())
    page = Page(html)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", html))
    sources = page.values("img", "src")
    assert len(sources) == 2 + 4 + 2  # two photos, two heat maps on each, two patches
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert len(page.values("img", "alt")) == len(sources) and all(page.values("img", "alt"))


HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}&amp;</style>"


def test_every_text_is_escaped():
    plain, hostile = Page(build_report(report())), Page(build_report(report(HOSTILE)))
    assert hostile.tags == plain.tags
    assert [a[:2] for a in hostile.attributes] == [a[:2] for a in plain.attributes]
    assert hostile.text.count(HOSTILE) == plain.text.count("plain") >= 20


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_any_text_gives_a_page_that_can_be_written(text):
    html = build_report(ReportData("t", MeasuredOn(command=text), (MethodRow(text, 0.5),), skipped=(Note(text, text),)))
    html.encode("utf-8")
    assert "\x00" not in html
    Page(html)


def test_headline_says_which_way_it_went():
    data = report()
    assert "PIAA reaches 65.5 mAP, 25.5 points above plain at 40.0." in Page(build_report(data)).text
    worse = replace(data, methods=(data.methods[0], replace(data.methods[1], map=0.3)))
    assert "PIAA reaches 30.0 mAP, 10.0 points below plain at 40.0." in Page(build_report(worse)).text
    alone = replace(data, methods=data.methods[1:])
    assert "PIAA reaches 65.5 mAP." in Page(build_report(alone)).text


def test_what_was_not_measured_is_a_dash_and_classes_are_sorted():
    text = Page(build_report(report())).text
    assert re.search(r"plain\s+40\.0\s+–\s+–\s+20\.0\s+–\s+–", text)
    table = text[text.index("The same as a table") :]
    assert table.index("plain") < table.index("low") < table.index("none")
    assert re.search(r"plain\s*90\.0\s+–\s+–\s+–", table)
    assert re.search(r"low\s*10\.0\s+20\.0\s+30\.0\s+5", table)
    assert "width:90.00%" in build_report(report()) and "left:20.00%" in build_report(report())


def test_empty_sections_are_left_out():
    html = build_report(ReportData("t", MeasuredOn(), (MethodRow("m", 0.5),)))
    assert Page(html).values("section", "id") == ["methods"]
    assert len(Page(build_report(report())).values("section", "id")) == 9


def test_states_are_told_by_symbol_and_word_too():
    page = Page(build_report(replace(report(), gallery=(), failures=(entry(right=1, wrong=2, missed=1),))))
    for symbol, word, count in (("✓", "right", 1), ("✕", "wrong", 2), ("○", "missed", 1)):
        assert page.text.count(symbol) - (word == "wrong") == count + 1  # the legend; the bank's note names ✕
        assert page.text.count(f"{word}, score ") == count


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"right": 2}, "Every label is right."),
        ({"right": 0, "missed": 1}, "Missed 1 of 1 label (m0 scored 0.30)."),
        ({"right": 1, "missed": 3}, "Missed 3 of 4 labels (the nearest, m0, scored 0.30)."),
        ({"missed": 2, "size": 0.02}, "Missed 2 of 3 labels (the smallest, m0, spans 2% of the image's longer side)."),
        ({"missed": 1, "size": 0.6}, "Missed 1 of 2 labels (m0 scored 0.30)."),
        ({"wrong": 1}, "Gave one that is not there (w0 at 0.60)."),
        (
            {"wrong": 2, "missed": 1},
            "Missed 1 of 2 labels (m0 scored 0.30); gave 2 that are not there (surest: w1 at 0.61).",
        ),
    ],
)
def test_reasons_come_from_the_labels(labels, expected):
    assert reason(entry(**labels)) == expected


def test_an_image_that_was_called_foreign_says_so():
    """Its labels have scores above their thresholds, and were given all the same to nobody."""
    calls = (LabelCall("cow", 0.94, "missed", None), LabelCall("sun", 0.45, "missed", None))
    told = reason(GalleryImage("x", Image.new("RGB", (40, 30)), calls))
    assert told.startswith("Taken for an image unlike those of the fit, and so given no label; missed 2 of 2 labels")


def test_worst_images_first_and_only_failures():
    good, half = entry("good", right=3), entry("half", right=1, missed=1)
    none, many = entry("none", right=0, missed=1), entry("many", right=0, missed=1, wrong=3)
    assert [e.name for e in worst([half, good, none, many], 9)] == ["many", "none", "half"]
    assert [e.name for e in worst([half, good, none, many], 1)] == ["many"]


def test_patch_lies_in_the_middle_of_its_context():
    image = Image.new("RGB", (90, 90), (0, 0, 255))
    image.paste((255, 0, 0), (30, 30, 60, 60))
    uri, place = patch_context(BankPatch(image, (30, 30, 60, 60)))
    assert place == pytest.approx((33.33, 33.33, 33.33, 33.33))
    _, corner = patch_context(BankPatch(image, (0, 0, 20, 10)))
    assert corner == pytest.approx((33.33, 41.67, 33.33, 16.67))
    import base64
    import io

    piece = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"), dtype=int)
    assert piece.shape == (PATCH_SIDE, PATCH_SIDE, 3)
    assert piece[44, 44, 0] > 200 and piece[44, 44, 2] < 60 and piece[10, 10, 2] > 200


def test_write_is_whole_or_not_at_all(tmp_path):
    target = tmp_path / "report.html"
    assert write_report(report(), target) == target
    before = target.read_text(encoding="utf-8")
    assert before == build_report(report())
    with pytest.raises(InputError, match="at least one row"):
        write_report(replace(report(), methods=()), target)
    assert target.read_text(encoding="utf-8") == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(InputError, match="cannot be written"):
        write_report(report(), tmp_path / "absent" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_report(report(), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "report.html"]


def test_a_full_gallery_stays_small():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).resize((512, 512))
    heat = np.zeros((512, 512), np.float32)
    each = GalleryImage("x", noise, tuple(LabelCall(f"c{i}", 0.5, "right", heat) for i in range(6)))
    html = build_report(ReportData("t", MeasuredOn(), (MethodRow("m", 0.5),), gallery=(each,) * 24))
    assert len(html) < 4_000_000


def test_numbers_as_people_read_them():
    assert [percent(v) for v in (0.4567, 1.0, None, math.nan)] == ["45.7", "100.0", "–", "–"]
    assert [duration(v) for v in (0.0123, 5.26, 125)] == ["12 ms", "5.3 s", "2 min 05 s"]
    assert duration(59.97) == "1 min 00 s" and duration(119.7) == "2 min 00 s"
