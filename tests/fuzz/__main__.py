"""`python -m tests.fuzz --seconds 60`: every target in turn; the exit code is 1 where a fault was found."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from tests.fuzz.harness import SECONDS, Result, run_target, try_case
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only these; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other cases")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder for what was found")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="read one finding again; needs --target")
    parser.add_argument("--coverage", action="store_true", help="let Atheris choose the cases; needs one --target")
    chosen = parser.parse_args()
    if (chosen.replay or chosen.coverage) and len(chosen.target or []) != 1:
        parser.error("--replay and --coverage need one --target")
    if chosen.replay:
        return replay(chosen.target[0], chosen.replay)
    if chosen.coverage:
        from tests.fuzz.coverage import guided

        return guided(TARGETS[chosen.target[0]], chosen.seconds, chosen.seed)
    return fuzz(chosen.target or sorted(TARGETS), chosen.seconds, chosen.seed, chosen.out)


def fuzz(names: list[str], seconds: float, seed: int, out: Path) -> int:
    whole = sum(TARGETS[name].share for name in names)
    print(f"{'target':<18}{'cases':>8}{'read':>8}{'refused':>9}{'slowest':>9}{'memory':>9}  faults")
    faults = 0
    for name in names:
        result = run_target(TARGETS[name], seed, seconds * TARGETS[name].share / whole)
        show(result)
        faults += len(result.faults)
        keep(result, out)
    print(f"{faults} faults" + (f"; each is in {out}/" if faults else ""), f"(a case may last {SECONDS} s)")
    return 1 if faults else 0


def show(result: Result) -> None:
    refused, memory = sum(result.refused.values()), f"{result.most_memory:.0f} MiB"
    row = f"{result.name:<18}{result.cases:>8}{result.accepted:>8}{refused:>9}{result.slowest:>7.2f} s{memory:>9}"
    print(f"{row}  {len(result.faults) or '-'}", flush=True)


def keep(result: Result, out: Path) -> None:
    """A file for each fault, and its words beside it."""
    for fault in result.faults:
        out.mkdir(parents=True, exist_ok=True)
        stem = out / f"{result.name}-{fault['number']}"
        ending = fault["suffix"].replace("/", "__") or ".bin"
        stem.with_name(stem.name + ending).write_bytes(bytes.fromhex(fault["data"]))
        stem.with_name(stem.name + ".txt").write_text(fault["what"])
        print(f"  case {fault['number']}: {fault['what'].strip().splitlines()[-1][:150]}")


def replay(name: str, file: Path) -> int:
    """Read one case in this process, with whatever traceback there is."""
    folder = file.parent / "tree"
    folder.mkdir(exist_ok=True)
    target = TARGETS[name]
    known = {each.suffix for each in target.seeds(folder)}
    suffix = next((each for each in known if each and file.name.endswith(each.replace("/", "__"))), "")
    result = Result(name)
    fault = try_case(target, file.read_bytes(), suffix, folder, result)
    print(fault or json.dumps(result.__dict__))
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
