"""FiftyOne, by the files that it reads; the library itself, and its database, are not needed to write them.

labels.json     FiftyOneImageClassificationDataset: labels and scores, images by their absolute paths
data/           empty: the importer wants to see it
samples.json    samples as `fiftyone.Sample.from_dict` takes them, with the heat maps
heat_maps/      PNG, 8 bit, where heat maps were asked for
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from piaa.errors import ImageError, InputError
from piaa.exchange.common import Exported, Options, unique
from piaa.exchange.corrections import Corrected, read_json
from piaa.exchange.tag_table import TagRow, TagTable
from piaa.files import claim_folder, whole_file, writing

FIELD = "piaa"
TRUTH_FIELDS = ("ground_truth", "truth", "labels", FIELD)
MOST_MAPS = 5


def export_fifty_one(table: TagTable, options: Options) -> Exported:
    """A folder with the files above.

    Raises:
        InputError: it cannot be written, or holds what was not exported here.
    """
    out = options.target()
    result = Exported(places=[out])
    samples: list[dict[str, Any]] = []
    claim_folder(out, "piaa export")
    with writing(out):
        (out / "data").mkdir(exist_ok=True)
        for row in table.rows:
            try:
                samples.append(_sample(row, options, out))
            except ImageError as error:
                result.failed.append((row.path, error.reason))
    result.written = len(samples)
    labels = {each["filepath"]: [_short(one) for one in each[FIELD]["classifications"]] for each in samples}
    _json(out / "labels.json", {"classes": table.classes, "labels": labels})
    _json(out / "samples.json", {"samples": samples})
    return result


def read_fifty_one_files(file: Path) -> list[Corrected]:
    """Corrected labels from `labels.json` or `samples.json`, or from a folder that holds one of them.

    In samples the first field of `TRUTH_FIELDS` that is there counts.

    Raises:
        InputError: it is neither.
    """
    if file.is_dir():
        file = next((file / name for name in ("samples.json", "labels.json") if (file / name).is_file()), file)
    if file.is_dir():
        raise InputError(f"{file}: neither samples.json nor labels.json is in this folder")
    content = read_json(file)
    if isinstance(content, dict) and isinstance(content.get("samples"), list):
        rows = [_of_sample(f"{file}, sample {number}", each) for number, each in enumerate(content["samples"], 1)]
        return [row for row in rows if row is not None]
    if isinstance(content, dict) and isinstance(content.get("labels"), dict):
        names = content.get("classes")
        return [Corrected(path, _names(f"{file}, {path}", value, names)) for path, value in content["labels"].items()
                if value is not None]  # fmt: skip
    raise InputError(f"{file}: not an export of FiftyOne: no samples and no labels in it")


def _sample(row: TagRow, options: Options, out: Path) -> dict[str, Any]:
    path = options.existing(row)
    found = [_classification(path, name, score) for name, score in row.labels.items()]
    sample: dict[str, Any] = {
        "filepath": str(path),
        "tags": ["piaa"],
        "metadata": None,
        FIELD: {"_cls": "Classifications", "classifications": found},
    }
    if options.maps and row.labels:
        for number, (name, heat) in enumerate(options.maps(path, list(row.labels)[:MOST_MAPS]).items(), start=1):
            sample["heat_map" if number == 1 else f"heat_map_{number}"] = _heat_map(out, path, name, heat)
    return sample


def _heat_map(out: Path, path: Path, name: str, heat: Any) -> dict[str, Any]:
    folder = out / "heat_maps"
    folder.mkdir(exist_ok=True)
    place = folder / f"{_id(str(path), name)}.png"
    Image.fromarray((np.clip(np.asarray(heat, dtype=np.float32), 0, 1) * 255 + 0.5).astype(np.uint8)).save(place)
    about = {"_id": {"$oid": _id("map", str(path), name)}, "_cls": "Heatmap", "tags": [], "label": name}
    return {**about, "map_path": str(place.absolute()), "range": [0.0, 255.0]}


def _classification(path: Path, name: str, score: float) -> dict[str, Any]:
    about = {"_id": {"$oid": _id(str(path), name)}, "_cls": "Classification", "tags": []}
    return {**about, "label": name, "confidence": score}


def _short(one: dict[str, Any]) -> dict[str, Any]:
    return {"label": one["label"], "confidence": one["confidence"]}


def _id(*parts: str) -> str:
    """24 hexadecimal digits, the same for the same image and label."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _json(path: Path, content: Any) -> None:
    with whole_file(path) as aside:
        aside.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _of_sample(place: str, sample: Any) -> Corrected | None:
    if not isinstance(sample, dict) or not isinstance(sample.get("filepath"), str):
        raise InputError(f"{place}: no filepath")
    field = next((sample[name] for name in TRUTH_FIELDS if sample.get(name) is not None), None)
    if field is None:
        return None
    value = field.get("classifications", field.get("detections", field)) if isinstance(field, dict) else field
    return Corrected(sample["filepath"], _names(place, value, None))


def _names(place: str, value: Any, classes: Any) -> list[str]:
    names = []
    for each in value if isinstance(value, list) else [value]:
        label = each.get("label") if isinstance(each, dict) else each
        if isinstance(label, int) and isinstance(classes, list) and 0 <= label < len(classes):
            label = classes[label]
        if not isinstance(label, str):
            raise InputError(f"{place}: {label!r} is no label")
        names.append(label)
    return unique(names)
