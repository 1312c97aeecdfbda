"""The readers against the split lists published with the method: counts, order of the classes, labels image by image.

The images and annotations of the lists are not here; official-layout trees are built from the lists' entries, with
what a reader must not fall for added (difficult objects, crowds, images without labels), and read back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest
from trees import HAVE_LISTS, LISTS, coco_json, nus_tree, voc_tree

from piaa.datasets import DATASETS, class_names, compare, read_split_list
from piaa.datasets.coco import read_coco
from piaa.datasets.nus_wide import read_nus_wide
from piaa.datasets.voc import SPLITS, read_voc

pytestmark = pytest.mark.skipif(not HAVE_LISTS, reason=f"no published split lists in {LISTS}; set PIAA_LISTS")

# Images with each class as the development kits' statistics tables have them, where an image with none but difficult
# objects of a class does not count: VOC2007 trainval, VOC2012 train.
VOC_STATISTICS = {
    "aeroplane": (238, 327), "bicycle": (243, 268), "bird": (330, 395), "boat": (181, 260), "bottle": (244, 365),
    "bus": (186, 213), "car": (713, 590), "cat": (337, 539), "chair": (445, 566), "cow": (141, 151),
    "dining table": (200, 269), "dog": (421, 632), "horse": (287, 237), "motorbike": (245, 265),
    "person": (2008, 1994), "potted plant": (245, 269), "sheep": (96, 171), "sofa": (229, 257), "train": (261, 273),
    "tv monitor": (256, 290),
}  # fmt: skip

# Images with each category in train2017 and val2017 (crowds counted), whose images are those of 2014.
COCO_STATISTICS = """person 64115 2693, bicycle 3252 149, car 12251 535, motorcycle 3502 159, airplane 2986 97,
bus 3952 189, train 3588 157, truck 6127 250, boat 3025 121, traffic light 4139 191,
fire hydrant 1711 86, stop sign 1734 69, parking meter 705 37, bench 5570 235, bird 3237 125,
cat 4114 184, dog 4385 177, horse 2941 128, sheep 1529 65, cow 1968 87, elephant 2143 89,
bear 960 49, zebra 1916 85, giraffe 2546 101, backpack 5528 228, umbrella 3968 174,
handbag 6841 292, tie 3810 145, suitcase 2402 105, frisbee 2184 84, skis 3082 120,
snowboard 1654 49, sports ball 4262 169, kite 2261 91, baseball bat 2506 97,
baseball glove 2629 100, skateboard 3476 127, surfboard 3486 149, tennis racket 3394 167,
bottle 8501 379, wine glass 2533 110, cup 9189 390, fork 3555 155, knife 4326 181,
spoon 3529 153, bowl 7111 314, banana 2243 103, apple 1586 76, sandwich 2365 98,
orange 1699 85, broccoli 1939 71, carrot 1683 81, hot dog 1222 51, pizza 3166 153,
donut 1523 62, cake 2925 124, chair 12774 580, couch 4423 195, potted plant 4452 172,
bed 3682 149, dining table 11837 501, toilet 3353 149, tv 4561 207, laptop 3524 183,
mouse 1876 88, remote 3076 145, keyboard 2115 106, cell phone 4803 214, microwave 1547 54,
oven 2877 115, toaster 217 8, sink 4678 187, refrigerator 2360 101, book 5332 230,
clock 4659 204, vase 3593 137, scissors 947 28, teddy bear 2140 94, hair drier 189 9,
toothbrush 1007 34"""


@cache
def listed(name: str) -> dict[str, frozenset[int]]:
    return read_split_list(LISTS / f"{name}.txt")


@cache
def per_class(*names: str) -> Counter[int]:
    return Counter(label for name in names for labels in listed(name).values() for label in labels)


@pytest.mark.parametrize("name", ["voc2007", "voc2012", "coco2014", "nus-wide"])
def test_counts_are_the_papers(name: str) -> None:
    info = DATASETS[name]
    assert info.lists and info.counts
    for split, count in zip(info.lists, info.counts, strict=True):
        if split != "nuswidetrain":  # not among the lists
            rows = listed(split)
            assert len(rows) == count
            assert {label for labels in rows.values() for label in labels} == set(range(info.classes or 0))


def test_order_of_voc_classes() -> None:
    names = class_names("voc")
    for year, split in ((0, "voc07train"), (1, "voc12train")):
        counts = per_class(split)
        assert {name: counts[c] for c, name in enumerate(names)} == {n: v[year] for n, v in VOC_STATISTICS.items()}


def test_order_of_coco_classes() -> None:
    counts = per_class("cocotrain", "cocoval")
    for c, (row, name) in enumerate(
        zip(COCO_STATISTICS.replace("\n", " ").split(", "), class_names("coco"), strict=True)
    ):
        official, train, val = row.rsplit(" ", 2)
        assert (name, counts[c]) == (official, int(train) + int(val))
    train, val = DATASETS["coco2017"].counts or (0, 0)
    assert len(listed("cocotrain")) + len(listed("cocoval")) == train + val


def test_order_of_nus_wide_concepts() -> None:
    """Images were searched by words: those found by a concept's own word have its label far more often than others."""
    rows = listed("nuswideval")
    overall = per_class("nuswideval")
    names = class_names("nus-wide")
    assert names == sorted(names) and len(names) == 81
    found_by: dict[str, Counter[int]] = defaultdict(Counter)
    images = Counter(image.split("/")[0] for image in rows)
    for image, labels in rows.items():
        found_by[image.split("/")[0]].update(labels)
    firsts = {}
    for name in names:
        if images[name] >= 60:
            lift = {c: found_by[name][c] / overall[c] for c in range(81)}
            firsts[name] = names[max(lift, key=lift.__getitem__)]
    right = [name for name, first in firsts.items() if name == first]
    assert len(firsts) >= 45 and len(right) >= 0.8 * len(firsts), firsts


@pytest.mark.parametrize("year", [2007, 2012])
def test_voc_reader_gives_the_listed_labels(year: int, tmp_path: Path) -> None:
    names = [name.replace(" ", "") for name in class_names("voc")]
    lists = [listed(name) for name in DATASETS[f"voc{year}"].lists or ()]
    samples = [dict(list(rows.items())[:: len(rows) // 150]) for rows in lists]
    tree = {}
    for split, rows in zip(SPLITS[year], samples, strict=True):
        tree[split] = {
            image: [(names[c], False, (1, 1, 9, 9)) for c in sorted(labels)] * 2
            + [(names[(sum(labels) + 1) % 20], True, (3, 3, 8, 8))]  # a difficult object, often of a new class
            for image, labels in rows.items()
        }
    home = voc_tree(tmp_path, year, tree, images=False)
    found = read_voc(home, year)
    key = DATASETS[f"voc{year}"].list_key
    for entries, rows in zip((found.unlabelled, found.test), samples, strict=True):
        assert str(compare(entries, rows, key)) == f"all {len(rows)} agree"
        assert [key(entry.item.source) for entry in entries] == list(rows)
    counted = read_voc(home, year, difficult="count")
    agreement = compare(counted.test, samples[1], key)
    assert len(agreement.different) > agreement.same  # the difficult objects would show


def test_coco_reader_gives_the_listed_labels(tmp_path: Path) -> None:
    names = class_names("coco")
    val, train = listed("cocoval"), dict(list(listed("cocotrain").items())[::400])
    box = (1.0, 2.0, 10.0, 5.0)
    bare = {f"COCO_val2014_{n:012d}.jpg": [] for n in range(9_000_000, 9_000_367)}  # 40,504 in val2014
    for split, rows, more in (("train2014", train, {}), ("val2014", val, bare)):
        objects = {f"{image}.jpg": [(c, box, c % 2) for c in labels] for image, labels in rows.items()}
        coco_json(tmp_path / "annotations" / f"instances_{split}.json", names, {**more, **objects})
    found = read_coco(tmp_path, 2014)
    key = DATASETS["coco2014"].list_key
    assert str(compare(found.test, val, key)) == "all 40,137 agree"
    assert str(compare(found.unlabelled, train, key)) == f"all {len(train)} agree"
    assert found.notes == ["val2014: 367 images without labels left out"]


def test_nus_wide_reader_gives_the_listed_labels(tmp_path: Path) -> None:
    names = class_names("nus-wide")
    test = listed("nuswideval")
    others = {f"actor/{n:04d}_{n}": [n % 81] for n in range(1000)}
    mixed = [*test.items(), *others.items()]
    train = dict(mixed[::3])  # the official split is another one than the published
    rest = {name: labels for name, labels in mixed if name not in train}
    home = nus_tree(tmp_path, names, train, rest, all_of_it=True)
    found = read_nus_wide(home, lists=LISTS)
    key = DATASETS["nus-wide"].list_key
    assert str(compare(found.test, test, key)) == "all 60,260 agree"
    assert [key(entry.item.source) for entry in found.test] == list(test)
    assert {key(entry.item.source): entry.labels for entry in found.unlabelled} == {
        name: frozenset(labels) for name, labels in others.items()
    }
