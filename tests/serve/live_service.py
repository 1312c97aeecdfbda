"""A service in a process of its own, on a free port of this machine, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

LONGEST = 120
"""Seconds after which a service that no test ended is ended anyway."""


@dataclass
class Live:
    process: subprocess.Popen[str]
    url: str
    log: list[str]

    def tag(self, *images: bytes, **fields: Any) -> requests.Response:
        key = fields.pop("key", None)
        files = [("image", (f"{place}.jpg", image)) for place, image in enumerate(images)]
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return requests.post(f"{self.url}/v1/tag", files=files, data=fields, headers=headers, timeout=60)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=30)


@contextlib.contextmanager
def service(*arguments: object, **environment: str) -> Iterator[Live]:
    command = [sys.executable, "-m", "piaa", "serve", *map(str, arguments), "--port", "0"]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "500", **environment}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)
    end = threading.Timer(LONGEST, process.kill)
    end.start()
    log: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            log.append(line)
            if found := re.search(r"serving .*? at (http://\S+)", line):
                reader = threading.Thread(target=log.extend, args=(process.stderr,), daemon=True)
                reader.start()
                yield Live(process, found[1], log)
                break
        else:
            raise AssertionError("".join(log))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        end.cancel()


def write_classifier(path: Path, labels: list[str], seed: int = 5, images: int = 12) -> None:
    from piaa.recognizer import Recognizer
    from piaa.scenes import render, sample_scene

    pictures = [render(sample_scene(seed, "unlabelled", number), (96, 96)) for number in range(images)]
    Recognizer(labels).fit(pictures).save(path)
