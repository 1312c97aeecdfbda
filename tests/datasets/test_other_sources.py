"""Folders, tars, tables and drawn scenes: the same face, and what is said where something is wrong."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trees import HEIGHT, WIDTH, picture

from piaa.datasets import Dataset, detect, open_dataset
from piaa.errors import ImageError, InputError, LabelError
from piaa.inputs.items import iterate
from piaa.scenes import object_names, sample_scene


def names_of(dataset: Dataset, which: str = "test") -> list[set[str]]:
    return [{dataset.label_names[c] for c in dataset.truth.labels[i.id]} for i in getattr(dataset, which)]


def sizes_of_images(dataset: Dataset) -> set[tuple[int, int]]:
    return {item.load().size for item in [*iterate(dataset.unlabelled), *iterate(dataset.test)]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("anchor\nsnowman\n")
    (tmp_path / "truth.csv").write_text(
        'path,labels,sizes\nt/a.jpg,anchor;snowman,"{""snowman"": 0.25}"\nt/b.jpg,,\nt/c.jpg,anchor,\n'
    )
    for number, name in enumerate(("t/a", "t/b", "unlabelled/x/c", "unlabelled/d")):
        picture(tmp_path / f"{name}.jpg", number)
    return tmp_path


def test_folder_with_truth(folder: Path) -> None:
    dataset = open_dataset("folder", folder)
    assert dataset.label_names == ["anchor", "snowman"] and names_of(dataset) == [{"anchor", "snowman"}, set()]
    assert dataset.truth.sizes == {str(folder / "t/a.jpg"): {1: 0.25}}
    assert [Path(item.id).name for item in dataset.unlabelled] == ["d.jpg", "c.jpg"]
    assert dataset.missing == [str(folder / "t/c.jpg")] and sizes_of_images(dataset) == {(WIDTH, HEIGHT)}
    assert [found.info.name for found in detect(folder)] == ["folder"]
    other = open_dataset("folder", folder, unlabelled="t")
    assert len(other.unlabelled) == 2
    for name in ("truth.csv", "labels.txt"):
        (folder / name).rename(folder / f"my-{name}")
    again = open_dataset("folder", folder, truth="my-truth.csv", labels="my-labels.txt")
    assert again.truth == dataset.truth
    with pytest.raises(InputError, match=r"no label file; wanted labels\.txt or classes\.txt"):
        open_dataset("folder", folder)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        open_dataset("folder", folder, truth="my-truth.csv", labels="my-labels.txt", unlabelled="nowhere")


def test_folder_without_images_to_learn_from(folder: Path) -> None:
    (folder / "unlabelled").rename(folder / "elsewhere")
    dataset = open_dataset("folder", folder)
    assert dataset.unlabelled == dataset.test and "learnt from too" in dataset.notes[0]


def test_image_folder(tmp_path: Path) -> None:
    for name in ("train/cat/1", "train/dog/deep/2", "val/dog/3", "val/ape/4"):
        picture(tmp_path / f"{name}.jpg", int(name[-1]))
    dataset = open_dataset("imagefolder", tmp_path)
    assert dataset.label_names == ["ape", "cat", "dog"]
    assert names_of(dataset) == [{"ape"}, {"dog"}] and names_of(dataset, "unlabelled") == [{"cat"}, {"dog"}]
    assert [found.info.name for found in detect(tmp_path)] == ["image-folder"]
    flat = open_dataset("imagefolder", tmp_path / "val")
    assert flat.label_names == ["ape", "dog"] and flat.unlabelled == flat.test and flat.notes
    with pytest.raises(InputError, match="holdout: no such folder"):
        open_dataset("imagefolder", tmp_path, test="holdout")
    with pytest.raises(InputError, match="no folder in it; wanted one for each class"):
        open_dataset("imagefolder", tmp_path / "val" / "ape")


def shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    image = picture(tmp_path / "x.jpg").read_bytes()
    png = io.BytesIO()
    Image.new("RGB", (5, 7), (10, 200, 30)).save(png, "PNG")
    shard(tmp_path / "train-0.tar", {"a/1.jpg": image, "a/2.jpg": image, "a/2.txt": b"sun"})
    shard(tmp_path / "train-1.tar", {"a/1.jpg": image})
    shard(tmp_path / "test-0.tar", {
        "1.png": png.getvalue(), "1.json": b'{"labels": ["moon", "sun"]}', "2.txt": b"moon; star\n", "2.jpg": image,
        "3.jpg": image, "3.json": b"[]", "4.json": b'["moon"]', "5.seg.png": b"", "5.jpg": b"broken", "5.txt": b"sun",
    })  # fmt: skip
    (tmp_path / "x.jpg").unlink()
    return tmp_path


def test_web_dataset(shards: Path) -> None:
    dataset = open_dataset("webdataset", shards)
    assert dataset.label_names == ["moon", "star", "sun"]
    assert [item.id for item in dataset.test] == [
        f"{shards}/test-0.tar:{n}" for n in ("1.png", "2.jpg", "3.jpg", "5.jpg")
    ]
    assert names_of(dataset) == [{"moon", "sun"}, {"moon", "star"}, set(), {"sun"}]
    assert len(dataset.unlabelled) == 3 and len({item.id for item in dataset.unlabelled}) == 3
    assert np.asarray(dataset.test[0].load())[3, 2].tolist() == [10, 200, 30]
    assert dataset.test[1].load().size == (WIDTH, HEIGHT)
    with pytest.raises(ImageError, match=r"test-0\.tar:5\.jpg: .*not a JPEG"):
        dataset.test[3].load()
    assert all(dataset.truth.find(item.id) == item.id for item in dataset.test)
    assert [found.info.name for found in detect(shards)] == ["web-dataset"]


def test_web_dataset_with_indices(shards: Path) -> None:
    image = dict.fromkeys(["a.jpg"], (b"x"))
    shard(shards / "test-0.tar", {**image, "a.cls": b"2 0"})
    (shards / "train-0.tar").unlink()
    with pytest.raises(LabelError, match=r"labels are indices; give label_names"):
        open_dataset("webdataset", shards)
    names = ["p", "q", "r"]
    assert names_of(open_dataset("webdataset", shards, label_names=names)) == [{"p", "r"}]
    (shards / "classes.txt").write_text("p\nq\n")
    with pytest.raises(LabelError, match=r"test-0\.tar:a\.jpg: no class is called 2; there are 2 classes"):
        open_dataset("webdataset", shards)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.jpg": b"x"}, "a test image without labels; wanted a member .json, .txt, .cls"),
        ({"a.jpg": b"x", "a.json": b"{"}, r"a\.jpg \(\.json\): cannot be read as labels"),
        ({"a.jpg": b"x", "a.json": b'{"tags": []}'}, r'wanted {"labels": \[\.\.\.\]}'),
        ({"a.jpg": b"x", "a.cls": b"one"}, r"a\.jpg \(\.cls\): cannot be read as labels"),
    ],
)
def test_web_dataset_faults(shards: Path, members: dict[str, bytes], message: str) -> None:
    shard(shards / "test-0.tar", members)
    with pytest.raises(LabelError, match=message):
        open_dataset("webdataset", shards)


def test_shards_that_cannot_be_read(shards: Path) -> None:
    dataset = open_dataset("webdataset", shards)
    whole = (shards / "test-0.tar").read_bytes()
    (shards / "test-0.tar").write_bytes(whole[:700])
    with pytest.raises(ImageError, match="cannot be fetched: OSError: the tar is cut short"):
        dataset.test[1].load()
    with tarfile.open(shards / "test-0.tar", "w:gz") as archive:
        archive.add(shards / "train-1.tar", "a.jpg")
    with pytest.raises(InputError, match=r"test-0\.tar: not a readable tar .*must be decompressed first"):
        open_dataset("webdataset", shards)
    with pytest.raises(InputError, match=r"no shard matches none\*\.tar"):
        open_dataset("webdataset", shards, test="none*.tar")


def hugging_face_table(kind: str) -> tuple[Any, dict[str, Any]]:
    hf = pytest.importorskip("datasets")
    image = Image.new("RGB", (20, 10), (200, 30, 30))
    classes = hf.ClassLabel(names=["sun", "moon"])
    if kind == "one label":
        rows, label = {"label": [1, 0]}, classes
    elif kind == "labels":
        rows, label = {"label": [[1], [1, 0]]}, hf.Sequence(classes)
    elif kind == "names":
        return hf.Dataset.from_dict(
            {"image": [image, image], "label": [["moon"], ["sun", "moon"]]},
            hf.Features({"image": hf.Image(), "label": hf.Sequence(hf.Value("string"))}),
        ), {"label_names": ["sun", "moon"]}
    else:
        rows = {"objects": [{"bbox": [[0, 0, 5, 5], [1, 1, 10, 2]], "category": [1, 1]}, {"bbox": [], "category": []}]}
        label = {"bbox": hf.Sequence(hf.Sequence(hf.Value("float32"))), "category": hf.Sequence(classes)}
        rows |= {"width": [20, 20], "height": [10, 10]}
        features = {"image": hf.Image(), "objects": label, "width": hf.Value("int32"), "height": hf.Value("int32")}
        return hf.Dataset.from_dict({"image": [image, image], **rows}, hf.Features(features)), {}
    features = hf.Features({"image": hf.Image(), "label": label})
    return hf.Dataset.from_dict({"image": [image, image], **rows}, features), {}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("one label", [{"moon"}, {"sun"}]),
        ("labels", [{"moon"}, {"sun", "moon"}]),
        ("names", [{"moon"}, {"sun", "moon"}]),
        ("objects", [{"moon"}, set()]),
    ],
)
def test_hugging_face(kind: str, expected: list[set[str]]) -> None:
    table, options = hugging_face_table(kind)
    dataset = open_dataset("hugging-face", {"train": table, "test": table}, **options)
    assert dataset.label_names == ["sun", "moon"] and names_of(dataset) == expected
    assert [item.id for item in dataset.test] == ["test/0", "test/1"] and sizes_of_images(dataset) == {(20, 10)}
    assert all(dataset.truth.find(item.id) == item.id for item in dataset.test)
    if kind == "objects":
        assert dataset.truth.areas["test/0"] == {1: [25.0, 20.0]} and dataset.truth.sizes["test/0"] == {1: 0.5}


def test_hugging_face_on_disk_and_faults(tmp_path: Path) -> None:
    hf = pytest.importorskip("datasets")
    table, _ = hugging_face_table("labels")
    both = hf.DatasetDict({"unlabelled": table.select_columns(["image"]), "validation": table})
    both.save_to_disk(str(tmp_path / "saved"))
    dataset = open_dataset("hugging-face", tmp_path / "saved")
    assert names_of(dataset) == [{"moon"}, {"sun", "moon"}] and set(dataset.truth.labels) == {
        "validation/0",
        "validation/1",
    }
    assert [found.info.name for found in detect(tmp_path / "saved")] == ["hugging-face"]
    for options, message in [
        ({"test": "exam"}, "no split exam; there are unlabelled, validation"),
        ({"labels": "tags"}, r"no column of labels; name one of image, label \(labels=\.\.\.\)"),
    ]:
        with pytest.raises(InputError, match=message):
            open_dataset("hugging-face", both, **options)
    with pytest.raises(InputError, match="a Dataset has no splits"):
        open_dataset("hugging-face", table)
    with pytest.raises(InputError, match="split 'train' is a stream"):
        open_dataset("hugging-face", {"train": table.to_iterable_dataset(), "validation": table})
    with pytest.raises(InputError, match="not a saved DatasetDict"):
        open_dataset("hugging-face", tmp_path)
    with pytest.raises(LabelError, match="train/0: no class is called 1; there are 1 classes"):
        open_dataset("hugging-face", {"train": table, "validation": table.select([1, 1])}, label_names=["sun"])


class Sample(SimpleNamespace):
    """A stand-in for `fiftyone.Sample`: attributes, and fields by name. The library is not installed here."""

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]


def sample(path: Path, tag: str, truth: Any, metadata: Any = None) -> Sample:
    return Sample(filepath=str(picture(path)), tags=[tag, "other"], metadata=metadata, ground_truth=truth)


class Samples(list):  # type: ignore[type-arg]
    """A stand-in for `fiftyone.Dataset`: iterable, with declared classes."""

    def __init__(self, samples: list[Sample]) -> None:
        super().__init__(samples)
        self.classes: dict[str, list[str]] = {}
        self.default_classes: list[str] = []


def test_fifty_one(tmp_path: Path) -> None:
    label = SimpleNamespace
    boxes = [label(label="sun", bounding_box=[0.1, 0.2, 0.5, 0.25]), label(label="sun", bounding_box=[0, 0, 0.1, 0.75])]
    samples = Samples([
        sample(tmp_path / "a.jpg", "train", None),
        sample(tmp_path / "b.jpg", "validation", label(detections=boxes), label(width=64, height=48)),
        sample(tmp_path / "c.jpg", "validation", label(classifications=[label(label="moon"), label(label="sun")])),
        sample(tmp_path / "d.jpg", "validation", label(label="moon")),
        sample(tmp_path / "e.jpg", "validation", label(detections=boxes)),
    ])  # fmt: skip
    dataset = open_dataset("fiftyone", samples)
    assert dataset.label_names == ["moon", "sun"] and names_of(dataset) == [{"sun"}, {"moon", "sun"}, {"moon"}, {"sun"}]
    first, last = dataset.test[0].id, dataset.test[3].id
    assert dataset.truth.areas == {first: {1: [pytest.approx(32 * 12), pytest.approx(6.4 * 36)]}}
    assert dataset.truth.sizes == {first: {1: 0.75}, last: {1: 0.75}}
    assert len(dataset.unlabelled) == 1 and dataset.unlabelled[0].id not in dataset.truth.labels
    samples.default_classes = ["sun", "moon", "star"]
    assert open_dataset("fiftyone", samples).label_names == ["sun", "moon", "star"]
    with pytest.raises(LabelError, match=r"c\.jpg: no class is called 'moon'; there are 1 classes"):
        open_dataset("fiftyone", samples, label_names=["sun"])
    with pytest.raises(InputError, match="no sample is tagged exam; tags are other, train, validation"):
        open_dataset("fiftyone", samples, test="exam")
    samples[1].ground_truth = label(polylines=[])
    with pytest.raises(LabelError, match="ground_truth is a SimpleNamespace"):
        open_dataset("fiftyone", samples)


def test_scenes_are_drawn_once_and_know_their_truth(tmp_path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    options: dict[str, Any] = {"seed": 5, "unlabelled": 4, "test": 3}
    dataset = open_dataset(
        "scenes", tmp_path / "new", **options, progress=lambda done, total: steps.append((done, total))
    )
    assert steps[-1] == (7, 7) and len(dataset.unlabelled) == 4 and dataset.label_names == object_names()
    for split, items in (("unlabelled", dataset.unlabelled), ("test", dataset.test)):
        for number, item in enumerate(items):
            scene = sample_scene(5, split, number)
            assert dataset.truth.labels[item.id] == set(scene.labels)
            assert dataset.truth.sizes[item.id] == pytest.approx(scene.sizes, abs=1e-4)
    image = Path(dataset.test[0].id)
    stamp = image.stat().st_mtime_ns
    assert open_dataset("scenes", tmp_path / "new", **options) == dataset and image.stat().st_mtime_ns == stamp
    (tmp_path / "new" / "scenes-5-4-3" / "scenes.json").write_text(json.dumps({"seed": 6}))
    image.write_bytes(b"")  # as if killed while drawing
    assert open_dataset("scenes", tmp_path / "new", **options) == dataset and image.stat().st_size > 0
    assert [found.info.name for found in detect(tmp_path / "new")] == ["scenes"]
    with pytest.raises(InputError, match="at least one image of each split, not 0 and 3"):
        open_dataset("scenes", tmp_path, unlabelled=0, test=3)


def test_fit_and_evaluate_take_a_dataset_as_it_is(tmp_path: Path, shards: Path) -> None:
    from piaa import Recognizer
    from piaa.evaluation.evaluate import evaluate

    dataset = open_dataset("scenes", tmp_path, seed=9, unlabelled=8, test=6)
    recognizer = Recognizer(dataset.label_names).fit(dataset.unlabelled)
    result = evaluate(recognizer.scorer(), dataset.test, dataset.truth)
    assert result.ids == [item.id for item in dataset.test] and not result.unmatched and not result.failed
    assert result.labels.tolist() == dataset.truth.targets(result.ids).tolist()
    tar = open_dataset("webdataset", shards)  # "moon", "star" and "sun" are names of scenes as well: fit on the tar
    recognizer = Recognizer(tar.label_names).fit(tar.unlabelled)
    result = evaluate(recognizer.scorer(), tar.test, tar.truth)
    assert result.ids == [item.id for item in tar.test[:3]] and not result.unmatched
    assert [name for name, _ in result.failed] == [tar.test[3].id]
