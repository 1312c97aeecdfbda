"""`Recognizer` in scikit-learn's manners: parameters, clones, pickles, processes, threads, and results for people.

Of scikit-learn's own checks those are run that need no table of numbers (`CHECKS`). The others fit on rows of features
with labels, which images without labels are not. What they ask for is tested here on images: fitting twice gives the
same, order and choice of images do not matter, the input is not changed, pickles answer alike. `n_features_in_` has
no meaning for images, so it does not exist.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from piaa.errors import ClassifierError, InputError, LabelError, ModelError, PiaaError
from piaa.method.recipes import get_recipe
from piaa.recognizer import Recognizer
from piaa.scenes import render, sample_scene
from piaa.vision.models.sources import EMBEDDED_DIR

NAMES = ["anchor", "umbrella", "snowman", "cat"]
CHECKS = (
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_set_params",
    "check_valid_tag_types",
)


def scenes(count: int, split: str = "test") -> list[Image.Image]:
    return [render(sample_scene(5, split, number), (96, 96)) for number in range(count)]


@pytest.fixture(scope="module")
def fitted() -> Recognizer:
    return Recognizer(NAMES, threshold_rule="mixture").fit(scenes(24, "unlabelled"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number, picture in enumerate(scenes(9)):
        picture.save(folder / f"{number}.png")
    (folder / "4.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("name", CHECKS)
def test_checks_of_scikit_learn(name: str) -> None:
    getattr(estimator_checks, name)("Recognizer", Recognizer(NAMES))


def test_parameters_come_back_as_they_were_given() -> None:
    recognizer = Recognizer(NAMES, recipe=get_recipe("softmax-fusion"), batch_size=3)
    assert recognizer.get_params()["labels"] is NAMES
    assert recognizer.set_params(front_end="clip", workers=1).get_params()["front_end"] == "clip"
    copy = clone(recognizer)
    assert copy.get_params() == recognizer.get_params() and copy.labels is not NAMES
    assert repr(Recognizer(["cat"], batch_size=3)) == "Recognizer(batch_size=3, labels=['cat'])"


@pytest.mark.parametrize("call", ["predict", "predict_proba", "decision_function", "tag", "explain"])
def test_nothing_is_answered_before_a_fit(call: str) -> None:
    recognizer = Recognizer(NAMES)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(recognizer, call)(scenes(1)[0])
    with pytest.raises(PiaaError, match="not fitted yet"):
        recognizer.save("x")
    with pytest.raises(NotFittedError):
        check_is_fitted(recognizer)
    assert not hasattr(recognizer, "classes_") and not hasattr(recognizer, "n_features_in_")


def test_a_fit_says_what_it_learnt(fitted: Recognizer) -> None:
    check_is_fitted(fitted)
    assert fitted.classes_.tolist() == NAMES
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(fitted))


def test_fitting_twice_and_in_another_folder_gives_the_same_bytes(
    fitted: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.save(tmp_path / "a.piaa")
    monkeypatch.chdir(tmp_path)
    unlabelled = scenes(24, "unlabelled")
    before = [picture.tobytes() for picture in unlabelled]
    clone(fitted).set_params(workers=1).fit(unlabelled).save("b.piaa")
    assert (tmp_path / "a.piaa").read_bytes() == (tmp_path / "b.piaa").read_bytes()
    assert [picture.tobytes() for picture in unlabelled] == before


def test_neither_order_nor_choice_of_images_matters(fitted: Recognizer) -> None:
    pictures = scenes(7)
    whole = fitted.predict_proba(pictures)
    order = np.random.default_rng(0).permutation(7)
    np.testing.assert_allclose(fitted.predict_proba([pictures[i] for i in order]), whole[order], atol=1e-6)
    single = np.concatenate([fitted.predict_proba([picture]) for picture in pictures])
    np.testing.assert_allclose(single, whole, atol=1e-6)


def test_predictions_agree_with_each_other(fitted: Recognizer, photos: Path) -> None:
    with pytest.warns(UserWarning, match="1 images could not be scored"):
        labels, tags = fitted.predict(photos), fitted.tag(photos)
        calibrated = fitted.predict_proba(photos)
    assert len(tags) == len(labels) == 9
    assert [set(one.labels) for one in tags] == labels
    np.testing.assert_array_equal(tags.scores, calibrated)
    for row, one in enumerate(tags):
        assert one.path == str(photos / f"{row}.png")
        if row == 4:
            assert one.error and one.labels == () and one.scores == {} and np.isnan(calibrated[row]).all()
            continue
        assert one.error is None
        assert list(one.scores.values()) == sorted(one.scores.values(), reverse=True)
        assert one.labels == tuple(name for name, score in one.scores.items() if score >= 0.5)
        assert {name: calibrated[row, NAMES.index(name)] for name in NAMES} == one.scores
    assert any(one.labels for one in tags)
    assert fitted.errors_ == [(str(photos / "4.png"), tags[4].error)]


def test_tags_as_records_and_as_a_table(fitted: Recognizer, photos: Path) -> None:
    with pytest.warns(UserWarning):
        tags = fitted.tag(photos)
    records, table = tags.to_dict(), tags.to_pandas()
    assert list(table.columns) == ["path", "labels", "scores", "error", "foreign"] and len(table) == 9
    for record, row in zip(records, table.itertuples(), strict=True):
        assert record["path"] == row.path
        assert [entry["label"] for entry in record["labels"]] == row.labels
        assert [entry["score"] for entry in record["labels"]] == row.scores
    assert records[4]["error"] == table.error[4]
    assert [one.path for one in tags[2:4]] == table.path[2:4].tolist() and tags[-1].path == table.path[8]


def test_two_threads_on_two_folders_each_get_their_own_rows(fitted: Recognizer, photos: Path, tmp_path: Path) -> None:
    for number, picture in enumerate(scenes(20, "validation")):
        picture.save(tmp_path / f"{number:02d}.png")
    recognizer = clone(fitted).set_params(batch_size=2)
    recognizer.fit(scenes(24, "unlabelled"))
    with pytest.warns(UserWarning):
        alone = [recognizer.decision_function(photos), recognizer.decision_function(tmp_path)]
        for _ in range(3):
            with ThreadPoolExecutor(4) as pool:
                folders = [photos, tmp_path, photos, tmp_path]
                results = list(pool.map(recognizer.decision_function, folders))
            for result, expected in zip(results, alone * 2, strict=True):
                np.testing.assert_allclose(result, expected, atol=1e-6)


def test_pickles_and_other_processes_answer_alike(fitted: Recognizer) -> None:
    pictures, expected = scenes(2), fitted.predict_proba(scenes(2))
    written = pickle.dumps(fitted)
    assert len(written) < 200_000  # the model does not travel
    np.testing.assert_array_equal(pickle.loads(written).predict_proba(pictures), expected)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        np.testing.assert_allclose(pool.submit(fitted.predict_proba, pictures).result(60), expected, atol=1e-6)
    (parallel,) = joblib.Parallel(n_jobs=2)([joblib.delayed(fitted.predict_proba)(pictures)])
    np.testing.assert_allclose(parallel, expected, atol=1e-6)


@pytest.mark.parametrize("labels", ["cat", {"cat": "tomcat"}, {"cat", "dog"}, [], [3]])
def test_labels_that_are_no_list_are_refused_in_words(labels: object) -> None:
    with pytest.raises(LabelError, match="class name") as caught:
        Recognizer(labels).fit(scenes(1))  # type: ignore[arg-type]
    if isinstance(labels, str):
        assert "write ['cat']" in str(caught.value)


def test_images_in_a_mapping_are_refused_in_words(fitted: Recognizer) -> None:
    with pytest.raises(InputError, match=r"list\(images.values\(\)\)"):
        fitted.predict({"a": scenes(1)[0]})


def test_explain_takes_one_image(fitted: Recognizer, photos: Path) -> None:
    with pytest.raises(InputError, match="one image"):
        fitted.explain(photos)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a model directory `mymodel` in it, which is the current one."""
    shutil.copytree(EMBEDDED_DIR, tmp_path / "here" / "mymodel")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("name", ["local-dir:mymodel", "mymodel"])
def test_a_classifier_of_a_model_directory_works_from_any_folder(elsewhere: Path, name: str) -> None:
    recognizer = Recognizer(NAMES, model=name).fit(scenes(12))
    recognizer.save("c.piaa")
    expected = recognizer.predict_proba(scenes(2))
    copy = pickle.dumps(recognizer)
    os.chdir(elsewhere / "there")
    np.testing.assert_array_equal(Recognizer.load("../here/c.piaa").predict_proba(scenes(2)), expected)
    np.testing.assert_array_equal(pickle.loads(copy).predict_proba(scenes(2)), expected)


def test_weights_that_moved_can_be_named_anew(elsewhere: Path) -> None:
    Recognizer(NAMES, model="local-dir:mymodel").fit(scenes(12)).save("c.piaa")
    (elsewhere / "here" / "mymodel").rename(elsewhere / "moved")
    with pytest.raises(ModelError, match=r"(?s)no such directory.*--model"):
        Recognizer.load("c.piaa")
    assert len(Recognizer.load("c.piaa", model=f"local-dir:{elsewhere / 'moved'}").tag(scenes(2))) == 2
    with pytest.raises(ClassifierError, match=r"other model weights|embeddings of width"):
        Recognizer.load("c.piaa", model="ViT-B-32", pretrained="random")
