"""Each format is opened by the library that people open it with."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from exchange_world import CLASSES, ROWS, ask, make_images, make_table, reader
from PIL import Image
from torchvision.datasets import ImageFolder

from piaa.errors import InputError
from piaa.evaluation.truth import read_truth
from piaa.exchange import EXPORTS, Options, export_tags, read_corrections, relative_to, write_corrections

ONE_LINE = [name.replace("\n", " ") for name in CLASSES]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    make_images(tmp_path / "photos")
    return tmp_path / "photos"


def test_coco_is_read_by_pycocotools(tmp_path: Path, images: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    assert export_tags(make_table(), "coco", Options(tmp_path / "c.json", images)).failed == []
    content = coco.COCO(str(tmp_path / "c.json"))
    names = {each["id"]: each["name"] for each in content.loadCats(content.getCatIds())}
    assert list(names.values()) == CLASSES
    for number, (path, labels) in enumerate(ROWS):
        image = content.loadImgs([number + 1])[0]
        assert (image["file_name"], image["width"], image["height"]) == (path, 24, 18 + number)
        found = content.loadAnns(content.getAnnIds(imgIds=[number + 1]))
        assert {names[each["category_id"]]: each["score"] for each in found} == labels
        assert all(each["bbox"] == [0, 0, 24, 18 + number] for each in found)


def test_parquet_is_read_by_hugging_face_datasets(tmp_path: Path, images: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    export_tags(make_table(), "huggingface", Options(tmp_path / "t.parquet", images))
    data = datasets.Dataset.from_parquet(str(tmp_path / "t.parquet"), cache_dir=str(tmp_path / "cache"))
    classes = data.features["labels"].feature
    assert classes.names == CLASSES
    for number, (path, labels) in enumerate(ROWS):
        row = data[number]
        assert row["path"] == path and row["image"].size == (24, 18 + number)
        assert dict(zip(classes.int2str(row["labels"]), row["scores"], strict=True)) == labels


def test_folders_are_read_by_torchvision(tmp_path: Path, images: Path) -> None:
    result = export_tags(make_table(), "yolo-cls", Options(tmp_path / "y", images))
    assert (result.written, result.failed) == (3, []) and len(result.notes) == 2
    data = ImageFolder(tmp_path / "y", allow_empty=True)
    assert data.classes == sorted(["umbrella", "say _hi_ & _b_", "=1+1", "fish_trout", "two lines", "ünï 傘"])
    found = {Path(path).resolve(): data.classes[label] for path, label in data.samples}
    assert found == {
        (images / ROWS[0][0]).resolve(): "umbrella",
        (images / ROWS[1][0]).resolve(): "say _hi_ & _b_",
        (images / ROWS[2][0]).resolve(): "=1+1",
    }
    with pytest.raises(InputError, match="something already"):
        export_tags(make_table(), "yolo-cls", Options(tmp_path / "y", images))


def test_csv_is_harmless_in_a_spreadsheet_and_comes_back_as_truth(tmp_path: Path, images: Path) -> None:
    export_tags(make_table(), "csv", Options(tmp_path / "t.csv", images))
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))] and "'=cmd.jpg" in cells
    check_truth(tmp_path, images, "csv", tmp_path / "t.csv", CLASSES)


def check_truth(tmp_path: Path, images: Path, source: str, file: Path, classes: list[str]) -> None:
    """Corrections come back as truth that `piaa eval` reads: the same labels, at images that are there."""
    rows = relative_to(read_corrections(file, source), images, tmp_path / "truth.jsonl")
    write_corrections(rows, tmp_path / "truth.jsonl")
    truth = read_truth(tmp_path / "truth.jsonl", classes)
    assert truth.missing == []
    for path, labels in ROWS:
        key = truth.find(images / path)
        assert key is not None and {classes[c] for c in truth.labels[key]} == {
            name if name in classes else name.replace("\n", " ") for name in labels
        }


def test_cvat_comes_back_as_truth(tmp_path: Path, images: Path) -> None:
    assert export_tags(make_table(), "cvat", Options(tmp_path / "c.xml", images)).written == 4
    check_truth(tmp_path, images, "cvat", tmp_path / "c.xml", ONE_LINE)


def test_cvat_is_read_by_datumaro(tmp_path: Path, images: Path) -> None:
    python = reader("datumaro")
    images = images.rename(tmp_path / "images")  # where datumaro looks
    export_tags(make_table(), "cvat", Options(tmp_path / "c.xml", images))
    code = """
import json, sys
from datumaro import Dataset
data = Dataset.import_from(sys.argv[1], "cvat")
names = [label.name for label in data.categories()[next(iter(data.categories()))]]
rows = {item.id: {names[a.label]: a.attributes["score"] for a in item.annotations} for item in data}
print(json.dumps([names, rows]))
"""
    names, rows = ask(python, code, tmp_path / "c.xml")
    assert names == ONE_LINE
    assert rows == {
        path.rsplit(".", 1)[0]: {name.replace("\n", " "): score for name, score in labels.items()}
        for path, labels in ROWS
    }


def annotate(tasks: list[dict]) -> list[dict]:
    """What a person does in Label Studio: accept the predictions, skip one task, leave one alone."""
    for task in tasks:
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"], "was_cancelled": False}]
    tasks.append(
        {"data": {"image": "/data/local-files/?d=x.jpg"}, "annotations": [{"result": [], "was_cancelled": True}]}
    )
    tasks.append({"data": {"image": "/data/local-files/?d=y.jpg"}, "annotations": []})
    return tasks


def test_label_studio_comes_back_as_truth(tmp_path: Path, images: Path) -> None:
    export_tags(make_table(), "label-studio", Options(tmp_path / "l.json", images))
    tasks = json.loads((tmp_path / "l.json").read_text())
    (tmp_path / "done.json").write_text(json.dumps(annotate(tasks)))
    check_truth(tmp_path, images, "label-studio", tmp_path / "done.json", ONE_LINE)
    for task in tasks:
        task["data"].pop("path", None)  # as when the images came in by another way than this export
    (tmp_path / "done.json").write_text(json.dumps(tasks))
    check_truth(tmp_path, images, "label-studio", tmp_path / "done.json", ONE_LINE)
    small = [{"path": path, "image": "x", "labels": {"choices": list(labels)}} for path, labels in ROWS]
    (tmp_path / "min.json").write_text(json.dumps(small))
    check_truth(tmp_path, images, "label-studio", tmp_path / "min.json", CLASSES)


def test_label_studio_takes_the_tasks(tmp_path: Path, images: Path) -> None:
    python = reader("label-studio-sdk")
    export_tags(make_table(), "label-studio", Options(tmp_path / "l.json", images))
    code = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
interface = LabelInterface(open(sys.argv[1]).read())
interface.validate()
tasks = json.load(open(sys.argv[2]))
good = [all(map(interface.validate_prediction, t["predictions"])) for t in tasks]
good += [interface.validate_task({"data": t["data"]}) for t in tasks]
tasks[0]["predictions"][0]["result"][0]["value"]["choices"] = ["nobody"]
wrong = interface.validate_prediction(tasks[0]["predictions"][0])
print(json.dumps([list(interface.get_control("labels").labels), good, wrong]))
"""
    names, good, wrong = ask(python, code, tmp_path / "l.config.xml", tmp_path / "l.json")
    assert sorted(names) == sorted(ONE_LINE)
    assert good == [True] * 8 and wrong is False


def test_fifty_one_comes_back_as_truth(tmp_path: Path, images: Path) -> None:
    export_tags(make_table(), "fiftyone", Options(tmp_path / "f", images))
    check_truth(tmp_path, images, "fiftyone", tmp_path / "f", CLASSES)
    check_truth(tmp_path, images, "fiftyone", tmp_path / "f" / "labels.json", CLASSES)
    samples = json.loads((tmp_path / "f" / "samples.json").read_text())
    samples["samples"][0]["ground_truth"] = {"detections": [{"label": "=1+1"}, {"label": "=1+1"}]}
    (tmp_path / "s.json").write_text(json.dumps(samples))
    assert read_corrections(tmp_path / "s.json", "fiftyone")[0].labels == ["=1+1"]


def test_fifty_one_reads_labels_scores_and_heat_maps(tmp_path: Path, images: Path) -> None:
    python = reader("fiftyone")
    heat = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    options = Options(
        tmp_path / "f", images, maps=lambda path, labels: {name: heat * len(name) / 20 for name in labels}
    )
    assert export_tags(make_table(), "fiftyone", options).written == 4
    code = """
import json, sys
import fiftyone as fo, fiftyone.utils.data as foud
importer = foud.FiftyOneImageClassificationDatasetImporter(dataset_dir=sys.argv[1])
importer.setup()
read = {path: {c.label: c.confidence for c in label.classifications} for path, _, label in importer}
samples = [fo.Sample.from_dict(each) for each in json.load(open(sys.argv[1] + "/samples.json"))["samples"]]
again = {s.filepath: {c.label: c.confidence for c in s.piaa.classifications} for s in samples}
h = samples[0].heat_map
h2 = samples[0].heat_map_2
from PIL import Image
extrema = Image.open(h2.map_path).getextrema()
print(json.dumps([read, again, [h.label, h2.label], h.range, list(Image.open(h.map_path).size), extrema]))
"""
    read, again, labels, scale, size, extrema = ask(python, code, tmp_path / "f")
    assert read == again == {str(images / path): labels for path, labels in ROWS}
    assert (labels, scale, size) == (["umbrella", "ünï 傘"], [0, 255], [4, 3])
    assert extrema == [0, round(255 * 5 / 20)]


@pytest.mark.parametrize("name", [name for name, each in EXPORTS.items() if each.ending])
def test_outputs_that_cannot_be(tmp_path: Path, images: Path, name: str) -> None:
    with pytest.raises(InputError, match="--out"):
        export_tags(make_table(), name, Options(images=images))
    with pytest.raises(InputError, match="does not exist"):
        export_tags(make_table(), name, Options(tmp_path / "none" / f"x{EXPORTS[name].ending.strip('/')}", images))
    if EXPORTS[name].ending != "/":
        with pytest.raises(InputError, match="ends so"):
            export_tags(make_table(), name, Options(tmp_path / "x.other", images))


@pytest.mark.parametrize(
    ("source", "content", "part"),
    [
        ("label-studio", "{}", "not a list of tasks"),
        ("label-studio", '[{"data": {}, "annotations": []}]', "task 1"),
        ("label-studio", "[" * 100_000, "JSON"),
        ("cvat", "<annotations/>", "no image"),
        ("cvat", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
        ("cvat", '<annotations><image name="a"><tag/></image></annotations>', "without a label"),
        ("fiftyone", "[]", "no samples"),
        ("fiftyone", '{"samples": [{}]}', "no filepath"),
        ("csv", "path,a\nx,2\n", "line 2"),
        ("csv", "path,a\nx\n", "line 2"),
        ("csv", "file,a\nx,1\n", "header"),
        ("other", "", "no format"),
    ],
)
def test_foreign_files_that_are_something_else(tmp_path: Path, source: str, content: str, part: str) -> None:
    (tmp_path / "f").write_text(content)
    with pytest.raises(InputError, match=part):
        read_corrections(tmp_path / "f", source)


def test_corrections_that_make_no_truth(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,labels\na.jpg,x\na.jpg,y\n")
    with pytest.raises(InputError, match="corrected twice"):
        write_corrections(read_corrections(tmp_path / "t.csv", "csv"), tmp_path / "o.csv")
    with pytest.raises(InputError, match="nobody has corrected"):
        write_corrections([], tmp_path / "o.csv")
    (tmp_path / "t.json").write_text(json.dumps([{"path": "a", "labels": "x;y"}]))
    with pytest.raises(InputError, match=r"write \.jsonl"):
        write_corrections(read_corrections(tmp_path / "t.json", "label-studio"), tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_turned_photos_have_the_size_that_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "t.jpg", exif=exif)
    export_tags(make_table([("t.jpg", {})]), "coco", Options(tmp_path / "c.json", tmp_path))
    image = json.loads((tmp_path / "c.json").read_text())["images"][0]
    assert (image["width"], image["height"]) == (30, 40)
