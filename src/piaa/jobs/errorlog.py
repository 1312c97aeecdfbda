"""Images that cannot be read are counted and written down, one JSON line each."""

from __future__ import annotations

import json
from pathlib import Path

from piaa.errors import ImageError, InputError


class ErrorLog:
    """Lines `{"path", "reason", "stage"}` in a file that exists only once there is an error.

    Args:
        path: the file, `<output>.errors.jsonl`.
        stage: what was being done: fit, tag.
        strict: raise at the first error instead of going on.
        keep: lines of an earlier run to keep (a resumed job), 0 to begin anew.
    """

    def __init__(self, path: Path, stage: str, *, strict: bool = False, keep: int = 0) -> None:
        self.path, self.stage, self.strict = path, stage, strict
        self.count = 0
        old = path.read_text(encoding="utf-8").splitlines()[:keep] if keep and path.exists() else []
        path.unlink(missing_ok=True)
        for line in old:
            self._append(line)

    def __call__(self, error: ImageError) -> None:
        """Write one error down.

        Raises:
            InputError: in strict mode.
        """
        row = {"path": error.path, "reason": error.reason, "stage": self.stage}
        self._append(json.dumps(row, ensure_ascii=False))
        if self.strict:
            raise InputError(f"{error} (stopped, as --strict asks; leave it out to skip such images)") from error

    def _append(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.count += 1
