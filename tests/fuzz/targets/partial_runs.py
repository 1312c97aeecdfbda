"""What a killed run leaves in `OUT.partial`: the manifest of fit and of tag, and the checkpoint of fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from piaa.errors import InputError
from piaa.jobs import fit_job, tag_job
from piaa.method.evidence import Evidence

from ..harness import Seed, Target

WHAT = ("manifest.json", "checkpoint.safetensors")
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


class _Scorer(_Fitter):
    """Stops at the second batch, unless told to go on."""

    fingerprint = "scorer"
    label_names = ("cat", "dog")
    left = 10**9

    def score(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise _Killed
        return images[:, :2, 0, 0] / 255

    def decide(self, scores: Tensor) -> tuple[Any, Any]:
        return scores.double().numpy(), (scores > 0.5).numpy()


class _Killed(Exception):
    pass


def seeds(folder: Path) -> list[Seed]:
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    for number in range(6):
        Image.new("RGB", (2, 2), (40 * number, 9, 200)).save(photos / f"{number}.png")
    _stopped(folder)
    found = []
    for home in (folder / "c.piaa.partial", folder / "t.jsonl.partial"):
        for path in sorted(path for path in home.rglob("*") if path.name in WHAT):
            found.append(Seed(path.read_bytes(), f"/{path.relative_to(folder)}"))
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
        _tag(folder, _Scorer(), resume=True)


def _stopped(folder: Path) -> None:
    for job in ("c.piaa", "t.jsonl"):
        shutil.rmtree(folder / f"{job}.partial", ignore_errors=True)
    scorer = _Scorer()
    scorer.left = 1
    for run in (lambda: _fit(folder, finish=_fail), lambda: _tag(folder, scorer)):
        try:
            run()
        except (_Killed, InputError):
            continue


def _fail() -> None:
    raise _Killed


def _fit(folder: Path, **options: Any) -> None:
    fit_job(_Fitter(), folder / "photos", out=folder / "c.piaa", batch_size=2, workers=0, checkpoint_every=2, **options)


def _tag(folder: Path, scorer: _Scorer, **options: Any) -> None:
    tag_job(scorer, folder / "photos", folder / "t.jsonl", batch_size=2, workers=0, shard_size=2, **options)


TARGET = Target("partial-runs", seeds, read, memory=600)  # a sample of whole images may take 256 MiB
