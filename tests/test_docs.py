"""What README and pages print can be typed: each command and option exists, each link leads somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from piaa.cli.main import EVERYWHERE, app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINE = re.compile(r"^(?: {4})?(piaa|make) (\S.*)$", re.MULTILINE)


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: Path) -> list[tuple[str, list[str]]]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)) + "\n"
    blocks += "\n".join(re.findall(r"^ {4}\S.*$", text, re.MULTILINE))
    return [(program, shlex.split(rest, comments=True)) for program, rest in LINE.findall(blocks)]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=ids)
def test_each_printed_command_exists(page: Path) -> None:
    root = get_command(app)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, line in commands(page):
        words = line[: line.index("&&")] if "&&" in line else line
        if program == "make":
            assert set(words) <= set(targets), words
            continue
        while words and words[0].partition("=")[0] in EVERYWHERE:
            words = words[2 if EVERYWHERE[words[0]] else 1 :]
        if not words or words[0] in ("--help", "-h", "--version", "--install-completion", "COMMAND"):
            continue
        command = root.commands[words[0]]  # type: ignore[attr-defined]
        if len(words) > 1 and words[1] in getattr(command, "commands", {}):
            command = command.commands[words[1]]
        known = {name for parameter in command.params for name in parameter.opts} | set(EVERYWHERE) | {"-h", "--help"}
        given = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert given <= known, f"piaa {' '.join(words)}: {given - known}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_link_to_a_file_leads_to_one(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_pages_name_only_modules_that_exist() -> None:
    """An old import path in a page would send a reader to nothing."""
    source = ROOT / "src"
    for page in PAGES:
        if page.name == "CHANGELOG.md":  # names the old ones on purpose
            continue
        for name in set(re.findall(r"`(piaa(?:\.[a-z_0-9]+)+)", page.read_text(encoding="utf-8"))):
            parts = name.split(".")
            found = any(
                (source.joinpath(*parts[:end]).is_dir() or source.joinpath(*parts[:end]).with_suffix(".py").is_file())
                for end in range(len(parts), max(1, len(parts) - 2), -1)
            )
            assert found, f"{page.name}: {name}"
