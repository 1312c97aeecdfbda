"""Every kind of input that is fuzzed; a new one is a file here and an entry in the table."""

from __future__ import annotations

from ..harness import Target
from . import (
    checkpoints,
    classifiers,
    coco,
    corrections,
    evidence_files,
    image_lists,
    images,
    labels,
    nus_wide,
    partial_runs,
    score_tables,
    sidecars,
    split_lists,
    tag_folders,
    tag_tables,
    truth,
    voc,
    web_dataset,
)

_MODULES = (
    images, labels, truth, classifiers, checkpoints, partial_runs, coco, voc, nus_wide, split_lists, web_dataset,
    tag_tables, score_tables, corrections, sidecars, evidence_files, tag_folders, image_lists,
)  # fmt: skip
TARGETS: dict[str, Target] = {module.TARGET.name: module.TARGET for module in _MODULES}
