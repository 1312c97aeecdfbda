"""What a stopped run leaves in `OUT.partial`: manifest, checkpoint and errors of fit, manifest and shards of tag."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from piaa.errors import InterruptedRun
from piaa.jobs import fit_job, tag_job
from piaa.jobs.signals import Stop
from piaa.method.evidence import Evidence

from ..harness import Seed, Target

RUNS = ("c.piaa", "t.jsonl", "parts")
PROTOTYPES = torch.eye(2, 4)


class _Fitter:
    """Learns from four numbers of an image; what it learns is real evidence."""

    fingerprint = "fitter"

    def __init__(self) -> None:
        self.evidence = Evidence(2, 4, 8, 4)

    def preprocess(self, image: Image.Image, /) -> Tensor:
        red, green, blue = image.getpixel((0, 0))  # type: ignore[misc]
        return torch.tensor([1.0, red, green, blue]).reshape(4, 1, 1)

    def update(self, images: Tensor, indices: list[int]) -> None:
        flat = images.reshape(len(images), 4)
        self.evidence.update(flat, flat[:, None].repeat(1, 3, 1), torch.tensor(indices), PROTOTYPES, 10.0)

    def state_dict(self) -> dict[str, Tensor]:
        return self.evidence.state_dict()

    def load_state_dict(self, state: dict[str, Tensor], /) -> None:
        self.evidence.load_state_dict(state)


class Scorer(_Fitter):
    """Counts its batches; a run that is to be stopped is stopped after `last` of them."""

    fingerprint = "scorer"
    label_names = ("cat", "dog")

    def __init__(self, last: int = 0) -> None:
        self.last, self.stop = last, Stop()

    def score(self, images: Tensor) -> Tensor:
        self.last -= 1
        if self.last == 0:
            self.stop.ask()
        return images[:, :2, 0, 0] / 255

    def decide(self, scores: Tensor) -> tuple[Any, Any]:
        return scores.double().numpy(), (scores > 0.5).numpy()


def seeds(folder: Path) -> list[Seed]:
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    for number in range(8):
        Image.new("RGB", (2, 2), (255 - 30 * number, 9, 200)).save(photos / f"{number}.png")
    (photos / "1.png").write_bytes(b"no picture")
    _stopped(folder)
    found = []
    for run in RUNS:
        home = folder / f"{run}.partial"
        found += [
            Seed(path.read_bytes(), f"/{path.relative_to(folder)}") for path in sorted(home.iterdir()) if path.is_file()
        ]
        kept = folder / "kept" / home.name
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(home, kept)
    return found


def read(data: bytes, suffix: str, folder: Path) -> None:
    job = Path(suffix[1:]).parts[0]
    shutil.rmtree(folder / job, ignore_errors=True)
    shutil.copytree(folder / "kept" / job, folder / job)
    (folder / suffix[1:]).write_bytes(data)
    if job.startswith("c."):
        _fit(folder, resume=True)
    else:
        _tag(folder, job.removesuffix(".partial"), Scorer(), resume=True)


def _stopped(folder: Path) -> None:
    """Leave a fit that was killed before its end, and two runs of tag that were stopped in their second shard."""
    for run in RUNS:
        shutil.rmtree(folder / f"{run}.partial", ignore_errors=True)
    with contextlib.suppress(_Killed):
        _fit(folder, finish=_fail)
    for run in RUNS[1:]:
        with contextlib.suppress(InterruptedRun):
            scorer = Scorer(last=3)
            _tag(folder, run, scorer, stop=scorer.stop)


class _Killed(Exception):
    pass


def _fail() -> None:
    raise _Killed


def _fit(folder: Path, **options: Any) -> None:
    fit_job(_Fitter(), folder / "photos", out=folder / "c.piaa", batch_size=2, workers=0, checkpoint_every=2, **options)


def _tag(folder: Path, out: str, scorer: Scorer, **options: Any) -> None:
    tag_job(scorer, folder / "photos", folder / out, batch_size=2, workers=0, shard_size=4, **options)


TARGET = Target("partial-runs", seeds, read, memory=600)  # a sample of whole images may take 256 MiB
