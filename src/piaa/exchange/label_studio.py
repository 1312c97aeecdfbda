"""Label Studio: tags as pre-annotations that a person corrects, and the corrections back.

Tasks in JSON with `predictions` of one `Choices` control called `labels`; the labelling interface that they need lies
beside them (`OUT.config.xml`). Images are named as Label Studio's local storage serves them
(`/data/local-files/?d=PATH`), relative to its document root, which is `--images`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from piaa.errors import InputError
from piaa.exchange.common import Exported, Options, plain
from piaa.exchange.corrections import Corrected, read_json
from piaa.exchange.tag_table import TagRow, TagTable
from piaa.files import whole_file

CONTROL, OBJECT = "labels", "image"


def export_label_studio(table: TagTable, options: Options) -> Exported:
    """A task an image, and the labelling interface.

    Raises:
        InputError: it cannot be written.
    """
    out = options.target()
    config = out.with_name(f"{out.stem}.config.xml")
    version = str(table.about.get("version") or "piaa")
    with whole_file(out) as aside, open(aside, "w", encoding="utf-8") as stream:
        stream.write("[")
        for number, row in enumerate(table.rows):
            stream.write((",\n" if number else "\n") + json.dumps(_task(row, options, version), ensure_ascii=False))
        stream.write("\n]\n")
    with whole_file(config) as aside:
        aside.write_text(_config(table), encoding="utf-8")
    return Exported(len(table.rows), places=[out, config])


def read_label_studio(file: Path) -> list[Corrected]:
    """A JSON or JSON-MIN export; tasks that nobody has annotated, or that were skipped, are left out.

    Raises:
        InputError: it is neither.
    """
    tasks = read_json(file)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(f"{file}: not an export of Label Studio (JSON or JSON-MIN): not a list of tasks")
    rows = (_corrected(f"{file}, task {number}", task) for number, task in enumerate(tasks, start=1))
    return [row for row in rows if row is not None]


def _task(row: TagRow, options: Options, version: str) -> dict[str, Any]:
    score = min(row.labels.values(), default=0.0)
    choices = {
        "from_name": CONTROL,
        "to_name": OBJECT,
        "type": "choices",
        "value": {"choices": [*map(plain, row.labels)]},
    }
    return {
        "data": {OBJECT: _url(row, options), "path": row.path},
        "predictions": [
            {"model_version": version, "score": round(score, 6), "result": [choices] if row.labels else []}
        ],
    }


def _url(row: TagRow, options: Options) -> str:
    inside = os.path.relpath(options.file(row), os.path.abspath(options.images or Path()))
    return "/data/local-files/?d=" + quote(inside.replace(os.sep, "/"))


def _config(table: TagTable) -> str:
    choices = "\n".join(f"    <Choice value={quoteattr(plain(name))}/>" for name in table.classes)
    return f"""<View>
  <Image name="{OBJECT}" value="${OBJECT}" zoom="true"/>
  <Choices name="{CONTROL}" toName="{OBJECT}" choice="multiple" showInline="true">
{choices}
  </Choices>
</View>
"""


def _corrected(place: str, task: dict[str, Any]) -> Corrected | None:
    data = task.get("data", task)  # JSON-MIN has no level of its own for the data
    path = data.get("path") if isinstance(data, dict) else None
    if not isinstance(path, str):
        path = _path_of(data.get(OBJECT)) if isinstance(data, dict) else None
    if not path:
        raise InputError(f"{place}: neither a path nor an image in its data")
    if "annotations" not in task:
        return Corrected(path, _names(place, task.get(CONTROL))) if CONTROL in task else None
    done = [each for each in _objects(place, task["annotations"]) if not each.get("was_cancelled")]
    if not done:
        return None
    results = _objects(place, done[-1].get("result") or [])  # the last one holds, as in Label Studio's own exports
    return Corrected(path, [name for each in results for name in _names(place, each.get("value"))])


def _objects(place: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(f"{place}: its annotations are not as Label Studio writes them")
    return value


def _names(place: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        value = next((value[key] for key in ("choices", "rectanglelabels", "labels") if key in value), None)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{place}: no choices in its annotation")
    return value


def _path_of(url: Any) -> str | None:
    if not isinstance(url, str):
        return None
    parts = urlsplit(url)
    inside = parse_qs(parts.query).get("d")
    return inside[0] if inside else unquote(parts.path) or None
