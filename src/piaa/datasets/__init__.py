"""Data sets with known labels, all with one face: `open_dataset(name, root)` gives a `Dataset`.

Comes in: a folder in its official layout. Goes out: `dataset.unlabelled` to fit on, `dataset.test` and `dataset.truth`
to evaluate on. Nothing that is learnt or measured is imported here.
"""

from piaa.datasets.base import Annotated, Annotations, Box, Dataset, LazyItem, assemble, class_names
from piaa.datasets.check import Check, SplitCheck, check
from piaa.datasets.lists import Agreement, compare, find_list, read_split_list
from piaa.datasets.registry import DATASETS, Archive, DatasetInfo, Found, data_root, dataset_info, detect, open_dataset

__all__ = [
    "DATASETS",
    "Agreement",
    "Annotated",
    "Annotations",
    "Archive",
    "Box",
    "Check",
    "Dataset",
    "DatasetInfo",
    "Found",
    "LazyItem",
    "SplitCheck",
    "assemble",
    "check",
    "class_names",
    "compare",
    "data_root",
    "dataset_info",
    "detect",
    "find_list",
    "open_dataset",
    "read_split_list",
]
