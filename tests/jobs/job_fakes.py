"""A scorer and a fitter that are slow and simple, files for them, and a job in a process that can be killed."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def make_folder(folder: Path, count: int, bad: tuple[int, ...] = ()) -> Path:
    for n in range(count):
        path = folder / f"{n % 3}" / f"{n:04d} ü.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if n in bad:
            path.write_bytes(b"not an image" if n % 2 else b"")
        else:
            pixels = np.random.default_rng(n).integers(0, 256, (6, 6, 3), np.uint8)
            Image.fromarray(pixels).save(path)
    (folder / "notes.txt").write_text("x")
    return folder


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


class FakeScorer:
    """Scores are the mean colours; a label from 0.5 on."""

    def __init__(self, seconds: float = 0.0, fingerprint: str = "f") -> None:
        self.label_names = ["röd", "grön, ljus", "blå"]
        self.fingerprint, self.seconds = fingerprint, seconds
        self.batches: list[int] = []

    def preprocess(self, image: Image.Image) -> Tensor:
        return tensor(image)

    def score(self, images: Tensor) -> Tensor:
        time.sleep(self.seconds)
        self.batches.append(len(images))
        return (images.mean(dim=(2, 3)) + 1e-3 * len(images)).clamp(max=1.0)  # shows which batch an image was in

    def decide(self, scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
        return scores.double().numpy(), scores.numpy() >= 0.5


class FakeFitter:
    """Its state depends on the order of images and batches, more than any honest learner's."""

    def __init__(self, seconds: float = 0.0, fingerprint: str = "f") -> None:
        self.fingerprint, self.seconds = fingerprint, seconds
        self.total, self.count = torch.zeros(3), torch.zeros((), dtype=torch.int64)
        self.seen = torch.zeros(0, dtype=torch.int64)

    def preprocess(self, image: Image.Image) -> Tensor:
        return tensor(image)

    def update(self, images: Tensor, indices: list[int]) -> None:
        time.sleep(self.seconds)
        self.total = 0.9 * self.total + images.mean(dim=(0, 2, 3))
        self.count = self.count + len(indices)
        self.seen = torch.cat([self.seen, torch.tensor(indices)])

    def state_dict(self) -> dict[str, Tensor]:
        return {"total": self.total, "count": self.count, "seen": self.seen, "shared": self.total}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.total, self.count, self.seen = state["total"], state["count"], state["seen"]

    def digest(self) -> str:
        parts = [self.total.numpy().tobytes(), self.seen.numpy().tobytes(), self.count.numpy().tobytes()]
        return hashlib.sha256(b"".join(parts)).hexdigest()


def kill_when(command: str, ready, folder: Path) -> None:
    """Run Python code in a process of its own and SIGKILL it as soon as `ready()`."""
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{command}"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=folder)
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline, "the job made no progress"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
