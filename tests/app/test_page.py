"""The page in a browser: pictures in, tags, thresholds, heat maps, corrections, questions, labels out."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the page needs pip install 'piaa[app]'")
from app_server import running

from browser import chromium_page
from piaa.app.work import Result
from piaa.evaluation.truth import read_truth
from piaa.inputs.items import Item
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder

NAMES = object_names()
ODD = '<img src=x onerror=alert(1)> & "quotes".jpg'
PICTURES = 70


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root") / "my photos"
    write_scene_folder(folder, 23, "unlabelled", PICTURES)
    (folder / "unlabelled-00000.jpg").rename(folder / ODD)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def shown(page: Any, count: int) -> None:
    """The gallery has come to hold so many pictures."""
    page.locator("#shown", has_text=re.compile(rf"^{count} picture")).wait_for()


def fits(page: Any) -> bool:
    """Whether nothing sticks out at the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def give_pictures_and_words(page: Any, photos: Path) -> None:
    page.locator("#files").set_input_files([str(path) for path in sorted(photos.iterdir())])
    page.get_by_text(f"{PICTURES + 1} pictures.").wait_for()
    page.locator("#words").fill("\n".join(NAMES))
    page.locator("#run").click()
    page.locator("#results").wait_for(timeout=60_000)
    assert page.locator("#summary").inner_text() == f"{PICTURES} pictures, {len(NAMES)} labels."
    assert page.locator("#failed summary").inner_text() == "1 picture could not be read"
    page.locator("#failed summary").click()
    assert page.locator("#failed li").inner_text().startswith("broken.jpg: ")
    assert page.locator(".tile").count() == 60 and page.locator("#page").inner_text() == "page 1 of 2"
    page.locator("#next").click()
    page.get_by_text("page 2 of 2").wait_for()
    assert page.locator(".tile").count() == 10


def move_a_threshold(page: Any, session: Any, index: int) -> None:
    before = session.view().counts()[index]
    page.locator("#class").select_option(str(index))
    shown(page, before)
    page.locator("#threshold").focus()
    page.keyboard.press("Home")  # by the keyboard: the lowest threshold
    lowest = int((session.result.scores[:, index] >= 0.01).sum())
    page.locator("#class option:checked", has_text=f"({lowest})").wait_for(state="attached")
    assert session.thresholds[index] == 0.01 and session.view().counts()[index] > before
    shown(page, session.view().counts()[index])
    page.locator("#threshold-reset").click()
    shown(page, before)
    assert session.thresholds[index] == 0.5


def look_and_correct(page: Any, session: Any, index: int) -> int:
    """Heat map of one picture, and a label taken from it; the number of the picture."""
    page.locator(".tile button").first.focus()
    page.keyboard.press("Enter")
    page.locator("#dialog .where").first.wait_for()
    with page.expect_response(lambda answer: "/heat/" in answer.url) as answered:
        page.locator("#dialog .where").first.click()
    assert answered.value.ok and answered.value.headers["content-type"] == "image/webp"
    image = int(answered.value.url.split("/")[-2])
    tick = page.locator(f'#dialog-labels input[data-class="{index}"]')
    assert tick.is_checked()
    tick.focus()
    page.keyboard.press("Space")
    page.locator("#dialog-labels button.quiet").wait_for()
    with page.expect_response("**/api/check"):
        page.locator("#dialog-checked").check()
    page.keyboard.press("Escape")
    path = session.result.paths[image]
    assert session.corrections == {(path, NAMES[index]): False} and not session.view().given[image, index]
    shown(page, session.view().counts()[index])
    return image


def answer_questions(page: Any, session: Any) -> None:
    page.locator("#class").select_option("")
    page.locator("#ask").click()
    page.locator("#question").wait_for()
    count = len(session.inquiry.questions)
    for number in range(1, count + 1):
        page.get_by_text(f"Question {number} of {count}").wait_for()
        question = session.inquiry.questions[number - 1]
        assert page.locator("#question-text").inner_text() == f"Is this in the picture: {question.label}?"
        page.keyboard.press("s" if number == 2 else "y" if question.score > 0.2 else "n")
    page.get_by_text(f"From {count - 1} answers.").wait_for()
    found = session.inquiry.estimate()
    for name in ("precision", "recall", "f1"):
        value, low, high = (round(100 * each) for each in found[name])
        assert page.locator(f"#{name}").inner_text() == f"{low} to {high}\u00a0% best\u00a0guess\u00a0{value}\u00a0%"
    assert len(session.corrections) >= count - 2  # each answer is a correction


def take_away(page: Any, name: str, out: Path) -> Path:
    with page.expect_download() as taken:
        page.locator(f'[data-format="{name}"]').click()
    taken.value.save_as(out)
    return out


def test_from_pictures_to_corrected_labels(photos: Path, tmp_path: Path) -> None:
    with running(tmp_path, photos.parent) as (session, address), chromium_page() as page:
        page.goto(address)
        assert "key" not in page.url  # it is in a cookie now
        give_pictures_and_words(page, photos)
        counts = session.view().counts()
        index = max(range(len(NAMES)), key=counts.__getitem__)
        move_a_threshold(page, session, index)
        image = look_and_correct(page, session, index)
        page.locator("#which").select_option("all")
        page.locator("#sort").select_option("name")
        page.locator(".file", has_text="onerror=alert(1)").wait_for()  # a name that looks like HTML is text
        answer_questions(page, session)
        view = session.view()
        paths = view.result.paths
        truth = read_truth(take_away(page, "truth", tmp_path / "truth.jsonl"), NAMES)
        assert truth.labels == {paths[image]: set(view.given[image].nonzero()[0])}  # answers alone make no truth
        assert index not in truth.labels[paths[image]]
        with open(take_away(page, "csv", tmp_path / "out.csv"), encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [int(row[NAMES[index]]) for row in rows] == view.given[:, index].astype(int).tolist()


def test_thresholds_move_where_the_answers_say(photos: Path, tmp_path: Path) -> None:
    with running(tmp_path, photos.parent) as (session, address), chromium_page() as page:
        many(session, 300)
        page.goto(address)
        page.locator("#ask-count").select_option("50")
        page.locator("#ask").click()
        page.locator("#question").wait_for()
        questions = session.inquiry.questions
        for number, question in enumerate(questions, start=1):
            page.get_by_text(f"Question {number} of {len(questions)}").wait_for()
            page.keyboard.press("y" if question.score > 0.8 else "n")
        page.locator("#move").click()
        page.get_by_text("The thresholds are moved.").wait_for()
        assert len(set(session.thresholds)) == 1 and 0.6 < session.thresholds[0] < 0.95


def test_a_phone_a_folder_and_the_drawn_scenes(photos: Path, tmp_path: Path) -> None:
    with running(tmp_path, photos.parent) as (session, address), chromium_page(360, 740) as page:
        page.goto(address)
        page.locator("#run").click()
        page.locator(".message", has_text="no picture yet").first.wait_for()
        page.locator("#choose-folder").click()
        page.get_by_text("1 folder and 0 pictures lie here.").wait_for()
        page.keyboard.press("Enter")  # the first folder has the focus
        page.get_by_text(f"0 folders and {PICTURES + 1} pictures lie here.").wait_for()
        assert fits(page)
        page.locator("#folder-take").click()
        page.get_by_text(f"{PICTURES + 1} pictures.").wait_for()
        page.locator("#examples").click()
        page.get_by_text("120 pictures.").wait_for()
        assert page.locator("#words").input_value().splitlines() == NAMES
        page.locator("#words").fill("umbrella\nanchor: ship anchor\ncat\nkey")
        page.locator("#run").click()
        page.locator("#results").wait_for(timeout=60_000)
        assert fits(page) and page.locator("#sidecars").is_hidden()
        page.locator(".tile button").first.click()
        page.locator("#dialog .where").first.wait_for()
        assert fits(page)
        page.keyboard.press("ArrowRight")
        page.locator("#dialog-previous:enabled").wait_for()
        page.keyboard.press("Escape")
        assert session.result.classes == ["umbrella", "anchor", "cat", "key"]
        page.locator("#clear").click()
        page.get_by_text("No picture yet.").wait_for()
        assert page.locator("#results").is_hidden()


def many(session: Any, count: int, classes: int = 20) -> None:
    """Give a session `count` tagged pictures without a model."""
    rng = np.random.default_rng(0)
    path = session.folder / "small.jpg"
    Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    items = [Item(f"{number:05}.jpg", path) for number in range(count)]
    names = [f"<b>label</b> {c}" for c in range(classes)]
    scores = 1 / (1 + np.exp(-rng.normal(-1, 2.5, (count, classes))))
    session.items, session.recognizer = items, _Learnt(classes)
    session._done(session.recognizer, Result(items, [item.id for item in items], names, scores, []))


class _Learnt:
    def __init__(self, classes: int) -> None:
        from piaa.method.thresholds import Thresholds

        self.thresholds_ = Thresholds(np.full(classes, 0.5), np.ones(classes), "given")


def test_thousands_of_pictures_come_a_page_at_a_time_and_thumbnails_when_seen(photos: Path, tmp_path: Path) -> None:
    with running(tmp_path, photos.parent) as (session, address), chromium_page() as page:
        many(session, 3000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/thumbnail/" in request.url else None)
        page.goto(address)
        shown(page, "3,000")  # type: ignore[arg-type]
        assert page.locator(".tile").count() == 60 and page.locator("#page").inner_text() == "page 1 of 50"
        page.wait_for_load_state("networkidle")
        assert 0 < len(asked) < 60  # those far below are not asked for
        page.locator("#class").select_option("3")
        page.locator("#threshold").focus()
        for _ in range(30):  # as fast as the keys come
            page.keyboard.press("ArrowRight")
        expected = int((session.result.scores[:, 3] >= 0.8).sum())
        shown(page, expected)
        assert session.thresholds[3] == pytest.approx(0.8) and page.locator("b", has_text="label").count() == 0
        page.locator("#next").click()
        page.get_by_text("page 2 of").wait_for()
        assert len(asked) == len(set(asked)) < 300
