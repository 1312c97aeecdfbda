"""Faults on purpose: runs that are killed, stopped, or left without disk, resumed until they are done.

python benchmarks/soak.py --kills 50 --out docs/bench/soak.json
python benchmarks/soak.py --quick

Each fault hits a `piaa fit` or `piaa tag` of the embedded model on drawn scenes, at a random moment. The command is
run in a process forked from one that has imported the program (the same code, without the seconds of importing).
What comes out in the end must have the bytes of a run that nothing disturbed. `--quick` is a few faults of each kind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from flat_memory import curve_of

from piaa.bench.machine import describe
from piaa.files import write_json
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder

SAVE_EVERY, BATCH = 16, 8
PATIENCE = 600.0
RUN = re.compile(rb'"run": "[0-9a-f]{32}"')


class Command:
    """A command of the program, run again and again in one folder.

    Attributes:
        name: `fit` or `tag`.
        out: what it writes.
    """

    def __init__(self, name: str, out: Path, arguments: list[str]) -> None:
        self.name, self.out = name, out
        saved = ["--save-every", str(SAVE_EVERY), "--batch-size", str(BATCH), "--workers", "1", "--quiet"]
        self.arguments = [name, *arguments, "--out", str(out), *saved]

    def start(self, *more: str, limit: int | None = None) -> int:
        """Begin it in a process of its own, with a limit of a file's size where one is given; its number."""
        child = os.fork()
        if child:
            return child
        code = 70
        try:
            log = os.open(self.out.parent / f"{self.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            torch.set_num_threads(1)
            sys.argv = ["piaa", *self.arguments, *more]
            from piaa.cli.main import run

            run()
            code = 0
        except SystemExit as leave:
            code = int(leave.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def wait(self, child: int) -> int:
        """Its exit code; -9 for one that was killed."""
        begin = time.monotonic()
        while time.monotonic() - begin < PATIENCE:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        raise SystemExit(f"{self.name} did not end in {PATIENCE:.0f} s")

    def said(self) -> str:
        """The end of what it printed."""
        return (self.out.parent / f"{self.name}.log").read_text()[-3000:]

    def forget(self) -> None:
        """Away with everything it wrote."""
        for path in self.out.parent.glob(self.out.name + "*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def state(self) -> dict[str, bytes]:
        """Every file it left, by name; of a manifest, without the number of the run."""
        found = sorted(self.out.parent.glob(self.out.name + "*"))
        files = [each for path in found for each in ([path] if path.is_file() else sorted(path.rglob("*")))]
        contents = {str(path.relative_to(self.out.parent)): path.read_bytes() for path in files if path.is_file()}
        return {name: RUN.sub(b"", content) for name, content in contents.items()}


def kill(command: Command, child: int, moment: float) -> int:
    """SIGKILL at a moment."""
    return interrupt(command, child, moment, signal.SIGKILL)


def terminate(command: Command, child: int, moment: float) -> int:
    """SIGTERM at a moment."""
    return interrupt(command, child, moment, signal.SIGTERM)


def interrupt(command: Command, child: int, moment: float, number: int) -> int:
    begin = time.monotonic()
    while time.monotonic() - begin < moment:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, number)
    return command.wait(child)


def soak(
    command: Command,
    faults: int,
    seconds: float,
    wanted: dict[str, bytes],
    chance: random.Random,
    fault: Callable[[Command, int, float], int],
    expected: tuple[int, ...],
) -> dict[str, Any]:
    """Disturb runs until so many faults hit; each run is resumed until it is done, then compared."""
    codes: Counter[int] = Counter()
    hits = runs = attempts = early = 0
    while hits < faults:
        command.forget()
        runs += 1
        code = -1
        while code not in (0, 3):
            attempts += 1
            if attempts > 20 * faults + 50:
                raise SystemExit(f"{command.name}: no end in sight after {attempts} attempts")
            more = ["--resume"] if command.out.with_name(command.out.name + ".partial").exists() else []
            child = command.start(*more)
            code = fault(command, child, chance.uniform(0, 1.2 * seconds)) if hits < faults else command.wait(child)
            if code in expected:
                hits += 1
                if command.out.exists():
                    early += command.out.read_bytes() != wanted[command.out.name] if command.out.is_file() else 0
            elif code not in (0, 3):
                raise SystemExit(f"{command.name}: exit code {code}\n{command.said()}")
            codes[code] += 1
        if command.state() != wanted:
            raise SystemExit(f"{command.name}: other bytes than those of an undisturbed run, after {hits} faults")
    return {"faults": hits, "runs": runs, "exit_codes": dict(sorted(codes.items())), "different": 0, "torn": early}


LOG = 8000
"""Bytes that what a run prints may take."""


def full_disk(command: Command, faults: int, wanted: dict[str, bytes], chance: random.Random) -> dict[str, Any]:
    """Runs in which no file can grow beyond a random size, then resumed without that limit."""
    codes: Counter[int] = Counter()
    largest = max(len(content) for name, content in wanted.items() if not name.endswith("_manifest.json"))
    for _ in range(faults):
        command.forget()
        limit = max(LOG, int(largest * chance.uniform(0.01, 0.99)) + 200)  # what is printed is a file too
        code = command.wait(command.start(limit=limit))
        codes[code] += 1
        if code != 1:
            raise SystemExit(f"{command.name}: exit code {code} without room on the disk\n{command.said()}")
        if command.out.exists():
            raise SystemExit(f"{command.name}: an output in spite of the full disk")
        if command.wait(command.start("--resume")) not in (0, 3) or command.state() != wanted:
            raise SystemExit(f"{command.name}: other bytes than those of an undisturbed run, after a full disk")
    return {"faults": faults, "runs": faults, "exit_codes": dict(codes), "different": 0, "torn": 0}


def commands(folder: Path, images: int) -> list[Command]:
    """The commands under test, and what they need."""
    write_scene_folder(folder / "in", 23, "unlabelled", images)
    for number in (3, images // 2):  # of those that fail, a run must tell the same too
        sorted((folder / "in").iterdir())[number].write_bytes(b"no picture")
    (folder / "labels.txt").write_text("\n".join(object_names()[:12]))
    fit = Command("fit", folder / "c.piaa", [str(folder / "in"), "--labels", str(folder / "labels.txt")])
    given = fit.start()
    if fit.wait(given) != 3:
        raise SystemExit(f"the first fit failed\n{fit.said()}")
    shutil.copy(folder / "c.piaa", folder / "learnt.piaa")
    tag = [str(folder / "in"), "--classifier", str(folder / "learnt.piaa"), "--all-scores"]
    return [fit, Command("tag", folder / "t.jsonl", tag), *folders(folder, tag)]


def folders(folder: Path, tag: list[str]) -> list[Command]:
    """The command that writes a folder of parts, with embeddings."""
    return [Command("tag", folder / "tags", [*tag, "--embeddings"])]


def table_of(result: dict[str, Any]) -> str:
    """The table of the page."""
    lines = ["| command | fault | hit | runs | other bytes | torn outputs |", "|---|---|---|---|---|---|"]
    for command, rows in result["faults"].items():
        for fault, row in rows.items():
            if isinstance(row, dict):
                numbers = [row[name] for name in ("faults", "runs", "different", "torn")]
                lines.append(f"| `piaa {command}` | {fault} | " + " | ".join(map(str, numbers)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each command")
    parser.add_argument("--others", type=int, default=10, help="other faults of each kind and command")
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--items", type=int, default=1_000_000, help="of the memory curve; 0 for none")
    parser.add_argument("--show", type=Path, help="print the table of a file that --out wrote, and run nothing")
    parser.add_argument("--only", help="one of the commands, such as 'tag folder'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="3 kills, 1 other fault, 96 images, 20,000 items")
    parser.add_argument("--out", type=Path, default=None, help="write the numbers to this JSON file")
    given = parser.parse_args()
    if given.show:
        print(table_of(json.loads(given.show.read_text())))
        return
    if given.quick:
        given.kills, given.others, given.images, given.items = 3, 1, 96, 20_000
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"  # the time that rows of parts carry
    chance = random.Random(given.seed)
    torch.set_num_threads(1)
    import piaa.cli.main
    import piaa.jobs
    import piaa.recognizer  # noqa: F401

    result: dict[str, Any] = {"faults": {}}
    if given.out and given.out.exists():  # one command at a time adds to what is there
        result = json.loads(given.out.read_text())
    result |= {"machine": describe(), "save_every": SAVE_EVERY, "seed": given.seed}
    with tempfile.TemporaryDirectory() as name:
        for command in commands(Path(name), given.images):
            key = f"{command.name} {command.out.suffix or 'folder'}"
            if given.only not in (None, key):
                continue
            command.forget()
            begin = time.monotonic()
            if command.wait(command.start()) != 3:
                raise SystemExit(f"{command.name}: the undisturbed run failed\n{command.said()}")
            seconds, wanted = time.monotonic() - begin, command.state()
            rows = result["faults"][key] = {}
            rows["images"] = given.images
            rows["kill -9"] = soak(command, given.kills, seconds, wanted, chance, kill, (-signal.SIGKILL,))
            rows["SIGTERM"] = soak(command, given.others, seconds, wanted, chance, terminate, (143, -signal.SIGTERM))
            rows["full disk"] = full_disk(command, given.others, wanted, chance)
            print(key, json.dumps(rows), flush=True)
            if given.out:
                write_json(given.out, result)
    if given.items:
        result["memory"] = curve_of(given.items)
        print("memory", json.dumps(result["memory"]["summary"]), flush=True)
    if given.out:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
