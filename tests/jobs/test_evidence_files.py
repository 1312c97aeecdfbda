"""Evidence in files: shards put together, and images added later, give the bytes of one fit of all."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from job_fakes import make_folder, tensor
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from piaa.engine import Learner
from piaa.errors import InputError
from piaa.jobs import Share, Stop, fit_job
from piaa.jobs.evidence import keeper_of, merge_evidence, read_evidence
from piaa.method.recipes import get_recipe
from piaa.vision.encoder import Encoded
from piaa.vocabulary.labels import Label

OPTIONS: dict[str, Any] = {"batch_size": 3, "checkpoint_every": 8}


class FakeSetup:
    """Embeddings that depend on the batch an image is in, as those of real models do in their last digits."""

    preprocess = staticmethod(tensor)

    def describe(self) -> dict[str, Any]:
        return {"model": "fake", "pretrained": ""}

    def encoder(self) -> Any:
        mixing = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 8))).float()

        def encode(images: Tensor) -> Encoded:
            patches = images.flatten(2).transpose(1, 2) @ mixing + 1e-3 * len(images)
            return Encoded(patches.mean(dim=1), patches, (6, 6))

        return encode


def learner(names: str = "abcd") -> Learner:
    prototypes = F.normalize(torch.from_numpy(np.random.default_rng(2).normal(size=(len(names), 8))).float(), dim=-1)
    recipe = get_recipe("default")
    return Learner(FakeSetup(), [Label(name) for name in names], prototypes, recipe)  # type: ignore[arg-type]


def fitted(inputs: Any, out: Path, old: Path | None = None, share: Share | None = None, **more: Any) -> SimpleNamespace:
    learns = learner()
    keep = keeper_of(learns, out.with_suffix(".evidence"), ["{}"], "default", old)
    finish = None if share else lambda: learns.finish().save(out)
    summary = fit_job(learns, inputs, out=out, finish=finish, share=share, keep=keep, **{**OPTIONS, **more})
    return SimpleNamespace(summary=summary, evidence=out.with_suffix(".evidence"))


@pytest.mark.parametrize("count", [16, 27, 31, 32])
@pytest.mark.parametrize("shards", [2, 3])
def test_merged_shards_are_one_machines_fit(tmp_path: Path, count: int, shards: int) -> None:
    folder = make_folder(tmp_path / "in", count, bad=(2, 9, 14))
    whole = fitted(folder, tmp_path / "w.piaa")
    parts = [fitted(folder, tmp_path / f"{n}.piaa", share=Share(n, shards)) for n in range(1, shards + 1)]
    assert sum(part.summary.images for part in parts) == count == whole.summary.images
    files = [read_evidence(part.evidence) for part in reversed(parts)]
    merged = merge_evidence(files)
    merged.write(tmp_path / "m.evidence")
    assert (tmp_path / "m.evidence").read_bytes() == whole.evidence.read_bytes()
    learns = learner()
    learns.evidence = merged.whole()
    learns.finish().save(tmp_path / "m.piaa")
    assert (tmp_path / "m.piaa").read_bytes() == (tmp_path / "w.piaa").read_bytes()
    with pytest.raises(InputError, match=f"not each shard once: missing: 1/{shards}"):
        merge_evidence(files[:-1])
    with pytest.raises(InputError, match=f"given twice: 1/{shards}"):
        merge_evidence([*files, files[-1]])


def test_shards_that_saw_different_images_do_not_merge(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 16)
    one = fitted(folder, tmp_path / "1.piaa", share=Share(1, 2))
    Image.new("RGB", (6, 6)).save(folder / "new.png")
    two = fitted(folder, tmp_path / "2.piaa", share=Share(2, 2))
    with pytest.raises(InputError, match="saw different images"):
        merge_evidence([read_evidence(one.evidence), read_evidence(two.evidence)])


@pytest.mark.parametrize("before", [3, 8, 10, 12, 17, 23])
def test_an_update_is_a_fit_of_all(tmp_path: Path, before: int) -> None:
    make_folder(tmp_path / "in", 24, bad=(4, 11, 22))
    paths = sorted((tmp_path / "in").rglob("*.png"), key=lambda path: path.name)
    old = fitted(paths[:before], tmp_path / "old.piaa")
    new = fitted(paths, tmp_path / "new.piaa", old=old.evidence)
    whole = fitted(paths, tmp_path / "w.piaa")
    assert (tmp_path / "new.piaa").read_bytes() == (tmp_path / "w.piaa").read_bytes()
    assert new.summary.images <= 24 - before + 3  # and the last batch of before
    again = fitted(paths, tmp_path / "again.piaa", old=new.evidence)
    assert (tmp_path / "again.piaa").read_bytes() == (tmp_path / "w.piaa").read_bytes()
    assert again.summary.images <= 3 and whole.summary.images == 24


def test_an_update_says_when_images_of_the_last_batch_are_gone(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 14)
    paths = sorted((tmp_path / "in").rglob("*.png"), key=lambda path: path.name)
    old = fitted(paths[:10], tmp_path / "old.piaa")
    paths[9].unlink()
    new = fitted([*paths[:9], *paths[10:]], tmp_path / "new.piaa", old=old.evidence)
    assert "1 images of the earlier fit's last batch" in new.summary.notices[0]
    fitted([*paths[:9], *paths[10:]], tmp_path / "w.piaa")
    assert (tmp_path / "new.piaa").read_bytes() == (tmp_path / "w.piaa").read_bytes()


@pytest.mark.parametrize("at", [2, 9, 12, 18])
def test_a_stopped_fit_that_keeps_evidence_ends_in_the_same_bytes(tmp_path: Path, at: int) -> None:
    folder, stop = make_folder(tmp_path / "in", 21, bad=(5,)), Stop()
    whole = fitted(folder, tmp_path / "w.piaa")
    with pytest.raises(Exception, match="stopped by"):
        fitted(folder, tmp_path / "s.piaa", stop=stop, progress=lambda seen, total: stop.ask() if seen >= at else None)
    resumed = fitted(folder, tmp_path / "s.piaa", resume=True)
    assert (tmp_path / "s.piaa").read_bytes() == (tmp_path / "w.piaa").read_bytes()
    assert resumed.evidence.read_bytes() == whole.evidence.read_bytes()


def test_evidence_that_cannot_be_used(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 16)
    part = fitted(folder, tmp_path / "p.piaa", share=Share(1, 2))
    with pytest.raises(InputError, match="shard 1/2 of a run"):
        keeper_of(learner(), tmp_path / "x.evidence", ["{}"], "default", part.evidence)
    with pytest.raises(InputError, match="other labels"):
        keeper_of(learner("abc"), tmp_path / "x.evidence", ["{}"], "default", part.evidence)
    part.evidence.write_bytes(part.evidence.read_bytes()[:-9])
    with pytest.raises(InputError, match="no evidence"):
        read_evidence(part.evidence)
    with pytest.raises(InputError, match="no evidence"):
        read_evidence(tmp_path / "nothing.evidence")
