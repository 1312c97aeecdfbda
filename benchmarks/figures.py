"""The figures that docs/performance.md is about, from the results of whole runs of `piaa bench --out`.

python benchmarks/figures.py run-1.json run-2.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

RATES = {"clip": 0.97, "sclip": 0.97, "itaclip": 1.0, "sc-clip": 1.0}
"""Tagging from tensors, a multiple of the bare encoder's rate."""


def rows_of(run: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Figure, goal, what was reached, and whether the goal was."""
    tagging, fitting, cold = run["tagging"], run["fitting"], run["cold_start"]
    rows = []
    for name, goal in RATES.items():
        rate = tagging["rate_to_bare"][f"tensors {name}"]["median"]
        rows.append((f"tagging from tensors to bare, {name}", f"{goal:.2f}", f"{rate:.3f}", rate >= goal))
    for kind, what, goal in (
        ("one_pass_to_two_models", "one pass to two models", 1.9),
        ("files_to_tensors", "from JPEG files to tensors", 0.95),
    ):
        for name in RATES:
            rate = tagging[kind][name]["median"]
            rows.append((f"{what}, {name}", f"{goal:.2f}", f"{rate:.2f}", rate >= goal))
    rest = 1 - fitting["shares"]["encoder"]
    rows.append((f"fitting: all but the encoder, C = {fitting['classes']}", "3%", f"{rest:.1%}", rest <= 0.03))
    for row in run["alone"]:
        if (row["classes"], row["dim"]) == (1000, 512):
            seconds = row["closed_form_seconds"]["median"]
            rows.append(("closed form at C = 1,000, d = 512, K = 512", "2 s", f"{seconds:.2f} s", seconds < 2))
    ratio, seconds = cold["ratio"]["median"], cold["help"]["median"]
    rows.append(("one image from a cold start, to importing and loading", "1.5", f"{ratio:.2f}", ratio <= 1.5))
    rows.append(("`piaa --help`", "0.4 s", f"{seconds:.2f} s", seconds < 0.4))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    runs = [rows_of(json.loads(path.read_text())) for path in parser.parse_args().runs]
    print(f"| figure | goal | {' | '.join(f'run {number + 1}' for number in range(len(runs)))} |")
    print(f"|---|---|{'---|' * len(runs)}")
    for same in zip(*runs, strict=True):
        cells = [reached if good else f"**{reached}**" for _, _, reached, good in same]
        print(f"| {same[0][0]} | {same[0][1]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
