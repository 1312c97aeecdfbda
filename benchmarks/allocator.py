"""What it saves to keep freed memory (`piaa.cli.allocator`): fresh processes in turns, with and without.

python benchmarks/allocator.py --batch-size 8 --repeats 5
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from piaa.bench.machine import describe, pin_threads
from piaa.bench.output import machine_line
from piaa.vision.runtimes.timing import Spread, ratio

BARE = "open_clip alone"
IMAGES = 48


def encode(case: str, batch_size: int, keep: bool) -> dict[str, float]:
    """Milliseconds and page faults an image after one batch to warm up, and the process's greatest memory in MiB."""
    import torch

    from piaa.bench.work import Work, random_images, random_scorer
    from piaa.cli.allocator import keep_freed_memory
    from piaa.engine import Setup

    if keep and not keep_freed_memory():
        raise SystemExit("nothing to measure: this system has no glibc, or its environment forbids it")
    pin_threads(0)
    model = Work().load()
    images = torch.split(random_images(model, IMAGES), batch_size)
    scorer = None if case == BARE else random_scorer(Setup(model, case, model.preprocess(), batch_size), 80)

    @torch.no_grad()
    def run() -> None:
        for batch in images:
            model.clip.encode_image(batch) if scorer is None else scorer.decide(scorer.score(batch))

    run()
    faults, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
    run()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "ms": 1000 * seconds / IMAGES,
        "faults": (after.ru_minflt - faults) / IMAGES,
        "mib": after.ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--front-end", nargs="+", default=["clip", "sclip", "itaclip", "sc-clip"])
    parser.add_argument("--one", nargs=2, metavar=("CASE", "KEEP"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        case, keep = arguments.one
        print(json.dumps(encode(case, arguments.batch_size, keep == "True")))
        return
    pin_threads(0)
    print(machine_line(describe()), f"Batches of {arguments.batch_size}, fresh processes in turns.\n", sep="\n")
    cases = [(case, keep) for case in (BARE, *arguments.front_end) for keep in (False, True)]
    found: dict[tuple[str, bool], list[dict[str, float]]] = {case: [] for case in cases}
    for repeat in range(arguments.repeats):
        for case, keep in cases if repeat % 2 == 0 else cases[::-1]:
            command = [sys.executable, __file__, "--batch-size", str(arguments.batch_size), "--one", case, str(keep)]
            shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            found[case, keep].append(json.loads(shown.splitlines()[-1]))
    print("| case | freed memory | ms an image | page faults an image | most MiB | rate to open_clip alone |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    bare = [one["ms"] for one in found[BARE, False]]
    for (case, keep), values in found.items():
        ms, rate = Spread.of([one["ms"] for one in values]), ratio(bare, [one["ms"] for one in values])
        faults, mib = (Spread.of([one[key] for one in values]).median for key in ("faults", "mib"))
        print(
            f"| {case} | {'kept' if keep else 'given back'} | {ms.median:.1f} ({ms.low:.1f} to {ms.high:.1f}) "
            f"| {faults:.0f} | {mib:.0f} | {rate.median:.2f} ({rate.low:.2f} to {rate.high:.2f}) |"
        )


if __name__ == "__main__":
    main()
