"""A job for every night: fit once, tag what came in, look at the errors, ask the table.

    python examples/nightly.py        # drawn scenes and the small model of the package

Run it twice: the second run finds its classifier and only tags.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from piaa import Recognizer
from piaa.jobs import fit_job, tag_job
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("example-nightly"))
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()

    incoming = options.out / "incoming"
    write_scene_folder(incoming, seed=7, split="unlabelled", count=options.images)
    (incoming / "broken.jpg").write_bytes(b"a download that was cut off")

    recognizer = fitted(options.out / "shop.piaa", incoming)
    scorer = recognizer.scorer()
    out = options.out / "tags.parquet"
    summary = tag_job(scorer, incoming, out=out, resume=True, batch_size=scorer.setup.decoded_together)
    print(f"{summary.tagged} tagged, {summary.failed} failed, {summary.seconds:.1f} s")

    if summary.errors_path:
        for line in summary.errors_path.read_text(encoding="utf-8").splitlines():
            error = json.loads(line)
            print(f"not tagged: {error['path']}: {error['reason']}")
    labels = pq.read_table(out, columns=["labels"])["labels"].to_pylist()
    counts = Counter(entry["label"] for row in labels for entry in row)
    print("most frequent:", ", ".join(f"{name} ({count})" for name, count in counts.most_common(5)))


def fitted(path: Path, images: Path) -> Recognizer:
    """The classifier of the file, learnt where there is none yet; a killed fit goes on."""
    if path.is_file():
        return Recognizer.load(path)
    recognizer = Recognizer(object_names())
    learner = recognizer.learner()
    together = learner.setup.decoded_together
    fit_job(
        learner, images, out=path, resume=True, batch_size=together,
        finish=lambda: recognizer.adopt(learner).save(path),
    )  # fmt: skip
    return recognizer


if __name__ == "__main__":
    main()
