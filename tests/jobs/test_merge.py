"""Shards of tags put together are one machine's tags, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_fakes import FakeScorer, make_folder

from piaa.errors import InputError
from piaa.jobs import Layout, Share, parse_share, tag_job
from piaa.jobs.merge import merge_parts


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


@pytest.mark.parametrize(("shards", "partition"), [(2, ""), (3, "folder"), (3, "day=1")])
def test_merged_shards_are_one_machines_tags(
    tmp_path: Path, shards: int, partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folder, layout = make_folder(tmp_path / "in", 50, bad=(4, 5)), Layout(True, partition=partition)
    options = {"batch_size": 2, "shard_size": 2, "layout": layout}
    whole = tag_job(FakeScorer(), folder, tmp_path / "whole", **options)
    places = [tmp_path / f"part-{n}" for n in range(1, shards + 1)]
    done = [tag_job(FakeScorer(), folder, p, share=Share(n, shards), **options) for n, p in enumerate(places, 1)]
    assert sum(summary.images for summary in done) == whole.images == 50
    counts = merge_parts(list(reversed(places)), tmp_path / "merged")
    assert files(tmp_path / "merged") == files(tmp_path / "whole")
    assert counts == {"rows": 50, "failed": 2, "gone": 0, "tagged": 48}
    assert not list(tmp_path.glob("*.partial")) and not list(tmp_path.glob("*.lock"))
    if partition != "folder":  # whose parts have their own order
        for ending in ("jsonl", "csv", "parquet"):
            merge_parts(places, tmp_path / f"m.{ending}")
            tag_job(FakeScorer(), folder, tmp_path / f"w.{ending}", batch_size=2, shard_size=2, all_scores=True)
            assert (tmp_path / f"m.{ending}").read_bytes() == (tmp_path / f"w.{ending}").read_bytes()
    with pytest.raises(InputError, match="missing: 1/"):
        merge_parts(places[1:], tmp_path / "other")


def test_what_is_not_of_one_run(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 8)
    tag_job(FakeScorer(), folder, tmp_path / "a", share=Share(1, 2), shard_size=2)
    tag_job(FakeScorer(fingerprint="g"), folder, tmp_path / "b", share=Share(2, 2), shard_size=2)
    tag_job(FakeScorer(), folder, tmp_path / "c", share=Share(2, 2), shard_size=2, all_scores=True)
    (folder / "0" / "0000 ü.png").unlink()
    tag_job(FakeScorer(), folder, tmp_path / "d", share=Share(2, 2), shard_size=2)
    for name, reason in (("b", "another classifier"), ("c", "other columns"), ("d", "other images")):
        with pytest.raises(InputError, match=reason):
            merge_parts([tmp_path / "a", tmp_path / name], tmp_path / "m")
    with pytest.raises(InputError, match="no manifest"):
        merge_parts([tmp_path / "a", folder], tmp_path / "m")
    empty = tag_job(FakeScorer(), folder, tmp_path / "e", share=Share(9, 9), shard_size=2)
    assert empty.images == 0 and files(tmp_path / "e") == {}


def test_which_shard() -> None:
    assert parse_share("2/8") == Share(2, 8) and parse_share(None) == Share(1, 1)
    owners = [[n for n in range(10) if Share(index, 3).owns(n)] for index in (1, 2, 3)]
    assert sorted(n for owned in owners for n in owned) == list(range(10))
    for text in ("0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/"):
        with pytest.raises(InputError, match="--shard"):
            parse_share(text)
