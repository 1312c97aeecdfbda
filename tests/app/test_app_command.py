"""`piaa app` as a user starts it: it prints an address that works, and ends on Ctrl-C without a trace."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from typer.testing import CliRunner

from piaa.cli.main import app


def test_it_prints_an_address_and_ends_on_interrupt(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the page needs pip install 'piaa[app]'")
    command = [sys.executable, "-m", "piaa", "app", str(tmp_path), "--no-browser"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/\?key=\S{32}", process.stdout.readline())
            assert found, process.stderr.read()
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
            with browser.open(found[0], timeout=60) as answer:
                assert b"What is in these pictures?" in answer.read() and "key" not in answer.url
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("piaa-app-*"))  # dropped pictures are gone


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([".", "--classifier", "nowhere.piaa"], "nowhere.piaa: no such file"),
    ],
    ids=["root", "classifier"],
)
def test_what_is_not_there_is_named(
    arguments: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["app", "--no-browser", *arguments])
    assert result.exit_code == 1 and what in result.output


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["app", "--no-browser", str(tmp_path)])
    assert result.exit_code == 1 and "pip install" in result.output and ".[app]" in result.output
