"""What travels: blocks of images to the workers, and for each block what failed, with its scores or its evidence.

Evidence is pruned before it travels: a patch or an image that could not enter what has been gathered already stays
where it is. So the first blocks send up to K patches a class, and later ones fewer and fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from piaa.method.bank import Bank
from piaa.method.evidence import Evidence
from piaa.method.moments import Moments

State = dict[str, Tensor]


@dataclass(frozen=True)
class Result:
    """What became of images `first` to `first + count - 1`.

    Attributes:
        failed: index of an image to the reason why it could not be read.
        data: scores and strangeness of the others (float32, n x (C + 1)), or evidence (safetensors).
    """

    first: int
    count: int
    failed: dict[int, str]
    data: bytes


@dataclass(frozen=True)
class Limits:
    """What evidence must be better than to matter, given what was gathered before.

    Attributes:
        entropy: C; a patch of a class must not have more; infinite where the class has fewer than K.
        key: an image of the sample must not have more; None while the sample is not full.
    """

    entropy: Tensor
    key: int | None = None


@dataclass
class Traffic:
    """What has come from the workers so far: for the runbook, and for those who wonder.

    Attributes:
        results: how many.
        data: bytes of all of them.
        restarts: how often a pipeline was begun again because something was lost.
        sizes: bytes of each result, in the order of the images.
    """

    results: int = 0
    data: int = 0
    restarts: int = 0
    sizes: list[int] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one."""
        self.results += 1
        self.data += len(result.data)
        self.sizes.append(len(result.data))


def limits_of(evidence: Evidence) -> Limits:
    """The limits that evidence sets to what comes after it."""
    rows = evidence.bank.contents()
    worst = torch.full((evidence.bank.classes,), torch.inf)
    full = evidence.bank.sizes == evidence.bank.size
    greatest = torch.zeros(evidence.bank.classes).scatter_reduce(0, rows["classes"], rows["entropy"], "amax")
    sample = evidence.sample
    key = int(sample.key[-1]) if len(sample.key) and len(sample.key) >= sample.size else None
    return Limits(torch.where(full, greatest, worst), key)


def pruned(state: State, limits: Limits) -> State:
    """A state of evidence without what the limits shut out; counts and sums stay whole.

    Patches of a limit's own entropy stay: a tie is decided by where they come from.
    """
    kept = dict(state)
    bank = state["bank.entropy"] <= limits.entropy[state["bank.classes"]]
    for name in ("classes", "entropy", "confidence", "provenance", "patches"):
        kept[f"bank.{name}"] = state[f"bank.{name}"][bank]
    if limits.key is not None and len(state["sample.key"]):
        sample = state["sample.key"] <= limits.key
        names = [name for name in ("key", "image", "cls", "patches") if f"sample.{name}" in state]
        kept |= {f"sample.{name}": state[f"sample.{name}"][sample] for name in names}
    return kept


def to_bytes(state: State) -> bytes:
    """Tensors as safetensors."""
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})


def evidence_of(data: bytes) -> Evidence:
    """The evidence that `to_bytes` wrote."""
    state = load(data)
    classes, size, dim = (int(value) for value in state["bank.shape"][:3])
    evidence = Evidence(classes, dim, size, int(state["sample.size"]))
    evidence.load_state_dict(state)
    return evidence


def merge_into(evidence: Evidence, data: bytes) -> None:
    """What `evidence.merge(evidence_of(data))` does, without the memory that a sample takes for images to come."""
    state = load(data)
    evidence.bank.merge(Bank.from_state_dict(_under(state, "bank.")))
    for name, moments in (("patch.", evidence.patch_moments), ("cls.", evidence.cls_moments)):
        other = Moments(evidence.bank.dim)
        other.load_state_dict(_under(state, name))
        moments.merge(other)
    sample = _under(state, "sample.")
    if "patches" in sample:
        evidence.sample.size = min(evidence.sample.size, int(sample["size"]))
        evidence.sample.keep(sample["key"], sample["image"], sample["cls"], sample["patches"])


def _under(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def merge_results(results: Sequence[Result]) -> Result:
    """Neighbouring results as one, their evidence merged.

    Raises:
        ValueError: they are no neighbours.
    """
    if len(results) == 1:
        return results[0]
    whole = evidence_of(results[0].data)
    failed = dict(results[0].failed)
    after = results[0].first + results[0].count
    for result in results[1:]:
        if result.first != after:
            raise ValueError(f"a result begins at image {result.first}, where {after} was due")
        after += result.count
        failed |= result.failed
        merge_into(whole, result.data)
    return Result(results[0].first, after - results[0].first, failed, to_bytes(whole.state_dict()))


def scores_of(result: Result) -> dict[int, Tensor]:
    """Index of an image to its scores and its strangeness, C + 1 float32."""
    read = [index for index in range(result.first, result.first + result.count) if index not in result.failed]
    if not read:
        return {}
    scores: Tensor = torch.frombuffer(bytearray(result.data), dtype=torch.float32).reshape(len(read), -1)
    return dict(zip(read, scores, strict=True))


def scores_to_bytes(scores: Sequence[Any]) -> bytes:
    """N batches of scores and strangeness, n x (C + 1), as bytes."""
    return b"" if not scores else torch.cat([part.float().cpu() for part in scores]).numpy().tobytes()
