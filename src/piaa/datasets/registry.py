"""Every data set by name: how it is found, read, and got."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from piaa.datasets import coco, fifty_one, folder, hugging_face, nus_wide, scenes, voc, web_dataset
from piaa.datasets.base import Annotations, Dataset, assemble
from piaa.errors import InputError
from piaa.inputs.images import printable

ROOT_VARIABLE = "PIAA_DATA_DIR"


@dataclass(frozen=True)
class Archive:
    """A file of the official page.

    Attributes:
        name: as the page calls it.
        gives: what is in it, in words.
        size: as the page says; not checked here.
        places: where its content lies below the data set's folder; it is there if one of them is.
    """

    name: str
    gives: str
    size: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is opened.

    Attributes:
        name: for `open_dataset`.
        title: for people.
        layout: what lies where.
        read: (home, **options) to its images and labels.
        find: a folder to the data set's home in or below it, or None; None for objects that are no folder.
        classes: how many, where that is fixed.
        counts: images to learn from and to test on, where these are fixed.
        counts_from: where the counts are from.
        lists: names of the published split lists.
        list_key: an image file to its id in these lists.
        page: where to get it.
        archives: the files of that page.
        about_missing: (home, images that are missing) to a line about them.
    """

    name: str
    title: str
    layout: str
    read: Callable[..., Annotations]
    find: Callable[[Path], Path | None] | None = None
    classes: int | None = None
    counts: tuple[int, int] | None = None
    counts_from: str = "the paper"
    lists: tuple[str, str] | None = None
    list_key: Callable[[Path], str] = lambda path: path.stem
    page: str = ""
    archives: tuple[Archive, ...] = ()
    about_missing: Callable[[Path, list[Path]], str | None] | None = None


def _voc(year: int, counts: tuple[int, int], archives: tuple[Archive, ...]) -> DatasetInfo:
    return DatasetInfo(
        f"voc{year}",
        f"PASCAL VOC {year}",
        f"VOCdevkit/VOC{year}/JPEGImages, Annotations, ImageSets/Main",
        partial(voc.read_voc, year=year),
        partial(voc.find_voc, year=year),
        classes=20,
        counts=counts,
        lists=(f"voc{year % 100:02d}train", f"voc{year % 100:02d}val"),
        page=f"host.robots.ox.ac.uk/pascal/VOC/voc{year}",
        archives=archives,
    )


def _coco(year: int, counts: tuple[int, int], sizes: tuple[str, str], **more: Any) -> DatasetInfo:
    images = tuple(
        Archive(f"{part}{year}.zip", f"{part}{year}/", size, (f"{part}{year}", f"images/{part}{year}"))
        for part, size in zip(("train", "val"), sizes, strict=True)
    )
    labels = f"annotations_trainval{year}.zip"
    return DatasetInfo(
        f"coco{year}",
        f"MS-COCO {year}",
        f"annotations/instances_train{year}.json, instances_val{year}.json, train{year}/, val{year}/",
        partial(coco.read_coco, year=year),
        partial(coco.find_coco, year=year),
        classes=80,
        counts=counts,
        page="cocodataset.org/#download",
        archives=(*images, Archive(labels, "annotations/", "241 MB", (f"annotations/instances_val{year}.json",))),
        **more,
    )


_NUS_WIDE = DatasetInfo(
    "nus-wide",
    "NUS-WIDE",
    "ImageList/, Groundtruth/AllLabels/ or TrainTestLabels/, Flickr/CONCEPT/NUMBER_ID.jpg",
    nus_wide.read_nus_wide,
    nus_wide.find_nus_wide,
    classes=81,
    counts=(150_000, 60_260),
    lists=("nuswidetrain", "nuswideval"),
    list_key=lambda path: f"{path.parent.name}/{path.stem}",
    page="lms.comp.nus.edu.sg (research, NUS-WIDE)",
    archives=(
        Archive("ImageList.zip", "ImageList/", "small", ("ImageList",)),
        Archive("Groundtruth.zip", "Groundtruth/", "small", ("Groundtruth",)),
        Archive("Flickr.zip", "the images, sent after a request form", "not stated", ("Flickr", "images")),
        Archive("NUS-WIDE-urls.rar", "the images' addresses", "not stated", nus_wide.URL_LISTS),
    ),
    about_missing=nus_wide.about_missing,
)

_ALL = (
    _voc(
        2007,
        (5_011, 4_952),
        (
            Archive("VOCtrainval_06-Nov-2007.tar", "images to learn from", "450 MB", ("ImageSets/Main/trainval.txt",)),
            Archive("VOCtest_06-Nov-2007.tar", "test images, annotated", "430 MB", ("ImageSets/Main/test.txt",)),
        ),
    ),
    _voc(
        2012,
        (5_717, 5_823),
        (Archive("VOCtrainval_11-May-2012.tar", "all images used here", "2 GB", ("ImageSets/Main/val.txt",)),),
    ),
    _coco(2014, (82_081, 40_137), ("13 GB", "6 GB"), lists=("cocotrain", "cocoval")),
    _coco(2017, (117_266, 4_952), ("18 GB", "1 GB"), counts_from="the 2014 images, split anew"),
    _NUS_WIDE,
    DatasetInfo(
        "scenes", "the embedded benchmark", "drawn on first use: scenes-SEED-N-M/", scenes.read_scenes,
        scenes.find_scenes, classes=60,
    ),
    DatasetInfo(
        "folder", "images and a truth file", "labels.txt, truth.csv or .jsonl, unlabelled/", folder.read_folder,
        folder.find_folder,
    ),
    DatasetInfo(
        "image-folder", "one folder a class", "train/CLASS/*, test/CLASS/* (or val)", folder.read_image_folder,
        folder.find_image_folder,
    ),
    DatasetInfo(
        "web-dataset", "WebDataset shards", "train*.tar, test*.tar (or val*.tar)", web_dataset.read_web_dataset,
        web_dataset.find_web_dataset,
    ),
    DatasetInfo(
        "hugging-face", "a Hugging Face DatasetDict", "the object, or a folder of save_to_disk",
        hugging_face.read_hugging_face, hugging_face.find_hugging_face,
    ),
    DatasetInfo(
        "fifty-one", "a FiftyOne dataset", "the object, samples tagged train and test", fifty_one.read_fifty_one,
    ),
)  # fmt: skip
DATASETS: dict[str, DatasetInfo] = {info.name: info for info in _ALL}
ALIASES = {
    "voc07": "voc2007", "voc12": "voc2012", "coco": "coco2014", "nus": "nus-wide", "nuswide": "nus-wide",
    "imagefolder": "image-folder", "webdataset": "web-dataset", "huggingface": "hugging-face", "fiftyone": "fifty-one",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A data set that lies in or below a folder."""

    info: DatasetInfo
    home: Path


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder given, or else the one that PIAA_DATA_DIR names.

    Raises:
        InputError: neither, or no such folder.
    """
    chosen = root or os.environ.get(ROOT_VARIABLE)
    if not chosen:
        raise InputError(f"where is the data? Give its root folder, or set {ROOT_VARIABLE}")
    path = Path(chosen).expanduser()
    if not path.is_dir():
        raise InputError(f"{printable(path)}: no such folder" + ("" if root else f" ({ROOT_VARIABLE})"))
    return path


def detect(root: str | os.PathLike[str]) -> list[Found]:
    """Every known layout in or below a folder (up to two folders down), by looks alone.

    Raises:
        InputError: no such folder.
    """
    path = data_root(root)
    return [Found(info, home) for info in DATASETS.values() if info.find and (home := info.find(path)) is not None]


def dataset_info(name: str) -> DatasetInfo:
    """What is known of a data set, by its name or a usual short form of it (`voc07`, `coco`, `nus`).

    Raises:
        InputError: no such name.
    """
    key = ALIASES.get(name.lower(), name.lower())
    if key not in DATASETS:
        raise InputError(f"no data set is called {name!r}; known are {', '.join(DATASETS)}")
    return DATASETS[key]


def read_annotations(info: DatasetInfo, home: Any, options: dict[str, Any]) -> Annotations:
    """Call a reader.

    Raises:
        InputError: an option that it has not; and whatever the reader raises.
    """
    try:
        inspect.signature(info.read).bind(home, **options)
    except TypeError as error:
        known = [name for name in list(inspect.signature(info.read).parameters)[1:] if name != "year"]
        raise InputError(f"{info.name}: {error}; its options are {', '.join(known)}") from error
    return info.read(home, **options)


def open_dataset(name: str, root: Any = None, **options: Any) -> Dataset:
    """Open a data set by name.

    Args:
        name: a key of `DATASETS`, or a usual short form.
        root: a folder in or below which it lies, by default that of PIAA_DATA_DIR; for `hugging-face` and
            `fifty-one` the object itself.
        options: the keyword arguments of its reader (`piaa.datasets.voc.read_voc` and so on).

    Raises:
        InputError: unknown name or option, nothing there, no image there; see the reader too.
        LabelError: see the reader.
    """
    info = dataset_info(name)
    if info.find is None or not (root is None or isinstance(root, str | os.PathLike)):
        if root is None:
            raise InputError(f"{info.name}: give the object itself")
        return assemble(info.name, read_annotations(info, root, options))
    if info.name == "scenes" and root is not None:
        home: Path | None = Path(root).expanduser()
    else:
        path = data_root(root)
        home = info.find(path) or (None if info.counts else path)
        if home is None:
            raise InputError(
                f"{printable(path)}: no {info.title} in or below it; wanted {info.layout}; get it from {info.page} "
                f"({', '.join(archive.name for archive in info.archives)})"
            )
    return assemble(info.name, read_annotations(info, home, options))
