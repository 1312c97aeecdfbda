"""From a cold start to one tagged image, beside importing torch and open_clip and loading the model with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from piaa.bench.work import Work
from piaa.recognizer import Recognizer
from piaa.vision.runtimes.timing import Spread, in_turns, ratio

LIBRARIES = "import torch, open_clip; open_clip.create_model({name!r}, weights_only=True)"


def measure_cold_start(work: Work, folder: Path) -> dict[str, Any]:
    """Wall time of two fresh processes in turns.

    Args:
        work: the settings.
        folder: photographs; also where the classifier may lie.

    Returns:
        `libraries` and `tag_one_image`: seconds; `ratio`: the second over the first; `help`: seconds of `piaa --help`.
    """
    model = work.load()
    photo = next(path for path in sorted((folder / "photos").iterdir()))
    recognizer = Recognizer(
        ["anchor", "umbrella"], model=work.model, pretrained=model.pretrained or None, front_end=work.front_ends[-1],
        device=work.device, precision=work.precision,
    ).fit([Image.open(photo)])  # fmt: skip
    recognizer.save(folder / "cold.piaa")
    name = f"local-dir:{_embedded()}" if work.model == "embedded" else work.model
    piaa = [sys.executable, "-m", "piaa.cli.main"]
    tag = [*piaa, "tag", str(photo), "--classifier", str(folder / "cold.piaa"), "--out", str(folder / "cold.jsonl")]
    commands = {
        "libraries": [sys.executable, "-c", LIBRARIES.format(name=name)],
        "tag_one_image": [*tag, "--device", work.device],
        "help": [*piaa, "--help"],
    }
    repeats, warm_up = (1, 0) if work.quick else (work.repeats, 1)
    times = in_turns({key: lambda c=command: _run(c) for key, command in commands.items()}, repeats, warm_up)  # type: ignore[misc]
    return {
        **{key: Spread.of(values).as_dict() for key, values in times.items()},
        "ratio": ratio(times["tag_one_image"], times["libraries"]).as_dict(),
    }


def _embedded() -> Path:
    from piaa.vision.models.sources import EMBEDDED_DIR

    return EMBEDDED_DIR


def _run(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, check=True)
