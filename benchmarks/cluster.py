"""What a cluster does: kills, scaling, bytes that travel, and the merge tree of 1,000 workers.

    python benchmarks/cluster.py kills     20 kills in fits and 20 in tags, of processes and nodes of a cluster of three
    python benchmarks/cluster.py scaling   images a second with 1, 2, 4 and 8 workers that wait, with 1 and 2 that work
    python benchmarks/cluster.py evidence  bytes of the evidence of a block, first and later, and seconds of a merge
    python benchmarks/cluster.py tree      1,000 workers' evidence merged in a tree

    python benchmarks/cluster.py driver    images a second that the machine which began the run can take in

Each adds to one JSON file (--out). Only `kills` and `scaling` need Ray.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from cluster_kills import kills
from cluster_scaling import Given, scaling
from torch.nn import functional as F

from piaa.cluster.results import Result, limits_of, merge_into, merge_results, pruned, to_bytes
from piaa.method.evidence import Evidence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("docs/bench/cluster.json"))
    parser.add_argument("--kills", type=int, default=20, help="in all fits, and in all tags")
    parser.add_argument("--jobs", nargs="+", choices=["fit", "tag"], default=["fit", "tag"], help="kills: which")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1800, help="kills: end after so long")
    chosen = parser.parse_args()

    def keep(found: dict[str, Any]) -> None:
        measured = {**found, "machine": machine(), "command": " ".join(["python", *sys.argv])}
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        before = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
        chosen.out.write_text(json.dumps({**before, chosen.part: measured}, indent=2) + "\n")

    chosen.keep = keep
    found = PARTS[chosen.part](chosen)
    keep(found)
    print(json.dumps(found, indent=2))


def machine() -> dict[str, Any]:
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cpus": os.cpu_count(), "system": platform.platform(), "load_at_the_end": busy, "torch": torch.__version__}


# --- evidence --------------------------------------------------------------------------------------------------------


def synthetic(classes: int, dim: int, patches: int, seed: int = 0) -> Callable[[Evidence, int, int], None]:
    """A function that shows evidence some images: random unit vectors around random prototypes."""
    made = torch.Generator().manual_seed(seed)
    prototypes = F.normalize(torch.randn(classes, dim, generator=made), dim=1)

    def show(evidence: Evidence, first: int, count: int) -> None:
        for at in range(first, first + count, 32):
            own = torch.Generator().manual_seed(at + 1)
            n = min(32, first + count - at)
            near = prototypes[torch.randint(classes, (n, patches), generator=own)]
            found = near + 1.5 * torch.randn(n, patches, dim, generator=own) / dim**0.5
            evidence.update(found[:, 0], found, torch.arange(at, at + n), prototypes, 40.0)

    return show


def evidence(chosen: argparse.Namespace) -> dict[str, Any]:
    """Blocks of 512 images at the sizes of ViT-B/16 at 224 pixels and 80 classes, the limits set as the run goes on."""
    classes, dim, patches, bank, block, per_window = 80, 512, 196, 512, 512, 2
    show, so_far = synthetic(classes, dim, patches), Evidence(classes, dim, bank)
    rows, first = [], 0
    for window in range(4):
        limits = limits_of(so_far) if so_far.images else None
        for _ in range(per_window):
            own = Evidence(classes, dim, bank)
            show(own, first, block)
            whole = own.state_dict()
            data = to_bytes(pruned(whole, limits) if limits else whole)
            begin = time.perf_counter()
            merge_into(so_far, data)
            merge = time.perf_counter() - begin
            first += block
            rows.append({
                "window": window, "images_before": first - block, "bytes_whole": len(to_bytes(whole)),
                "bytes_sent": len(data), "merge_seconds": round(merge, 3),
            })  # fmt: skip
            print(rows[-1], flush=True)
    return {
        "what": "synthetic unit vectors, the sizes of ViT-B/16 at 224 pixels; real code for pruning and merging",
        "classes": classes, "dim": dim, "patches": patches, "bank": bank, "block": block, "blocks": rows,
    }  # fmt: skip


# --- tree ------------------------------------------------------------------------------------------------------------


def tree(chosen: argparse.Namespace) -> dict[str, Any]:
    """1,000 leaves merged by eights, one after another on this machine, against one flat gathering of the same."""
    classes, dim, patches, bank, workers, fan_in = 20, 64, 16, 64, 1000, 8
    show = synthetic(classes, dim, patches)
    whole, level = Evidence(classes, dim, bank, 200), []
    for worker in range(workers):
        own = Evidence(classes, dim, bank, 200)
        show(own, 32 * worker, 32)
        show(whole, 32 * worker, 32)
        level.append(Result(32 * worker, 32, {}, to_bytes(own.state_dict())))
    levels = []
    while len(level) > 1:
        sizes, begin, longest, merged = [len(each.data) for each in level], time.perf_counter(), 0.0, []
        for at in range(0, len(level), fan_in):
            one = time.perf_counter()
            merged.append(merge_results(level[at : at + fan_in]))
            longest = max(longest, time.perf_counter() - one)
        levels.append({
            "results": len(level), "bytes_moved": sum(sizes), "largest_result": max(sizes), "merges": len(merged),
            "seconds_one_after_another": round(time.perf_counter() - begin, 3),
            "seconds_of_the_longest_merge": round(longest, 3),
        })  # fmt: skip
        print(levels[-1], flush=True)
        level = merged
    return {
        "what": "1,000 workers' evidence of 32 synthetic images each, merged in one process by the code of the "
        "pipeline; no network; at the same time in parallel a level takes as long as its longest merge",
        "classes": classes, "dim": dim, "patches": patches, "bank": bank, "workers": workers, "fan_in": fan_in,
        "levels": levels, "equal_to_the_flat_gathering": level[0].data == to_bytes(whole.state_dict()),
        "seconds_if_levels_run_in_parallel": round(sum(each["seconds_of_the_longest_merge"] for each in levels), 3),
        "bytes_moved_in_all": sum(each["bytes_moved"] for each in levels),
    }  # fmt: skip


# --- driver ----------------------------------------------------------------------------------------------------------


def driver(chosen: argparse.Namespace) -> dict[str, Any]:
    """How many images a second the machine that began the run can take in, when workers cost nothing."""
    from piaa.cluster.results import scores_of
    from piaa.cluster.stream import Stream
    from piaa.inputs.items import Item
    from piaa.jobs import tag_job

    classes, count, block = 80, 20_000, 512
    scores = torch.rand(block, classes)

    def run(blocks: Any) -> Any:
        for each in blocks:
            n = len(each.items)
            yield Result(each.first, n, {}, scores[:n].numpy().tobytes())

    with tempfile.TemporaryDirectory() as name:
        items = [Item(f"{number}.jpg", Path(name) / f"{number}.jpg") for number in range(count)]
        begin = time.perf_counter()
        tag_job(Given(classes), Stream(items, block, run, scores_of), Path(name) / "t.jsonl", workers=0)
        seconds = time.perf_counter() - begin
    rate = round(count / seconds)
    return {"what": "tag_job with canned results of 80 classes, no Ray", "images": count, "images_per_second": rate}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "kills": kills, "scaling": scaling, "evidence": evidence, "tree": tree, "driver": driver,
}  # fmt: skip

if __name__ == "__main__":
    main()
