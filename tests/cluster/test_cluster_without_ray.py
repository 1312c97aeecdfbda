"""The cluster's own parts, with workers in this process: what is lost, doubled or shut out must show in the bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from cluster_world import BATCH, fit_here, photos, recognizer, tag_here
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load
from torch.nn import functional as F

from piaa.cluster import parse_cluster, spread, spread_fit, spread_tag, stream
from piaa.cluster.pipeline import FAN_IN, Block, Plan
from piaa.cluster.results import Limits, Result, evidence_of, limits_of, merge_into, merge_results, pruned, to_bytes
from piaa.cluster.workers import Worker, read_ahead
from piaa.engine import Learner
from piaa.errors import InputError
from piaa.inputs.items import Item
from piaa.jobs import fit_job, tag_job
from piaa.method.evidence import Evidence
from piaa.recognizer import Recognizer

BLOCK, COUNT, BROKEN = 4, 25, (3, 8, 9, 10, 11, 24)


class Here:
    """In the place of Ray: one worker in this process, merging like the pipeline, failing when told to."""

    workers: ClassVar[dict[str, Worker]] = {}  # loaded once for all tests

    def __init__(self) -> None:
        self.fail_after: list[int] = []
        self.blocks = 0

    def run(self, blocks: Sequence[Block], plan: Plan, limits: Limits | None) -> Iterator[Result]:
        key = plan.make.func.__name__  # type: ignore[attr-defined]
        if key not in self.workers:
            self.workers[key] = plan.make()
        results = self._results(self.workers[key], blocks, limits)
        fan_in = FAN_IN if plan.merge else 1
        taken: list[Result] = []
        for result in results:
            taken.append(result)
            if len(taken) == fan_in:
                yield merge_results(taken) if plan.merge else taken[0]
                taken = []
        if taken:
            yield merge_results(taken)

    def _results(self, worker: Worker, blocks: Sequence[Block], limits: Limits | None) -> Iterator[Result]:
        for block in blocks:
            if self.fail_after and self.blocks == self.fail_after[0]:
                self.fail_after.pop(0)
                raise RuntimeError("a node was lost")
            self.blocks += 1
            yield worker.work(block.first, read_ahead(block.items), limits)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    place = Here()
    monkeypatch.setattr(spread, "run_blocks", place.run)
    monkeypatch.setattr(spread, "connect", lambda: None)
    monkeypatch.setattr(stream, "FIRST_WINDOW", 2)
    return place


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cluster")
    photos(root / "photos", COUNT, BROKEN)
    fit_here(root / "photos", root / "c.piaa", BLOCK)
    tag_here(root / "photos", root / "c.piaa", root / "t.jsonl", BLOCK)
    return root


@cache
def made() -> Learner:
    """What is the same in all fits; to load the model is what takes long."""
    return recognizer().learner()


def fit_there(world: Path, out: Path, checkpoint_every: int = BLOCK, **options: Any) -> stream.Stream:
    maker = recognizer()
    learner = Learner(made().setup, made().labels, made().prototypes, made().recipe)
    with spread_fit("ray", maker, learner, world / "photos", block=BLOCK) as job:
        fit_job(
            job.worker, job.images, out=out, batch_size=BATCH, workers=job.threads, checkpoint_every=checkpoint_every,
            finish=options.pop("finish", lambda: maker.adopt(learner).save(out)), **options,
        )  # fmt: skip
        return job.stream


@cache
def loaded_from(path: Path) -> Recognizer:
    return Recognizer.load(path, device="cpu", batch_size=BATCH)


def tag_there(world: Path, out: Path, **options: Any) -> stream.Stream:
    loaded = loaded_from(world / "c.piaa")
    with spread_tag("ray", loaded, loaded.scorer(), world / "photos", block=BLOCK) as job:
        tag_job(
            job.worker, job.images, out, batch_size=BATCH, workers=job.threads, all_scores=True, shard_size=BLOCK,
            **options,
        )  # fmt: skip
        return job.stream


def errors_of(out: Path) -> bytes:
    return out.with_name(out.name + ".errors.jsonl").read_bytes()


def test_a_fit_has_the_bytes_of_one_machine(world: Path, here: Here, tmp_path: Path) -> None:
    fit_there(world, tmp_path / "c.piaa")
    assert (tmp_path / "c.piaa").read_bytes() == (world / "c.piaa").read_bytes()
    assert errors_of(tmp_path / "c.piaa") == errors_of(world / "c.piaa")
    assert here.blocks == -(-COUNT // BLOCK)


def test_tags_have_the_bytes_of_one_machine(world: Path, here: Here, tmp_path: Path) -> None:
    tag_there(world, tmp_path / "t.jsonl")
    assert (tmp_path / "t.jsonl").read_bytes() == (world / "t.jsonl").read_bytes()
    assert errors_of(tmp_path / "t.jsonl") == errors_of(world / "t.jsonl")


@pytest.mark.parametrize("fails", [[0], [1, 1, 4], [6]])
def test_what_is_lost_is_done_again_and_only_once(world: Path, here: Here, fails: list[int], tmp_path: Path) -> None:
    here.fail_after = list(fails)
    done = fit_there(world, tmp_path / "c.piaa")
    assert done.traffic.restarts == len(fails)
    assert (tmp_path / "c.piaa").read_bytes() == (world / "c.piaa").read_bytes()
    here.blocks, here.fail_after = 0, list(fails)
    assert tag_there(world, tmp_path / "t.jsonl").traffic.restarts == len(fails)
    assert (tmp_path / "t.jsonl").read_bytes() == (world / "t.jsonl").read_bytes()


def test_a_cluster_that_keeps_failing_ends_the_job_and_it_can_go_on(world: Path, here: Here, tmp_path: Path) -> None:
    here.fail_after = [4] * stream.TRIES
    with pytest.raises(InputError, match=r"cannot go on: RuntimeError: a node was lost.*--resume"):
        fit_there(world, tmp_path / "c.piaa")
    assert not (tmp_path / "c.piaa").exists()
    fit_there(world, tmp_path / "c.piaa", resume=True)
    assert (tmp_path / "c.piaa").read_bytes() == (world / "c.piaa").read_bytes()
    here.blocks, here.fail_after = 0, [4] * stream.TRIES
    with pytest.raises(InputError, match="cannot go on"):
        tag_there(world, tmp_path / "t.jsonl")
    tag_there(world, tmp_path / "t.jsonl", resume=True)
    assert (tmp_path / "t.jsonl").read_bytes() == (world / "t.jsonl").read_bytes()


@pytest.mark.parametrize("every", [BLOCK - 2, BLOCK, 2 * BLOCK])
def test_a_checkpoint_may_lie_within_what_came_together(world: Path, here: Here, every: int, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def killed(done: int, total: int | None) -> None:
        if done > 13:
            raise Killed

    with pytest.raises(Killed):
        fit_there(world, tmp_path / "c.piaa", every, progress=killed)
    fit_there(world, tmp_path / "c.piaa", every, resume=True)
    assert (tmp_path / "c.piaa").read_bytes() == (world / "c.piaa").read_bytes()


def test_a_fault_of_the_program_is_no_fault_of_an_image(
    world: Path, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(evidence: Evidence, data: bytes) -> None:
        raise KeyError("x")

    monkeypatch.setattr(spread, "merge_into", broken)
    with pytest.raises(InputError, match="cannot go on: KeyError"):
        fit_there(world, tmp_path / "c.piaa")


def gathered(seed: int, images: list[int]) -> Evidence:
    made = torch.Generator().manual_seed(seed)
    cls, patches = torch.randn(40, 6, generator=made), torch.randn(40, 9, 6, generator=made)
    prototypes = F.normalize(torch.randn(3, 6, generator=made), dim=1)
    evidence = Evidence(3, 6, 7, 5)
    for image in images:
        evidence.update(cls[[image]], patches[[image]], torch.tensor([image]), prototypes, 10.0)
    return evidence


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.permutations(range(40)), st.lists(st.integers(0, 40), max_size=4))
def test_what_the_limits_shut_out_could_not_have_entered(seed: int, order: list[int], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 40]
    whole, so_far = gathered(seed, order), gathered(seed, [])
    for start, end in pairwise(edges):
        state = gathered(seed, order[start:end]).state_dict()
        merge_into(so_far, to_bytes(pruned(state, limits_of(so_far))))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, so_far.state_dict()[name]), name


def test_what_cannot_enter_any_more_stays_behind() -> None:
    late = gathered(1, list(range(36, 40))).state_dict()
    kept = pruned(late, limits_of(gathered(1, list(range(36)))))
    assert 0 < len(kept["bank.entropy"]) < len(late["bank.entropy"]) / 2
    assert len(kept["sample.key"]) < len(late["sample.key"]) == 4
    assert torch.equal(kept["bank.shape"], late["bank.shape"])  # all are counted, those left out too
    assert torch.equal(kept["patch.second"], late["patch.second"])


def test_no_more_than_the_k_best_of_a_class_and_the_sample_travel_however_many_images() -> None:
    classes, k, dim, sample, patches = 3, 7, 6, 5, 9  # those of `gathered`
    few, many = (to_bytes(gathered(1, list(range(count))).state_dict()) for count in (30, 40))
    assert len(few) == len(many)
    state = evidence_of(many).state_dict()
    assert state["bank.classes"].bincount().tolist() == [k] * classes
    assert state["bank.patches"].nbytes == classes * k * dim * 4
    assert state["sample.patches"].nbytes == sample * patches * dim * 2
    blocks = [Result(at, 5, {}, to_bytes(gathered(1, list(range(at, at + 5))).state_dict())) for at in range(0, 40, 5)]
    assert sum(len(block.data) for block in blocks) > 4 * len(many)
    assert len(merge_results(blocks).data) == len(many)  # merged on the way, 8 results are no larger than one


def test_a_fit_takes_in_at_most_the_k_best_of_each_class_a_result(world: Path, here: Here, tmp_path: Path) -> None:
    results: list[Result] = []
    run = here.run
    here.run = lambda *given: (results.append(each) or each for each in run(*given))  # type: ignore[assignment,func-returns-value]
    spread.run_blocks = here.run
    done = fit_there(world, tmp_path / "c.piaa")
    assert done.traffic.sizes == [len(result.data) for result in results]
    k = evidence_of(results[0].data).bank.size
    assert k == 8 and all(int(evidence_of(result.data).bank.sizes.max()) <= k for result in results)
    late = [len(load(result.data)["bank.entropy"]) for result in results]
    assert late[-1] < late[0] == max(late)  # what came before shuts the rest out


def test_any_tree_of_merges_gives_the_same() -> None:
    blocks = [Result(at, 5, {}, to_bytes(gathered(1, list(range(at, at + 5))).state_dict())) for at in range(0, 40, 5)]
    flat = merge_results(blocks)
    chosen = random.Random(0)
    tree = list(blocks)
    while len(tree) > 1:
        at = chosen.randrange(len(tree) - 1)
        tree[at : at + 2] = [merge_results(tree[at : at + 2])]
    assert tree[0] == flat
    one = evidence_of(blocks[0].data)
    for block in blocks[1:]:
        one.merge(evidence_of(block.data))
    assert to_bytes(one.state_dict()) == flat.data
    assert flat.data == to_bytes(gathered(1, list(range(40))).state_dict())
    with pytest.raises(ValueError, match="image 10, where 5 was due"):
        merge_results([blocks[0], blocks[2]])


def test_what_cannot_be_read_ahead_is_left_to_the_worker(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    items = [Item("a", tmp_path / "a"), Item("b", tmp_path / "b"), Item("c", tmp_path), Item("d", b"y")]
    ahead = read_ahead(items)
    assert [item.source for item in ahead] == [b"x", tmp_path / "b", tmp_path, b"y"]
    assert [item.id for item in ahead] == list("abcd")


@pytest.mark.parametrize(("text", "workers"), [("ray", 0), ("ray:8", 8)])
def test_the_option(text: str, workers: int) -> None:
    assert parse_cluster(text) == workers


@pytest.mark.parametrize("text", ["dask", "ray:", "ray:0", "ray:x", "ray:-1", ""])
def test_other_values_of_the_option_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="write ray, or ray:8"):
        parse_cluster(text)
