"""Fitting: a learner that was killed ends where it would have, and a changed folder is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from job_fakes import FakeFitter, kill_when, make_folder
from PIL import Image
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.jobs import fit_job

COMMAND = """
from job_fakes import FakeFitter
from piaa.jobs import fit_job
fit_job(FakeFitter(0.05), "in", out="c.piaa", batch_size=3, checkpoint_every=7)
"""


class Interrupted(Exception):
    pass


class StopsAfter(FakeFitter):
    """Dies in its n-th batch."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def update(self, images: Tensor, indices: list[int]) -> None:
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        super().update(images, indices)


def test_killed_and_resumed_ends_in_the_same_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "in", 60, bad=(3, 8, 21, 44, 59))
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "c.piaa.partial" / "checkpoint.safetensors"
    kill_when(COMMAND, checkpoint.exists, tmp_path)
    fitter, whole = FakeFitter(), FakeFitter()
    seen: list[int] = []
    resumed = fit_job(fitter, "in", out="c.piaa", batch_size=3, resume=True, progress=lambda done, _: seen.append(done))
    plain = fit_job(whole, "in", out="w.piaa", batch_size=3, checkpoint_every=7)
    assert seen[0] > 7  # not from the beginning
    assert fitter.digest() == whole.digest() and int(whole.count) == 55
    assert (resumed.images, resumed.tagged, resumed.failed) == (plain.images, plain.tagged, plain.failed)
    assert Path("c.piaa.errors.jsonl").read_bytes() == Path("w.piaa.errors.jsonl").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("batches", [0, 1, 3, 5, 9])
def test_wherever_it_stops(tmp_path: Path, batches: int) -> None:
    folder, out = make_folder(tmp_path / "in", 23, bad=(1, 11)), tmp_path / "c.piaa"
    with pytest.raises(Interrupted):
        fit_job(StopsAfter(batches), folder, out=out, batch_size=2, checkpoint_every=5)
    fitter, whole = FakeFitter(), FakeFitter()
    summary = fit_job(fitter, folder, out=out, batch_size=2, resume=True)
    fit_job(whole, folder, out=tmp_path / "w.piaa", batch_size=2, checkpoint_every=5)
    assert fitter.digest() == whole.digest() and sorted(fitter.seen.tolist()) == fitter.seen.tolist()
    assert (summary.tagged, summary.failed, summary.skipped) == (21, 2, 1)


def test_checkpoint_outlives_a_failed_finish(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 8), tmp_path / "c.piaa"

    def fail() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        fit_job(FakeFitter(), folder, out=out, finish=fail)
    fitter = FakeFitter(seconds=1e6)  # would never return, were it asked to learn again
    fit_job(fitter, folder, out=out, resume=True, finish=lambda: out.write_text(fitter.digest()))
    whole = FakeFitter()
    fit_job(whole, folder, out=tmp_path / "w.piaa")
    assert out.read_text() == whole.digest() and not (tmp_path / "c.piaa.partial").exists()


def test_resume_refuses_another_learner(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 12), tmp_path / "c.piaa"
    with pytest.raises(Interrupted):
        fit_job(StopsAfter(3), folder, out=out, batch_size=2, checkpoint_every=4)
    fitter, wanted = FakeFitter(fingerprint="g"), "the labels, the model or the recipe"
    with pytest.raises(InputError, match=f"cannot resume, since these changed .*: {wanted}; use"):
        fit_job(fitter, folder, out=out, resume=True)
    assert int(fitter.count) == 0


@pytest.mark.parametrize("change", ["removed", "renamed", "added first", "added last"])
def test_resume_begins_anew_where_images_changed_and_goes_on_where_not(tmp_path: Path, change: str) -> None:
    folder, out = make_folder(tmp_path / "in", 12, bad=(3,)), tmp_path / "c.piaa"
    with pytest.raises(Interrupted):
        fit_job(StopsAfter(3), folder, out=out, batch_size=2, checkpoint_every=4)
    path = folder / "0" / "0006 ü.png"
    if change == "removed":
        path.unlink()
    if change == "renamed":
        path.rename(path.with_name("0.png"))
    if change.startswith("added"):
        Image.new("RGB", (6, 6)).save(folder / ("0" if "first" in change else "2") / "0.png")
    if change == "added last":
        (folder / "2" / "0.png").rename(folder / "2" / "z.png")
    seen: list[int] = []
    fitter, whole = FakeFitter(), FakeFitter()
    summary = fit_job(fitter, folder, out=out, resume=True, progress=lambda done, total: seen.append(done))
    plain = fit_job(whole, folder, out=tmp_path / "w.piaa", batch_size=2, checkpoint_every=4)
    assert fitter.digest() == whole.digest()
    assert (summary.images, summary.failed) == (plain.images, plain.failed)
    assert (tmp_path / "c.piaa.errors.jsonl").read_bytes() == (tmp_path / "w.piaa.errors.jsonl").read_bytes()
    assert (seen[0] > 4) == (change == "added last")
    assert any("begun anew" in notice for notice in summary.notices) == (change != "added last")


def test_images_added_after_the_last_checkpoint_begin_anew(tmp_path: Path) -> None:
    """The last batch was a smaller one, which an undisturbed run over more images would not have."""
    folder, out = make_folder(tmp_path / "in", 7), tmp_path / "c.piaa"

    def fail() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        fit_job(FakeFitter(), folder, out=out, batch_size=2, checkpoint_every=4, finish=fail)
    Image.new("RGB", (6, 6)).save(folder / "2" / "z.png")
    fitter, whole = FakeFitter(), FakeFitter()
    fit_job(fitter, folder, out=out, resume=True)
    fit_job(whole, folder, out=tmp_path / "w.piaa", batch_size=2, checkpoint_every=4)
    assert fitter.digest() == whole.digest() and int(fitter.count) == 8


def test_damaged_checkpoint(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "in", 12), tmp_path / "c.piaa"
    with pytest.raises(Interrupted):
        fit_job(StopsAfter(3), folder, out=out, batch_size=2, checkpoint_every=4)
    checkpoint = tmp_path / "c.piaa.partial" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-4])
    with pytest.raises(InputError, match="checkpoint does not fit or is damaged"):
        fit_job(FakeFitter(), folder, out=out, resume=True)


def test_strict_and_bad_places(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 6, bad=(2,))
    with pytest.raises(ImageError, match="0002"):
        fit_job(FakeFitter(), folder, out=tmp_path / "c.piaa", strict=True)
    (error,) = (tmp_path / "c.piaa.errors.jsonl").read_text().splitlines()
    assert json.loads(error)["stage"] == "read"
    with pytest.raises(InputError, match="does not exist"):
        fit_job(FakeFitter(), folder, out=tmp_path / "no" / "c.piaa")
    with pytest.raises(InputError, match="no images given"):
        fit_job(FakeFitter(), [], out=tmp_path / "c.piaa")
    summary = fit_job(FakeFitter(), [Image.new("RGB", (6, 6))] * 5, out=tmp_path / "d.piaa")
    assert (summary.images, summary.tagged, summary.errors_path) == (5, 5, None)
