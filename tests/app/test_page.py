"""The page in a browser: pictures in, tags, thresholds, heat maps, corrections, questions, labels out."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from app_server import running

from browser import chromium_page
from piaa.evaluation.truth import read_truth
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder

NAMES = object_names()
ODD = '<img src=x onerror=alert(1)> & "quotes".jpg'


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_scene_folder(folder, 23, "unlabelled", 70)
    (folder / "unlabelled-00000.jpg").rename(folder / ODD)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def shown(page: Any, count: int) -> None:
    """The gallery has come to hold so many pictures."""
    page.locator("#shown", has_text=re.compile(rf"^{count} picture")).wait_for()


def give_pictures_and_words(page: Any, photos: Path) -> None:
    page.locator("#files").set_input_files([str(path) for path in sorted(photos.iterdir())])
    page.get_by_text("71 pictures.").wait_for()
    page.locator("#words").fill("\n".join(NAMES))
    page.locator("#run").click()
    page.locator("#results").wait_for(timeout=60_000)
    assert page.locator("#summary").inner_text().startswith(f"70 pictures, {len(NAMES)} labels")
    assert page.locator("#failed summary").inner_text() == "1 pictures could not be used"
    assert page.locator(".tile").count() == 60 and page.locator("#page").inner_text() == "page 1 of 2"
    page.locator("#next").click()
    page.get_by_text("page 2 of 2").wait_for()
    assert page.locator(".tile").count() == 10


def move_a_threshold(page: Any, session: Any, index: int) -> None:
    before = session.counts()[index]
    page.locator("#class").select_option(str(index))
    shown(page, before)
    page.locator("#threshold").focus()
    page.keyboard.press("Home")  # by the keyboard: the lowest threshold
    page.locator("#threshold-value", has_text="0.01").wait_for()
    page.wait_for_timeout(400)  # the slider waits a moment for more movement
    assert session.thresholds[index] == 0.01 and session.counts()[index] > before
    shown(page, session.counts()[index])


def look_and_correct(page: Any, session: Any, index: int) -> int:
    """Heat map of one picture, and a label taken from it; the number of the picture."""
    page.locator(".tile button").first.click()
    page.locator("#dialog .where").first.wait_for()
    with page.expect_response(lambda answer: "/heat/" in answer.url) as answered:
        page.locator("#dialog .where").first.click()
    assert answered.value.ok and answered.value.headers["content-type"] == "image/webp"
    image = int(answered.value.url.split("/heat/")[1].split("/")[0])
    tick = page.locator(f'#dialog-labels input[data-class="{index}"]')
    assert tick.is_checked()
    tick.uncheck()
    page.locator("#dialog-labels button.quiet").wait_for()
    page.keyboard.press("Escape")
    assert session.corrections == {(image, index): False} and not session.decided()[image, index]
    shown(page, session.counts()[index])
    return image


def answer_questions(page: Any, session: Any) -> None:
    page.locator("#class").select_option("")
    page.locator("#ask").click()
    for number, key in enumerate("ynsynyyynnyyyynnynyn", start=1):
        page.get_by_text(f"Question {number} of 20").wait_for()
        page.keyboard.press(key)
    page.get_by_text("from 19 answers").wait_for()
    assert "between" in page.locator("#precision").inner_text()
    page.locator("#move").click()
    page.get_by_text("moved to").wait_for()
    assert len(set(session.thresholds)) == 1


def take_away(page: Any, name: str, out: Path) -> Path:
    with page.expect_download() as taken:
        page.locator(f'[data-format="{name}"]').click()
    taken.value.save_as(out)
    return out


def test_from_pictures_to_corrected_labels(photos: Path, tmp_path: Path) -> None:
    with running(tmp_path) as (session, address), chromium_page() as page:
        page.goto(address)
        assert "key" not in page.url  # it is in a cookie now
        give_pictures_and_words(page, photos)
        index = max(range(len(NAMES)), key=lambda c: session.counts()[c])
        move_a_threshold(page, session, index)
        image = look_and_correct(page, session, index)
        page.locator("#which").select_option("all")
        page.locator("#sort").select_option("name")
        page.locator(".file", has_text="onerror=alert(1)").wait_for()  # a name that looks like HTML is text
        answer_questions(page, session)
        classes, paths, given = session.tagged().classes, session.tagged().paths, session.decided()
        truth = read_truth(take_away(page, "truth", tmp_path / "truth.jsonl"), classes)
        assert len(truth.labels) == len(session.corrected()) >= 10 and index not in truth.labels[paths[image]]
        for key, labels in truth.labels.items():
            assert labels == set(given[paths.index(key)].nonzero()[0])
        with open(take_away(page, "csv", tmp_path / "out.csv"), encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [int(row[classes[index]]) for row in rows] == given[:, index].astype(int).tolist()


def test_a_phone_and_the_drawn_examples(tmp_path: Path) -> None:
    with running(tmp_path) as (session, address), chromium_page(390, 800) as page:
        page.goto(address)
        page.locator("#run").click()
        page.locator("#message", has_text="no picture yet").wait_for()
        page.locator("#examples").click()
        page.get_by_text("160 pictures.").wait_for()
        assert page.locator("#words").input_value().splitlines() == object_names()
        page.locator("#words").fill("umbrella\nanchor: ship anchor\ncat\nkey")
        page.locator("#run").click()
        page.locator("#results").wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator(".tile button").first.click()
        page.locator("#dialog .where").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("ArrowRight")
        page.locator("#dialog-previous:enabled").wait_for()
        page.keyboard.press("Escape")
        assert session.tagged().classes == ["umbrella", "anchor", "cat", "key"]
        page.locator("#clear").click()
        page.get_by_text("No picture yet.").wait_for()
        assert page.locator("#results").is_hidden() and json.dumps(session.state())
