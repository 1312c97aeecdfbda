"""Debian's Chromium through Playwright, for tests of pages.

Without them the tests are skipped, and say so; where the variable CI or PIAA_NEEDS_BROWSER is
set, as .ci/run does, they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium_page(width: int = 1280, height: int = 900) -> Iterator[Any]:
    """A page of a fresh browser; at the end neither an error nor a request to another machine may have been seen."""
    try:
        from playwright import sync_api as api
    except ModuleNotFoundError:
        _missing("playwright is not installed: pip install playwright")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        _missing("no chromium on this machine: apt-get install chromium, or CHROMIUM=its path")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS, headless=True)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(10_000)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda message: problems.append(message.text) if _is_problem(message) else None)
            page.on("request", lambda request: problems.append(request.url) if _foreign(request.url) else None)
            yield page
            assert not problems, problems
        finally:
            browser.close()


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI") or os.environ.get("PIAA_NEEDS_BROWSER"):
        pytest.fail(what)
    pytest.skip(what)


def _is_problem(message: Any) -> bool:
    refused = "status of 400" in message.text  # what the page then shows to the user
    return message.type == "error" and not refused


def _foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:"))
