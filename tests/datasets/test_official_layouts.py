"""Small trees in each official layout: what is read, and what is said where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trees import HEIGHT, WIDTH, coco_json, nus_tree, picture, voc_tree

from piaa.datasets import Dataset, class_names, detect, open_dataset
from piaa.datasets.nus_wide import read_urls
from piaa.errors import InputError, LabelError
from piaa.evaluation.truth import Truth

VOC_NAMES, COCO_NAMES, NUS_NAMES = class_names("voc"), class_names("coco"), class_names("nus-wide")


def names_of(dataset: Dataset, which: str = "test") -> dict[str, set[str]]:
    """File name to label names, of the images present."""
    rows = getattr(dataset, which)
    return {Path(i.id).stem: {dataset.label_names[c] for c in dataset.truth.labels[i.id]} for i in rows}


def loads(dataset: Dataset) -> None:
    """Every item decodes, and has its row in the truth."""
    assert isinstance(dataset.truth, Truth)
    for item in dataset.test:
        assert item.load().size == (WIDTH, HEIGHT) and dataset.truth.find(item.id) == item.id
    assert dataset.truth.targets([item.id for item in dataset.test]).shape == (
        len(dataset.test),
        len(dataset.label_names),
    )


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    train = {"000005": [("chair", False, (1, 1, 32, 12))], "000007": [("car", False, (1, 1, 64, 48))]}
    test = {
        "000001": [
            ("dog", False, (11, 21, 20, 30)),
            ("dog", False, (1, 1, 16, 40)),
            ("person", True, (1, 1, 5, 5)),
            ("tvmonitor", False, (33, 1, 64, 24)),
        ],
        "000002": [("diningtable", True, (1, 1, 8, 8))],
    }
    voc_tree(tmp_path, 2007, {"trainval": train, "test": test})
    return tmp_path


def test_voc(voc: Path) -> None:
    dataset = open_dataset("voc2007", voc)
    loads(dataset)
    assert dataset.label_names == VOC_NAMES and not dataset.missing
    assert names_of(dataset) == {"000001": {"dog", "tv monitor"}, "000002": set()}
    assert names_of(dataset, "unlabelled") == {"000005": {"chair"}, "000007": {"car"}}
    first, dog, screen = dataset.test[0].id, VOC_NAMES.index("dog"), VOC_NAMES.index("tv monitor")
    assert dataset.truth.areas[first] == {dog: [100, 640], screen: [32 * 24]}  # both corners are of the object
    matrix = dataset.truth.area_matrix([item.id for item in dataset.test])
    assert matrix[0, [dog, screen]].tolist() == [640, 768] and np.isnan(matrix).sum() == 2 * 20 - 2
    assert dataset.truth.sizes[first] == {dog: 40 / 48, screen: 0.5}  # the longer side, of the larger dog
    assert [found.info.name for found in detect(voc)] == ["voc2007"]


def test_voc_difficult_counted(voc: Path) -> None:
    dataset = open_dataset("voc07", voc / "VOCdevkit" / "VOC2007", difficult="count")
    assert names_of(dataset) == {"000001": {"dog", "tv monitor", "person"}, "000002": {"dining table"}}
    with pytest.raises(InputError, match="difficult='keep': must be 'ignore' or 'count'"):
        open_dataset("voc07", voc, difficult="keep")


def test_voc_other_splits_and_2012(tmp_path: Path) -> None:
    rows = {
        split: {f"2008_{n:06d}": [("cow", False, (1, 1, 4, 4))]} for n, split in enumerate(("train", "val", "extra"))
    }
    voc_tree(tmp_path, 2012, rows)
    assert set(names_of(open_dataset("voc2012", tmp_path))) == {"2008_000001"}
    other = open_dataset("voc2012", tmp_path, unlabelled="val", test="extra")
    assert set(names_of(other)) == {"2008_000002"} and set(names_of(other, "unlabelled")) == {"2008_000001"}


def test_voc_faults(voc: Path) -> None:
    home = voc / "VOCdevkit" / "VOC2007"
    file = home / "Annotations" / "000001.xml"
    whole = file.read_text()
    for text, message in [
        (whole[:-30], r"000001\.xml: broken XML .*unpack the archive again"),
        (whole.replace("tvmonitor", "toaster"), r"000001\.xml: an object of the class 'toaster'; VOC has aeroplane"),
        (whole.replace("<xmin>33</xmin>", "<xmin>left</xmin>"), r"no number in <bndbox><xmin>: 'left'"),
        (whole.replace("<width>64</width>", ""), r"no number in <size><width>: None"),
    ]:
        file.write_text(text)
        with pytest.raises(LabelError, match=message):
            open_dataset("voc2007", voc)
    file.unlink()
    with pytest.raises(InputError, match=r"000001\.xml: cannot be read.*the image set names 000001"):
        open_dataset("voc2007", voc)
    file.write_text(whole)
    (home / "ImageSets" / "Main" / "test.txt").write_text("\n\n")
    with pytest.raises(InputError, match=r"test\.txt: the list is empty"):
        open_dataset("voc2007", voc)
    (home / "ImageSets" / "Main" / "test.txt").unlink()
    with pytest.raises(InputError, match=r"test\.txt: cannot be read: No such file"):
        open_dataset("voc2007", voc)


def test_missing_images_are_named_and_only_all_of_them_fatal(voc: Path) -> None:
    images = voc / "VOCdevkit" / "VOC2007" / "JPEGImages"
    (images / "000002.jpg").unlink()
    dataset = open_dataset("voc2007", voc)
    assert [Path(item.id).name for item in dataset.test] == ["000001.jpg"]
    assert dataset.missing == dataset.truth.missing == [str(images / "000002.jpg")]
    assert dataset.missing[0] in dataset.truth.labels
    (images / "000001.jpg").unlink()
    with pytest.raises(
        InputError, match=r"none of the 2 images of the test split is on disk; the first should be .*000001"
    ):
        open_dataset("voc2007", voc)


def test_an_image_listed_twice_counts_once(voc: Path) -> None:
    path = voc / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "test.txt"
    path.write_text(path.read_text() + "000001\n")
    dataset = open_dataset("voc2007", voc)
    assert len(dataset.test) == 2 and dataset.notes[-1] == "test: 1 images are listed twice; each counts once"


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    pytest.importorskip("pycocotools")
    rows = {
        "a.jpg": [(0, (0, 0, 32, 12), 0), (79, (1, 1, 4, 36), 0), (0, (0, 0, 8, 24), 0)],
        "b.jpg": [(5, (0, 0, 20, 20), 1)],
        "c.jpg": [],
    }
    for year, parts in ((2014, ("train", "val")), (2017, ("train", "val"))):
        for part in parts:
            named = {f"{part}-{name}": objects for name, objects in rows.items()}
            coco_json(tmp_path / "annotations" / f"instances_{part}{year}.json", COCO_NAMES, named)
            images = tmp_path / f"{part}{year}" if year == 2014 else tmp_path / "images" / f"{part}{year}"
            for number, name in enumerate(named):
                picture(images / name, number)
    return tmp_path


@pytest.mark.parametrize("year", [2014, 2017])
def test_coco(coco: Path, year: int) -> None:
    dataset = open_dataset(f"coco{year}", coco)
    loads(dataset)
    assert dataset.label_names == COCO_NAMES
    assert names_of(dataset) == {"val-a": {"person", "toothbrush"}, "val-b": {"bus"}}
    first = dataset.test[0].id
    assert dataset.truth.areas[first] == {0: [384.0, 192.0], 79: [144.0]}
    assert dataset.truth.sizes[first] == {0: 0.5, 79: 0.75}


def test_coco_rules(coco: Path) -> None:
    kept = open_dataset("coco", coco, without_labels="keep")
    assert names_of(kept)["val-c"] == set() and len(kept.test) == 3
    assert set(names_of(open_dataset("coco", coco, crowds="ignore"))) == {"val-a"}
    masks = open_dataset("coco", coco, areas="mask")
    assert masks.truth.areas[masks.test[0].id][0] == [192.0, 96.0]
    with pytest.raises(InputError, match="crowds='no': must be 'count' or 'ignore'"):
        open_dataset("coco", coco, crowds="no")


def test_coco_faults(coco: Path) -> None:
    file = coco / "annotations" / "instances_val2014.json"
    whole = json.loads(file.read_text())
    other = [{**category, "name": category["name"].replace("bus", "tram")} for category in whole["categories"]]
    stray = [{**row, "category_id": 12} for row in whole["annotations"]]
    for content, error, message in [
        ({**whole, "categories": other}, LabelError, "80 categories, not the 80 of COCO .*'tram'"),
        ({**whole, "annotations": stray}, LabelError, "annotation 1 is of the unknown category 12"),
        ({**whole, "images": [], "annotations": []}, InputError, "the list of images is empty"),
        ({"images": whole["images"]}, InputError, "no categories or annotations in it"),
        ([1, 2], InputError, "not a COCO annotation file"),
    ]:
        file.write_text(json.dumps(content))
        with pytest.raises(error, match=message):
            open_dataset("coco", coco)
    file.write_text(json.dumps(whole)[:-20])
    with pytest.raises(
        InputError, match=r"instances_val2014\.json: not a COCO annotation file .*unpack the archive again"
    ):
        open_dataset("coco", coco)


TRAIN = {"actor/0001_11": [0, 80], "zoo/0002_12": [], "actor/0003_13": [3]}
TEST = {"actor/0004_14": [1], "bear/0005_15": [2, 3, 4]}


@pytest.fixture(params=[True, False], ids=["AllLabels", "TrainTestLabels"])
def nus(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    nus_tree(tmp_path / "NUS-WIDE", NUS_NAMES, TRAIN, TEST, request.param)
    for number, name in enumerate(list(TRAIN)[:2] + list(TEST)):
        picture(tmp_path / "NUS-WIDE" / "Flickr" / f"{name}.jpg", number)
    return tmp_path


def test_nus_wide(nus: Path) -> None:
    dataset = open_dataset("nus-wide", nus)
    loads(dataset)
    assert names_of(dataset) == {"0004_14": {"animal"}, "0005_15": {"beach", "bear", "birds"}}
    assert names_of(dataset, "unlabelled") == {"0001_11": {"airport", "zebra"}, "0002_12": set()}
    assert dataset.missing == [str(nus / "NUS-WIDE" / "Flickr" / "actor" / "0003_13.jpg")]
    assert not dataset.truth.sizes and not dataset.truth.areas


def test_nus_wide_published_split(nus: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "nuswideval_labels.txt").write_text("actor/0001_11 0 80\n")
    dataset = open_dataset("nus", nus, lists=lists)
    assert set(names_of(dataset)) == {"0001_11"} and len(dataset.unlabelled) == 3
    few = [open_dataset("nus", nus, lists=lists, learn_from=n) for n in (1, 2, 2)]
    assert [len(one.unlabelled) for one in few] == [1, 2, 2]
    assert few[1].unlabelled == few[2].unlabelled and few[0].unlabelled[0] in few[1].unlabelled
    (lists / "nuswidetrain.txt").write_text("bear/0005_15 2 3 4\n")
    assert set(names_of(open_dataset("nus", nus, lists=lists), "unlabelled")) == {"0005_15"}
    (lists / "nuswidetrain.txt").write_text("bear/0009_99 2\n")
    with pytest.raises(InputError, match="1 listed images are not in ImageList, such as bear/0009_99"):
        open_dataset("nus", nus, lists=lists)
    (lists / "nuswidetrain.txt").write_text("bear/0005_15 2 x\n")
    with pytest.raises(LabelError, match=r"nuswidetrain\.txt, line 1: class indices must be whole numbers"):
        open_dataset("nus", nus, lists=lists)
    with pytest.raises(InputError, match=r"no nuswideval\.txt in it"):
        open_dataset("nus", nus, lists=nus)


def test_nus_wide_faults(nus: Path) -> None:
    home = nus / "NUS-WIDE"
    file = next((home / "Groundtruth").rglob("Labels_bear*.txt"))
    whole = file.read_text()
    file.write_text(whole + "0\n")
    with pytest.raises(LabelError, match=r"Labels_bear.*\.txt: \d lines, but .*magelist\.txt has \d images"):
        open_dataset("nus-wide", nus)
    file.write_text(whole.replace("0", "7", 1))
    with pytest.raises(LabelError, match=r"Labels_bear.*\.txt, line \d: '7'; must be 0 or 1"):
        open_dataset("nus-wide", nus)
    file.unlink()
    with pytest.raises(InputError, match=r"Labels_bear.*\.txt: cannot be read"):
        open_dataset("nus-wide", nus)


def test_nus_wide_urls(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(
        "%%%%%%Photo_file    Photo_id    url_Large   url_Middle   url_Small  url_Original%%%%\n"
        "C:\\ImageData\\Flickr\\actor\\0001_11.jpg   11  http://l  http://m  http://s  null\n"
        "C:\\ImageData\\Flickr\\actor\\0002_12.jpg   12  http://l  null  http://s  null\n"
        "C:\\ImageData\\Flickr\\bear\\0003_13.jpg   13  null  null  null  null\n"
    )
    assert read_urls(tmp_path / "urls.txt") == {
        "actor/0001_11": "http://m", "actor/0002_12": "http://l", "bear/0003_13": None,
    }  # fmt: skip


def test_unknown_names_options_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, voc: Path) -> None:
    with pytest.raises(InputError, match="no data set is called 'imagenet'; known are voc2007, voc2012"):
        open_dataset("imagenet", tmp_path)
    with pytest.raises(InputError, match=r"voc2007: .*'year_of'; its options are difficult, unlabelled, test"):
        open_dataset("voc2007", voc, year_of=2)
    with pytest.raises(InputError, match=r"no MS-COCO 2014 in or below it.*cocodataset\.org.*train2014\.zip"):
        open_dataset("coco2014", voc)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        open_dataset("coco2014", tmp_path / "nowhere")
    monkeypatch.delenv("PIAA_DATA_DIR", raising=False)
    with pytest.raises(InputError, match="set PIAA_DATA_DIR"):
        open_dataset("voc2007")
    monkeypatch.setenv("PIAA_DATA_DIR", str(voc))
    assert len(open_dataset("voc2007").test) == 2
