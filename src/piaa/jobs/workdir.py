"""The place beside an output where a running job keeps what it has: `<output>.partial/`.

It holds a manifest that says which job it belongs to, and finished pieces, each written aside and renamed. Nothing
appears under the output's own name before the job is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.inputs import Item


def digest_of(items: list[Item]) -> str:
    """16 hexadecimal digits of the list of inputs: names, and size and time of files."""
    total = hashlib.sha256()
    for item in items:
        total.update(item.id.encode("utf-8", "surrogateescape") + b"\0")
        if isinstance(item.source, str | os.PathLike):
            try:
                status = os.stat(item.source)
                total.update(f"{status.st_size} {status.st_mtime_ns}".encode())
            except OSError:
                total.update(b"gone")
    return total.hexdigest()[:16]


class WorkDir:
    """`<output>.partial/` with a manifest.

    Args:
        output: the final file.
        job: plain values that decide the result (fingerprint, digest of the inputs, options).
        resume: go on with what is there.

    Attributes:
        found: whether there was something of this very job to go on with.
        replaced: whether leftovers of another run were thrown away.

    Raises:
        InputError: resume was asked for, and what is there belongs to another job; or the place cannot be written.
    """

    def __init__(self, output: Path, job: dict[str, Any], *, resume: bool) -> None:
        self.path = output.with_name(output.name + ".partial")
        manifest = self.path / "job.json"
        self.found = self.replaced = False
        try:
            if resume and manifest.exists():
                self._compare(json.loads(manifest.read_text(encoding="utf-8")), job)
                self.found = True
                return
            self.replaced = self.path.exists()
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
            self.write("job.json", json.dumps(job, ensure_ascii=False).encode())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def _compare(self, theirs: dict[str, Any], job: dict[str, Any]) -> None:
        changed = sorted(key for key in job | theirs if job.get(key) != theirs.get(key))
        if changed:
            raise InputError(
                f"{self.path}: belongs to a run with other {', '.join(changed)}, so it cannot be resumed; "
                "start again without --resume"
            )

    def write(self, name: str, content: bytes) -> None:
        """Write one piece, whole or not at all."""
        aside = self.path / f"{name}.aside"
        aside.write_bytes(content)
        os.replace(aside, self.path / name)

    def pieces(self, suffix: str) -> list[Path]:
        """Finished pieces with this ending, in order of their names."""
        return sorted(path for path in self.path.glob(f"*{suffix}") if path.name != "job.json")

    def remove(self) -> None:
        """Clear the place once the output is whole."""
        shutil.rmtree(self.path, ignore_errors=True)
