"""Run cases of a target and find what should not be: a foreign exception, a hang, a crash, too much memory.

Each target runs in a process of its own. A case that lasts longer than `SECONDS` ends that process, even inside a C
library, and so does a crash; the case lies in a file by then. The next process goes on behind it.
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from piaa.errors import PiaaError

SECONDS = 10
"""The longest that one case may last."""
AHEAD = 4 * 2**30
"""Bytes of address space beyond what the process has before its first case."""
MOST_FAULTS = 20
"""Kinds of faults of one target, at which its fuzzing ends."""
MIB = 2**20
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_FORK = multiprocessing.get_context("fork")  # everything is imported once


@dataclass(frozen=True)
class Seed:
    """Good input: what a file holds, and its ending."""

    data: bytes
    suffix: str = ""


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        name: on the command line.
        seeds: good inputs; made once, in the folder given.
        read: reads bad input as piaa would; the folder is the one of the seeds. `PiaaError` is the only exception
            it may raise.
        memory: MiB that one case may take at most.
        share: of the time, relative to the others.
        change: a further change that knows the layout, made to half of the cases.
    """

    name: str
    seeds: Callable[[Path], list[Seed]]
    read: Callable[[bytes, str, Path], object]
    memory: int = 256
    share: float = 1.0
    change: Callable[[bytes, random.Random], bytes] | None = None


@dataclass
class Result:
    """What came of one target: cases, refusals by kind, and what should not be."""

    name: str
    cases: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    faults: list[dict[str, str]] = field(default_factory=list)
    slowest: float = 0.0
    most_memory: float = 0.0


def cases(target: Target, folder: Path, seed: int, start: int = 0) -> Iterator[tuple[int, bytes, str]]:
    """Endless numbered cases; the number, the seed and the target's seeds decide a case alone."""
    from .mutate import mutated

    by_suffix: dict[str, list[bytes]] = {}
    for each in target.seeds(folder):
        by_suffix.setdefault(each.suffix, []).append(each.data)
    number = start
    while True:
        rng = random.Random(f"{seed}:{target.name}:{number}")
        suffix = rng.choice(sorted(by_suffix))
        if target.change and rng.random() < 0.5:
            yield number, target.change(rng.choice(by_suffix[suffix]), rng), suffix
        else:
            yield number, mutated(by_suffix[suffix], rng), suffix
        number += 1


def try_case(target: Target, data: bytes, suffix: str, folder: Path, result: Result) -> str | None:
    """Read one case; the text of a fault, or None."""
    begin, before = time.perf_counter(), _reset_peak()
    fault = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(data, suffix, folder)
        result.accepted += 1
    except PiaaError as error:
        result.refused[type(error).__name__] = result.refused.get(type(error).__name__, 0) + 1
        fault = _message_fault(str(error), len(data))
    except Exception:
        fault = traceback.format_exc()
    used = (_peak() - before) / MIB
    result.cases += 1
    result.slowest = max(result.slowest, time.perf_counter() - begin)
    result.most_memory = max(result.most_memory, used)
    if fault is None and used > target.memory:
        fault = f"{used:.0f} MiB of memory for {len(data)} bytes; at most {target.memory} are allowed"
    return fault


def _message_fault(text: str, size: int) -> str | None:
    """An error is a message for people: not empty, and not far longer than what it is about."""
    if not text.strip():
        return "an error without words"
    return f"a message of {len(text):,} characters: {text[:200]}" if len(text) > 10_000 + 3 * size else None


def work(target: Target, seed: int, start: int, seconds: float, state: Path) -> None:
    """The process of one target: cases until the time is over; `state` has the case at hand and the result."""
    if sys.platform == "linux":
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + AHEAD, now + AHEAD))
    torch.set_num_threads(1)  # threads do not survive a fork
    result, end = Result(target.name), time.monotonic() + seconds
    folder = state / "tree"
    folder.mkdir(exist_ok=True)
    with open(state / "case", "wb", buffering=0) as at_hand:  # opened once: opening is what takes long
        for number, data, suffix in cases(target, folder, seed, start):
            if time.monotonic() > end:
                break
            at_hand.seek(0)
            at_hand.write(_packed(number, suffix, data))
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            fault = try_case(target, data, suffix, folder, result)
            faulthandler.cancel_dump_traceback_later()
            if fault and kind_of(fault) not in {kind_of(known["what"]) for known in result.faults}:
                result.faults.append({"number": str(number), "suffix": suffix, "what": fault, "data": data.hex()})
            if number % 50 == 0 or fault:
                (state / "result").write_text(json.dumps(result.__dict__))
    (state / "result").write_text(json.dumps(result.__dict__))
    (state / "done").touch()


def kind_of(fault: str) -> str:
    """Where it happened and what: the same for faults with one cause."""
    places = [line.strip() for line in fault.splitlines() if line.strip().startswith("File ")]
    return f"{places[-1] if places else ''} {fault.strip().splitlines()[-1].partition(':')[0]}"


def _packed(number: int, suffix: str, data: bytes) -> bytes:
    """A case in one piece; the length first, since an older and longer one may lie behind it."""
    about = json.dumps({"number": number, "suffix": suffix, "size": len(data)}).encode()
    return about + b"\n" + data


def _unpacked(content: bytes) -> dict[str, str]:
    about, _, data = content.partition(b"\n")
    named = json.loads(about)
    return {"number": str(named["number"]), "suffix": named["suffix"], "data": data[: named["size"]].hex()}


def _apart(target: Target, seed: int, start: int, seconds: float, state: Path) -> None:
    """`work` with all that it and the libraries print in a file."""
    with open(state / "log", "wb") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        work(target, seed, start, seconds, state)


def run_target(target: Target, seed: int, seconds: float) -> Result:
    """Fuzz one target for so long, in processes of its own."""
    total, end, start = Result(target.name), time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0 and len(total.faults) < MOST_FAULTS:
        with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as name:
            state = Path(name)
            process = _FORK.Process(target=_apart, args=(target, seed, start, left, state))
            process.start()
            process.join()
            _add(total, state)
            content = (state / "case").read_bytes() if (state / "case").exists() else b""
            last = _unpacked(content) if content else {"number": str(start - 1), "suffix": "", "data": ""}
            start = int(last["number"]) + 1
            if not (state / "done").exists():
                words = (state / "log").read_bytes()[-3000:].decode(errors="replace")
                what = f"the process ended with {process.exitcode} (negative: a signal; 1: over {SECONDS} s)\n{words}"
                total.cases += 1
                total.faults.append({**last, "what": what})
    return total


def _add(total: Result, state: Path) -> None:
    if not (state / "result").exists():
        return
    part = json.loads((state / "result").read_text())
    total.cases += part["cases"]
    total.accepted += part["accepted"]
    total.faults += part["faults"]
    total.slowest = max(total.slowest, part["slowest"])
    total.most_memory = max(total.most_memory, part["most_memory"])
    for name, count in part["refused"].items():
        total.refused[name] = total.refused.get(name, 0) + count


def _reset_peak() -> float:
    """Bytes in memory now, and the peak is forgotten. 0 where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return _peak()


def _peak() -> float:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
