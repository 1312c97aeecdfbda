"""Real data sets, where PIAA_DATA_DIR or ../shared/data has them: counts, and labels image by image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import LISTS, ROOT

from piaa.datasets import DATASETS, check, detect, open_dataset

DATA = Path(os.environ.get("PIAA_DATA_DIR") or ROOT.parent / "shared" / "data")
PUBLISHED = [name for name, info in DATASETS.items() if info.counts]
FOUND = {found.info.name: found.home for found in detect(DATA)} if DATA.is_dir() else {}


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_tree(name: str) -> None:
    if name not in FOUND:
        pytest.skip(f"no {DATASETS[name].title} in {DATA}; set PIAA_DATA_DIR")
    dataset = open_dataset(name, FOUND[name], **({"lists": LISTS} if name == "nus-wide" and LISTS.is_dir() else {}))
    assert dataset.test[0].load().mode == "RGB"
    assert set(dataset.truth.labels) >= {item.id for item in dataset.test}


@pytest.mark.skipif(not set(PUBLISHED) & set(FOUND), reason=f"no published data set in {DATA}; set PIAA_DATA_DIR")
def test_real_trees_are_the_papers() -> None:
    for result in check(DATA, LISTS if LISTS.is_dir() else None):
        if result.home and result.info.counts:
            assert not result.problems
            for split in result.splits:
                assert split.agreement is None or not split.agreement.different
                if result.info.name != "nus-wide":  # its training list is not published with the others
                    assert split.listed == split.expected
