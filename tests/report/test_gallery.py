"""The gallery: bounded, self-contained, harmless whatever names are like, and a label hides the other images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from browser import chromium_page
from piaa.exchange import TagRow, TagTable
from piaa.report.gallery import MOST_LABELS, MOST_ON_TILE, SIDE, choose, write_gallery

EVIL = (
    '</style><script>document.title="bad"</script><img src=http://example.com/x onerror=alert(1)> "q" \'s\' {{ 7*7 }}'
)


def make(folder: Path, count: int = 12) -> TagTable:
    rows = []
    for number in range(count):
        name = f"{number} <b>&\"'.jpg".replace("/", "")
        Image.new("RGB", (600, 300 + number), (9 * number, 90, 120)).save(folder / name)
        scores = {EVIL: 0.95 - 0.03 * number, "kite": 0.4 + 0.02 * number, "\x01\ud800ball": 0.1}
        rows.append(TagRow(name, {n: s for n, s in scores.items() if s >= 0.5}, scores))
    (folder / "bad.jpg").write_text("no image")
    rows += [TagRow("bad.jpg", {"kite": 0.51}, {EVIL: 0.0, "kite": 0.51}), TagRow("gone.jpg", {}, {EVIL: 0.1})]
    return TagTable(rows, [EVIL, "kite", "\x01\ud800ball"], {}, folder / f"{EVIL[:60].replace('/', '_')}.jsonl")


def test_everything_is_escaped_and_nothing_leaves_the_page(tmp_path: Path) -> None:
    table = make(tmp_path)
    assert write_gallery(table, tmp_path / "g.html", images=tmp_path) == 14
    page = (tmp_path / "g.html").read_text(encoding="utf-8")
    assert "<script" not in page and page.count("</style>") == 1 and "onerror=alert(1)&gt;" in page
    assert "{{ 7*7 }}" in page and "49" not in re.findall(r"<h1>(.*?)</h1>", page)[0]
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("cannot be shown: ") == 2 and "no such file" in page
    sizes = [len(each) for each in re.findall(r"data:image/webp;base64,([^\"]*)", page)]
    assert len(sizes) == 12 and max(sizes) < 4 * SIDE * SIDE / 10


def test_the_most_doubtful_come_first(tmp_path: Path) -> None:
    table = make(tmp_path)
    write_gallery(table, tmp_path / "g.html", images=tmp_path)
    page = (tmp_path / "g.html").read_text(encoding="utf-8")
    places = [int(place) for place in re.findall(r"--place:(\d+)", page)]
    doubts = [table.rows[place].doubt for place in places]
    assert doubts == sorted(doubts, reverse=True) and places[0] == 5  # its kite stands at 0.5 exactly
    assert len(set(places)) == 14


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 40))
def test_a_bounded_number_is_shown(scores: list[float], most: int) -> None:
    rows = [TagRow(str(index), {"a": score} if score >= 0.5 else {}) for index, score in enumerate(scores)]
    chosen = choose(rows, most)
    assert len(set(chosen)) == len(chosen) == min(most, len(rows))
    order = sorted(range(len(rows)), key=lambda index: (bool(rows[index].labels), -rows[index].doubt))
    assert chosen[: most - most // 2] == order[: most - most // 2]


def test_many_labels_are_bounded(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(300)]
    table = TagTable([TagRow("x.jpg", dict.fromkeys(names, 0.9))], names, {}, tmp_path / "t.csv")
    write_gallery(table, tmp_path / "g.html", images=tmp_path)
    page = (tmp_path / "g.html").read_text(encoding="utf-8")
    assert page.count('name="label"') == MOST_LABELS + 1 and f"and {300 - MOST_ON_TILE} more" in page


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 800)])
def test_a_label_hides_the_others_in_a_browser(tmp_path: Path, width: int, height: int) -> None:
    table = make(tmp_path)
    write_gallery(table, tmp_path / "g.html", images=tmp_path)
    with chromium_page(width, height) as page:
        page.goto((tmp_path / "g.html").as_uri())
        assert page.title() != "bad" and page.locator(".tile:visible").count() == 14
        page.locator("#all").focus()
        page.keyboard.press("ArrowDown")  # by the keyboard alone: the most frequent label
        shown = page.locator(".tile:visible .given li:not(.near) span").all_inner_texts()
        with_first = [row for row in table.rows if EVIL in row.labels]
        assert page.locator(".tile:visible").count() == len(with_first) == 12 and EVIL in shown
        page.get_by_text("as in the table").click()
        places = page.eval_on_selector_all(
            ".tile",
            """tiles => tiles.filter(tile => tile.offsetParent).map(tile => [tile.getBoundingClientRect(), tile])
            .sort(([a], [b]) => a.top - b.top || a.left - b.left).map(([_, tile]) => tile.style.cssText)""",
        )
        assert [int(place.split(":")[1].strip(" ;")) for place in places] == list(range(12))
        page.get_by_text(re.compile("^no label")).first.click()
        assert page.locator(".tile:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
