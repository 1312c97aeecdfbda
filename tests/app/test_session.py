"""Corrections and checked pictures: what a person said holds, whatever is moved or tagged anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from piaa.app.leaving import table_of
from piaa.app.places import Root
from piaa.app.session import Session
from piaa.app.work import Result, Settings
from piaa.errors import InputError


def tagged(session: Session, names: list[str], run: int, images: int = 12) -> None:
    scores = np.random.default_rng(run).random((images, len(names)))
    session._done(None, Result([], [f"{i}.jpg" for i in range(images)], names, scores, [], run=run))  # type: ignore[arg-type]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = Session(Settings(), tmp_path, Root.at(tmp_path))
    tagged(session, ["a", "b", "c"], 1)
    return session


def labels(session: Session, image: int) -> set[str]:
    return set(table_of(session.view()).rows[image].labels)


def test_a_checked_picture_keeps_its_labels_when_thresholds_move(session: Session) -> None:
    before = labels(session, 2)
    session.check(1, 2, True)
    for c in range(3):
        session.set_threshold(1, c, 0.999)
    assert labels(session, 2) == before and not labels(session, 3)
    assert session.view().page(None, "doubt", 0)["images"][-1]["image"] == 2
    session.check(1, 2, False)
    assert not labels(session, 2)


def test_another_label_makes_a_checked_picture_unchecked_and_the_same_does_not(session: Session) -> None:
    session.check(1, 2, True)
    given = bool(session.view().given[2, 1])
    session.correct(1, 2, 1, given)
    assert list(session.view().checked) == [2]
    session.correct(1, 2, 1, not given)
    assert not session.view().checked and ("b" in labels(session, 2)) is not given


def test_another_run_keeps_what_was_said_but_not_what_nobody_looked_for(session: Session) -> None:
    session.correct(1, 4, 1, True)
    session.check(1, 2, True)
    kept = labels(session, 2)
    tagged(session, ["c", "b"], 2)
    view = session.view()
    assert view.said == {(4, 1): True} and labels(session, 2) == kept - {"a"} and list(view.checked) == [2]
    tagged(session, ["c", "b", "new"], 3)
    assert session.view().said == {(4, 1): True} and not session.view().checked


def test_other_pictures_begin_without_corrections(session: Session) -> None:
    session.correct(1, 4, 1, True)
    session.check(1, 2, True)
    assert session.state()["corrections"] == 2
    session.clear()
    assert session.state()["corrections"] == 0
    with pytest.raises(InputError, match="nothing is tagged"):
        session.view()


@pytest.mark.parametrize("call", [("correct", 99, 0, True), ("correct", 0, 9, True), ("check", 99, True)], ids=str)
def test_what_does_not_exist_is_refused(session: Session, call: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match="there is no"):
        getattr(session, call[0])(1, *call[1:])
    with pytest.raises(InputError, match="load this page anew"):
        getattr(session, call[0])(7, *call[1:])
