"""Memory while 10,000 images are fitted and tagged: it must be flat after the first 1,000.

python benchmarks/memory.py --images 10000 --out docs/memory.png
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from piaa.cli.allocator import keep_freed_memory
from piaa.jobs import fit_job, tag_job
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder


def resident_mib() -> float:
    """Resident memory of this process, from the kernel."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("memory.png"))
    arguments = parser.parse_args()
    keep_freed_memory()  # as the command line does
    curves: dict[str, list[tuple[int, float]]] = {"fit": [], "tag": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene_folder(folder / "images", 21, "unlabelled", arguments.images)
        recognizer = Recognizer(object_names())
        learner = recognizer.learner()

        def watch(job: str):
            return lambda done, total: curves[job].append((done, resident_mib()))

        fit_job(learner, folder / "images", out=folder / "x.piaa", progress=watch("fit"))
        recognizer.adopt(learner).save(folder / "x.piaa")
        tag_job(recognizer.scorer(), folder / "images", out=folder / "tags.parquet", progress=watch("tag"))
    draw(curves, arguments.out)
    for job, curve in curves.items():
        first = max(value for done, value in curve if done <= 1000)
        last = max(value for _, value in curve)
        print(f"{job}: {first:.0f} MiB at most in the first 1,000 images, {last:.0f} MiB at most in all {curve[-1][0]}")


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for job, curve in curves.items():
        axes.plot([done for done, _ in curve], [value for _, value in curve], label=job)
    axes.set(xlabel="images", ylabel="resident memory, MiB", ylim=(0, 1.2 * axes.get_ylim()[1]))
    axes.legend()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
