"""What was learnt so far as a file: to add images later, and to put the shards of several machines together.

One safetensors file. Tensors `main.*` are the evidence of all whole batches, `tail.*` that of a last, smaller one:
where more images are added, its images are read again, so that batches are those of one fit of all images. `covered`
has 16 bytes for each image (a hash of id, size and time of change), sorted. The metadata say what it was learnt with.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piaa.engine import Learner
from piaa.errors import InputError
from piaa.files import parse_json, whole_file
from piaa.inputs.items import Batch, Item
from piaa.inputs.sources import named_items
from piaa.method.evidence import Evidence
from piaa.method.recipes import AUTO

ENDING = ".evidence"
FORMAT, FORMAT_VERSION = "piaa-evidence", 1
HASH = 16
Tail = list[tuple[str, str]]
"""Id and hash of each image after the last whole batch."""


@dataclass
class EvidenceFile:
    """The content of a file.

    Attributes:
        about: fingerprint, labels and settings of the learner, and the batches: what must be equal to go together.
        share: which shard of how many, such as `1/1`.
        listed: digest of the ids of all images that the run saw.
        index: of the first image after the whole batches.
        main: evidence of the whole batches.
        tail: of a last smaller one; None if there is none.
        tail_items: images after the whole batches, those that failed too.
        covered: 16 bytes for each image.
        failed: images that could not be read.
    """

    about: dict[str, Any]
    share: str
    listed: str
    index: int
    main: dict[str, Tensor]
    tail: dict[str, Tensor] | None
    tail_items: Tail
    covered: bytes
    failed: int = 0

    def whole(self) -> Evidence:
        """Everything that was learnt."""
        evidence = evidence_of(self.main)
        if self.tail is not None:
            evidence.merge(evidence_of(self.tail))
        return evidence

    def write(self, path: Path) -> None:
        """Write it, whole or not at all; the same evidence gives the same bytes.

        Raises:
            InputError: it cannot be written.
        """
        hashes = sorted(self.covered[at : at + HASH] for at in range(0, len(self.covered), HASH))
        rows = torch.frombuffer(bytearray(b"".join(hashes)), dtype=torch.uint8) if hashes else torch.zeros(0).byte()
        tensors = {"covered": rows.reshape(-1, HASH), **_named("main", self.main), **_named("tail", self.tail or {})}
        values = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "about": self.about,
            "share": self.share,
            "listed": self.listed,
            "index": self.index,
            "tail": self.tail_items,
            "failed": self.failed,
        }
        with whole_file(path) as aside:
            save_file(tensors, aside, metadata={"piaa": json.dumps(values, sort_keys=True)})


def read_evidence(path: Path) -> EvidenceFile:
    """Read a file.

    Raises:
        InputError: not there, damaged, foreign, or of a newer version.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            values = parse_json((opened.metadata() or {})["piaa"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if values["format"] != FORMAT:
            raise ValueError("something else")
        if values["format_version"] > FORMAT_VERSION:
            raise InputError(f"{path}: written by a newer piaa; upgrade")
        _check(values)
        tail = _under("tail", tensors)
        file = EvidenceFile(
            values["about"],
            values["share"],
            values["listed"],
            values["index"],
            _under("main", tensors),
            tail or None,
            [(name, mark) for name, mark in values["tail"]],
            tensors["covered"].numpy().tobytes(),
            values["failed"],
        )
        for state in (file.main, *([tail] if tail else [])):
            about = values["about"]
            if int(state["bank.shape"][0]) != len(about["labels"]) + len(about["settings"].get("other_words", ())):
                raise ValueError("not as many classes as labels")
            evidence_of(state)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(f"{path}: no evidence that 'piaa fit --keep-evidence' wrote, or damaged: {error}") from error
    return file


def _check(values: dict[str, Any]) -> None:
    """Refuse metadata of other kinds than were written.

    Raises:
        ValueError: in this case.
    """
    kinds = {"about": dict, "share": str, "listed": str, "index": int, "tail": list, "failed": int}
    wrong = [name for name, kind in kinds.items() if type(values.get(name)) is not kind]
    texts = not wrong and all(isinstance(text, str) for pair in values["tail"] for text in pair)
    if wrong or not texts or not {"fingerprint", "labels", "settings"} <= values["about"].keys():
        raise ValueError(f"wrong or missing: {(wrong or ['tail or about'])[0]}")


def evidence_of(state: dict[str, Tensor]) -> Evidence:
    """Evidence from its tensors."""
    classes, size, dim = (int(value) for value in state["bank.shape"][:3])
    evidence = Evidence(classes, dim, size)
    evidence.load_state_dict(state)
    return evidence


def merge_evidence(files: Sequence[EvidenceFile]) -> EvidenceFile:
    """The shards of one run as one machine would have left them.

    Raises:
        InputError: they are not all the shards of one run.
    """
    first = files[0]
    for file in files[1:]:
        if file.about != first.about:
            raise InputError("these were learnt with different labels, models, recipes or batch sizes: not of one run")
        if file.listed != first.listed:
            raise InputError("these shards saw different images: the input changed between them; run them again")
    check_shares([file.share for file in files])
    main = evidence_of(first.main)
    try:
        for file in files[1:]:
            main.merge(evidence_of(file.main))
    except ValueError as error:
        raise InputError(f"these files do not fit together, so one of them is damaged: {error}") from error
    (last,) = [file for file in files if file.tail_items] or [first]
    covered = b"".join(file.covered for file in files)
    failed = sum(file.failed for file in files)
    return replace(last, share="1/1", main=main.state_dict(), covered=covered, failed=failed)


def check_shares(shares: Sequence[str]) -> None:
    """Refuse anything but each shard of a run once.

    Raises:
        InputError: in this case.
    """
    counts = {share.partition("/")[2] for share in shares}
    if len(counts) != 1 or not all(re.fullmatch(r"[1-9]\d{0,5}/[1-9]\d{0,5}", share) for share in shares):
        raise InputError(f"these are shards of different runs: {', '.join(shares)}")
    wanted = [f"{index}/{next(iter(counts))}" for index in range(1, int(next(iter(counts))) + 1)]
    missing = [share for share in wanted if share not in shares]
    twice = sorted({share for share in shares if list(shares).count(share) > 1})
    if missing or twice:
        words = [f"missing: {', '.join(missing)}"] if missing else []
        words += [f"given twice: {', '.join(twice)}"] if twice else []
        raise InputError(f"not each shard once: {'; '.join(words)}")


def mark(item: Item) -> bytes:
    """16 bytes that change with an image's id, size and time of change."""
    return hashlib.blake2b(repr((item.id, item.stamp())).encode("utf-8", "surrogatepass"), digest_size=HASH).digest()


@dataclass
class Keeper:
    """Keeps the evidence of a run, apart from what a later run must read again.

    Attributes:
        learner: of the run.
        path: the file to write.
        old: what is added to; None for a new one.
        covered: hashes of the images, in the order they came.
        tail: evidence of the last, smaller batch.
    """

    learner: Learner
    path: Path
    about: dict[str, Any]
    old: EvidenceFile | None = None
    notices: list[str] = field(default_factory=list)
    tail: dict[str, Tensor] | None = None
    tail_items: Tail = field(default_factory=list)
    _main: dict[str, Tensor] | None = None

    @property
    def offset(self) -> int:
        """Index of the first image of this run."""
        return self.old.index if self.old else 0

    def begin(self, items: Iterator[Item]) -> Iterator[Item]:
        """Go on from the old evidence: the images of its last batch, then those that it does not cover."""
        if self.old is None:
            return items
        old, self.learner.evidence = self.old, evidence_of(self.old.main)
        self._covered = {old.covered[at : at + HASH] for at in range(0, len(old.covered), HASH)}
        again = self._tail_again()
        if len(again) < len(old.tail_items):
            gone = len(old.tail_items) - len(again)
            self.notices.append(
                f"{gone} images of the earlier fit's last batch changed or are gone: they no longer count, and the "
                "result is that of a fit of the others"
            )
        return self._new(again, items)

    def _tail_again(self) -> list[Item]:
        marks = dict(self.old.tail_items) if self.old else {}
        found = {item.id: item for item in named_items(marks)}
        there = [(found.get(name), known) for name, known in marks.items()]
        return [item for item, known in there if item is not None and mark(item).hex() == known]

    def _new(self, again: Iterable[Item], items: Iterator[Item]) -> Iterator[Item]:
        yield from again
        for item in items:
            if mark(item) not in self._covered:
                yield item

    def learn_tail(self, batch: Batch, items: Sequence[Item]) -> None:
        """Learn from a last batch that is smaller than the others, and keep what it adds apart."""
        self._main = self.learner.state_dict()
        before, self.learner.evidence = self.learner.evidence, fresh_evidence(self.learner.evidence)
        self.learner.update(batch.images, batch.indices)
        self.tail = self.learner.evidence.state_dict()
        before.merge(self.learner.evidence)
        self.learner.evidence = before
        self.tail_items = [(item.id, mark(item).hex()) for item in items]

    def write(self, share: str, listed: str, seen: int, covered: bytes, failed: int) -> None:
        """Write the file.

        Args:
            share: which shard.
            listed: digest of all ids.
            seen: images of this run.
            covered: their hashes, of those that are this shard's.
            failed: of them.
        """
        old = self.old
        if old:  # those of its last batch came again
            again = {bytes.fromhex(known) for _, known in old.tail_items}
            hashes = [old.covered[at : at + HASH] for at in range(0, len(old.covered), HASH)]
            covered += b"".join(each for each in hashes if each not in again)
        EvidenceFile(
            self.about,
            share,
            listed,
            self.offset + seen - len(self.tail_items),
            self._main if self._main is not None else self.learner.state_dict(),
            self.tail,
            self.tail_items,
            covered,
            failed + (old.failed if old else 0),
        ).write(self.path)


def fresh_evidence(like: Evidence) -> Evidence:
    """Empty evidence of the same shape."""
    bank = like.bank
    return Evidence(bank.classes, bank.dim, bank.size, like.sample.size)


def keeper_of(learner: Learner, path: Path, templates: Sequence[str], rule: str, old: Path | None) -> Keeper:
    """What keeps the evidence of a learner.

    Args:
        learner: as new.
        path: the file to write.
        templates: of the prompts, resolved; kept for whoever makes the classifier elsewhere.
        rule: of the thresholds, likewise.
        old: evidence to add to.

    Raises:
        InputError: the old file is not usable, a shard, or was learnt otherwise.
    """
    recipe = AUTO if learner.others else learner.recipe.to_dict()
    settings = {**learner.setup.describe(), "recipe": recipe}
    settings |= {"templates": list(templates), "threshold_rule": rule}
    if learner.other_words:
        settings["other_words"] = [[word.name, list(word.synonyms)] for word in learner.other_words]
    labels = [[label.name, list(label.synonyms)] for label in learner.labels]
    about = {"fingerprint": learner.fingerprint, "labels": labels, "settings": json.loads(json.dumps(settings))}
    before = read_evidence(old) if old else None
    if before and before.about["fingerprint"] != learner.fingerprint:
        raise InputError(f"{old}: learnt with other labels, another model or recipe; give the same, or fit all anew")
    if before and before.share != "1/1":
        raise InputError(f"{old}: shard {before.share} of a run; put the shards together with 'piaa merge' first")
    return Keeper(learner, path, about, before)


def _named(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor.contiguous() for name, tensor in state.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = len(prefix) + 1
    return {name[start:]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
