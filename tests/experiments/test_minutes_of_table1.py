"""What docs/baselines.md says of the time of table 1 is the sum of the stored lines."""

from __future__ import annotations

import re
from pathlib import Path

from piaa.experiments.results import Row
from piaa.files import parse_json

DOCS = Path(__file__).parents[2] / "docs"


def stored() -> list[Row]:
    lines = (DOCS / "bench" / "baselines.jsonl").read_text(encoding="utf-8").splitlines()
    return [Row(**values) for line in lines for values in parse_json(line)]


def test_the_page_states_the_minutes_of_the_stored_lines() -> None:
    latest = {(row.row, row.parameter): row.seconds for row in stored() if row.experiment == "table1"}
    assert len({name for name, _ in latest}) == 19
    assert {seed for _, seed in latest} == {"seed=51", "seed=52", "seed=53"}
    page = (DOCS / "baselines.md").read_text(encoding="utf-8")
    said = re.search(r"took (\d+) minutes by the clock.*; (\d+) of\nthem are the two lines of TagCLIP", page)
    assert said is not None
    tagclip = sum(seconds for (name, _), seconds in latest.items() if name.startswith("TagCLIP"))
    assert [int(number) for number in said.groups()] == [round(sum(latest.values()) / 60), round(tagclip / 60)]
