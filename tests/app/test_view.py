"""The gallery: pages, orders and choices agree with scores, thresholds and corrections."""

from __future__ import annotations

import numpy as np
import pytest

from piaa.app.view import PAGE, View
from piaa.app.work import Result
from piaa.errors import InputError


def view_of(images: int = 150, said: dict[tuple[int, int], bool] | None = None) -> View:
    scores = np.random.default_rng(4).random((images, 5))
    paths = [f"p/{(7 * i) % images:04}.jpg" for i in range(images)]
    result = Result([], paths, list("abcde"), scores, [], run=3)
    return View(result, np.array([0.5, 0.2, 0.9, 0.5, 0.5]), said or {})


def all_of(view: View, *arguments: object) -> list[int]:
    """Numbers of the images of all pages."""
    first = view.page(*arguments[:2], 0, *arguments[2:])  # type: ignore[arg-type]
    pages = [view.page(*arguments[:2], n, *arguments[2:]) for n in range(first["pages"])]  # type: ignore[arg-type]
    assert all(len(page["images"]) == PAGE for page in pages[:-1]) and {page["run"] for page in pages} == {3}
    found = [one["image"] for page in pages for one in page["images"]]
    assert len(found) == first["total"]
    return found


def test_pages_hold_every_image_once_in_the_order_asked_for() -> None:
    view = view_of()
    assert sorted(all_of(view, None, "doubt")) == list(range(150))
    by_name = all_of(view, None, "name")
    assert [view.result.paths[i] for i in by_name] == sorted(view.result.paths)
    surest = view.result.scores[all_of(view, 2, "score"), 2]
    assert (np.diff(surest) <= 0).all()
    distance = np.abs(view.result.scores[all_of(view, 1, "doubt"), 1] - 0.2)
    assert (np.diff(distance) >= 0).all()


def test_choices_follow_thresholds_and_corrections() -> None:
    view = view_of()
    given = set(all_of(view, 1, "name", "given"))
    assert given == set(np.flatnonzero(view.result.scores[:, 1] >= 0.2).tolist())
    assert set(all_of(view, 1, "name", "missing")) == set(range(150)) - given
    taken, put = min(given), min(set(range(150)) - given)
    changed = view_of(said={(taken, 1): False, (put, 1): True, (9, 0): True})
    assert set(all_of(changed, 1, "name", "given")) == given - {taken} | {put}
    assert set(all_of(changed, None, "name", "corrected")) == {taken, put, 9}
    assert set(all_of(changed, 1, "doubt")[-2:]) == {taken, put}  # a person has said it: no doubt is left
    assert changed.counts()[1] == len(given)
    label = next(each for each in changed.image(put)["labels"] if each["class"] == 1)
    assert (label["given"], label["corrected"]) == (True, True)


@pytest.mark.parametrize(
    "arguments", [(None, "size", 0), (5, "name", 0), (-1, "name", 0), (None, "name", 0, "some")], ids=str
)
def test_what_does_not_exist_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(InputError):
        view_of().page(*arguments)  # type: ignore[arg-type]


def test_a_page_beyond_the_last_is_the_last() -> None:
    assert view_of().page(None, "name", 99)["page"] == 2 and view_of().page(None, "name", -4)["page"] == 0


def test_each_picture_of_a_chosen_label_says_its_score() -> None:
    rng = np.random.default_rng(1)
    result = Result([], [f"{i}.jpg" for i in range(40)], [f"c{c}" for c in range(30)], rng.random((40, 30)), [])
    page = View(result, np.full(30, 0.999), {}).page(17, "doubt", 0)
    for one in page["images"]:
        scores = {label["class"]: label["score"] for label in one["labels"]}
        assert scores[17] == pytest.approx(result.scores[one["image"], 17], abs=1e-4) and len(scores) <= 7
