"""COCO JSON of the tags. COCO knows boxes alone, so a label is a box around the whole image, with the score."""

from __future__ import annotations

import json
from typing import Any

from piaa.errors import ImageError
from piaa.exchange.common import Exported, Options, image_size
from piaa.exchange.tag_table import TagTable
from piaa.files import whole_file


def export_coco(table: TagTable, options: Options) -> Exported:
    """`images`, `categories` (from 1, in the order of the classes) and `annotations`; sizes are read from the files."""
    out = options.target()
    result = Exported(places=[out])
    number = {name: index for index, name in enumerate(table.classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row in table.rows:
        try:
            width, height = image_size(options.existing(row))
        except ImageError as error:
            result.failed.append((row.path, error.reason))
            continue
        result.written += 1
        images.append({"id": len(images) + 1, "file_name": row.path, "width": width, "height": height})
        for name, score in row.labels.items():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": number[name],
                    "bbox": [0, 0, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "score": score,
                }
            )
    content = {
        "info": {"description": "image labels of piaa; each box is the whole image", **table.about},
        "images": images,
        "categories": [{"id": index, "name": name, "supercategory": ""} for name, index in number.items()],
        "annotations": annotations,
    }
    with whole_file(out) as aside:
        aside.write_text(json.dumps(content, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    return result
