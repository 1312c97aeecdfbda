"""The Ray Data pipeline of one window of blocks: read -> decode and encode in a pool of actors -> merge.

Only this file knows Ray. Results come in the order of the blocks; what is lost on the way (an actor, a worker process,
a node) Ray computes again, and where it cannot, an error comes out and the caller begins again behind the last result.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from piaa.cluster.results import Limits, Result, merge_results
from piaa.cluster.workers import Worker, read_ahead
from piaa.errors import InputError
from piaa.inputs.items import Item

FAN_IN = 8
"""Results that one merging task takes."""
ACTOR_CPUS, TASK_CPUS = 0.5, 0.1
"""What Ray reckons with when it places an actor or a task; it sets no bound to what they use."""


@dataclass(frozen=True)
class Block:
    """Images `first` and on."""

    first: int
    items: Sequence[Item]


@dataclass(frozen=True)
class Plan:
    """How blocks are dealt with.

    Attributes:
        make: makes a worker; called once in each actor.
        workers: actors; 0 for as many as the cluster has GPUs, or half as many as CPUs.
        device: `cpu` takes no GPU.
        merge: merge evidence on the way, `FAN_IN` results at a time.
    """

    make: Callable[[], Worker]
    workers: int = 0
    device: str = "auto"
    merge: bool = False


def connect() -> None:
    """Join the cluster of RAY_ADDRESS, or start one on this machine.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--cluster ray needs Ray: in a checkout: pip install -e '.[ray]'") from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers about its use, unless told not to
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except Exception as error:  # whatever Ray raises when nothing answers
            raise InputError(f"no Ray cluster can be had: {error}; RAY_ADDRESS names one") from error
    import ray.data  # sets its log up when it is imported

    logging.getLogger("ray.data").setLevel(logging.ERROR)


def run_blocks(blocks: Sequence[Block], plan: Plan, limits: Limits | None) -> Iterator[Result]:
    """Results of the blocks, in their order; with `plan.merge` one for up to `FAN_IN` of them.

    Raises:
        Exception: whatever Ray raises when it cannot go on.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    rows = [{"first": block.first, "items": pickle.dumps(list(block.items))} for block in blocks]
    data: Any = ray.data.from_items(rows, override_num_blocks=len(rows))
    data = data.map_batches(_read, batch_size=1, batch_format="pyarrow", num_cpus=TASK_CPUS)
    data = data.map_batches(
        _Actor, fn_constructor_args=(plan.make, limits), batch_size=1, batch_format="pyarrow", **_pool(plan)
    )
    if plan.merge:
        data = data.map_batches(_merge, batch_size=FAN_IN, batch_format="pyarrow", num_cpus=TASK_CPUS)
    for row in data.iter_rows():
        yield _result(row)


def _pool(plan: Plan) -> dict[str, Any]:
    """The actors. All that have room begin at once; a pool left to grow waits for each before it makes the next."""
    import ray
    from ray.data import ActorPoolStrategy

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    gpus = 0 if plan.device == "cpu" else int(sum(node.get("GPU", 0) for node in nodes))
    cpus = int(sum(node.get("CPU", 0) for node in nodes))
    most = plan.workers or gpus or max(1, cpus // 2)
    compute = ActorPoolStrategy(min_size=1, max_size=most, initial_size=max(1, min(most, _room(nodes, gpus > 0))))
    return {"compute": compute, "num_cpus": ACTOR_CPUS, **({"num_gpus": 1} if gpus else {})}


def _room(nodes: Sequence[dict[str, float]], gpus: bool) -> int:
    """Actors that the nodes can hold beside a task each."""
    each = [int((node.get("CPU", 0) - TASK_CPUS) / ACTOR_CPUS) for node in nodes]
    return sum(
        max(0, min(n, int(node.get("GPU", 0))) if gpus else max(0, n)) for n, node in zip(each, nodes, strict=True)
    )


def _read(table: pa.Table) -> pa.Table:
    """The files of a block, so that actors need not wait for them."""
    items = [pickle.dumps(read_ahead(pickle.loads(cell.as_py()))) for cell in table["items"]]
    return pa.table({"first": table["first"], "items": pa.array(items, pa.large_binary())})


class _Actor:
    def __init__(self, make: Callable[[], Worker], limits: Limits | None) -> None:
        self.worker, self.limits = make(), limits

    def __call__(self, table: pa.Table) -> pa.Table:
        return _table([
            self.worker.work(int(first.as_py()), pickle.loads(items.as_py()), self.limits)
            for first, items in zip(table["first"], table["items"], strict=True)
        ])  # fmt: skip


def _merge(table: pa.Table) -> pa.Table:
    return _table([merge_results([_result(row) for row in table.to_pylist()])])


def _table(results: Sequence[Result]) -> pa.Table:
    return pa.table({
        "first": [result.first for result in results],
        "count": [result.count for result in results],
        "failed": [json.dumps(list(result.failed.items())) for result in results],
        "data": pa.array([result.data for result in results], pa.large_binary()),
    })  # fmt: skip


def _result(row: dict[str, Any]) -> Result:
    failed = {int(index): str(reason) for index, reason in json.loads(row["failed"])}
    return Result(int(row["first"]), int(row["count"]), failed, row["data"])
