"""A short fuzzing of every kind of input, the same cases each time; `make fuzz` is the long one."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from itertools import islice
from pathlib import Path

import pytest

from piaa.errors import InputError, PiaaError

from . import harness
from .harness import Result, Seed, Target, cases, kind_of, run_target, try_case
from .targets import TARGETS

CASES = 120


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_but_the_projects_own_errors(name: str, tmp_path: Path) -> None:
    target, result = TARGETS[name], Result(name)
    for number, data, suffix in islice(cases(target, tmp_path, 20, 0), CASES):
        fault = try_case(target, data, suffix, tmp_path, result)
        assert fault is None, f"case {number} ({len(data)} bytes{suffix}): {fault}"
    assert result.cases == CASES
    assert result.accepted + sum(result.refused.values()) == CASES
    assert result.refused, "no case was bad input, so nothing was tried"


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_seeds_themselves_are_good_input(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    read, kinds = set(), set()
    for each in target.seeds(tmp_path):
        kinds.add(each.suffix)
        with contextlib.suppress(PiaaError):  # a few seeds are refused on purpose
            target.read(each.data, each.suffix, tmp_path)
            read.add(each.suffix)
    assert read == kinds


def _bad(data: bytes, suffix: str, folder: Path) -> None:
    if data.endswith(b"hang"):
        time.sleep(60)
    if data.endswith(b"crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    if data.endswith(b"memory"):
        bytearray(300 * 2**20)
    if data.endswith(b"raise"):
        raise KeyError("x")
    if data.endswith(b"empty"):
        raise InputError("")


@pytest.mark.parametrize(
    ("word", "said"),
    [("hang", "over 1 s"), ("crash", "ended with -"), ("memory", "MiB of memory"), ("raise", "KeyError"),
     ("empty", "without words")],
)  # fmt: skip
def test_the_harness_finds_each_kind_of_fault(word: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "SECONDS", 1)
    monkeypatch.setattr("fuzz.mutate.mutated", lambda seeds, rng: seeds[0])
    if word in ("hang", "crash"):
        monkeypatch.setattr(harness, "MOST_FAULTS", 1)
    result = run_target(Target("bad", lambda folder: [Seed(f"a {word}".encode())], _bad), 0, 0.5)
    assert result.faults
    assert said in result.faults[0]["what"]
    assert bytes.fromhex(result.faults[0]["data"]) == f"a {word}".encode()
    assert len({kind_of(fault["what"]) for fault in result.faults}) == len(result.faults) == 1


def test_a_case_depends_on_its_number_and_seed_alone(tmp_path: Path) -> None:
    target = TARGETS["truth"]
    whole = list(islice(cases(target, tmp_path, 3, 0), 30))
    assert list(islice(cases(target, tmp_path, 3, 20), 10)) == whole[20:]
    assert list(islice(cases(target, tmp_path, 4, 0), 30)) != whole
    assert len({data for _, data, _ in whole}) > 20


def test_a_png_keeps_right_checksums_where_asked() -> None:
    import io

    from PIL import Image

    from .mutate import repaired

    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, "PNG")
    damaged = bytearray(stream.getvalue())
    damaged[17] = 7  # the width, in IHDR
    with Image.open(io.BytesIO(repaired(bytes(damaged)))) as picture:
        assert picture.size[0] != 3
    assert repaired(b"JPEG") == b"JPEG"
