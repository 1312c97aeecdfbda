"""Engines side by side: their rate as a multiple of eager float32's, how far their embeddings lie from it, their mAP.

    python benchmarks/engines.py --write docs/engines.md

Rates: random ViT-B/16 at 224 and the embedded model, all engines in turns in one run, so that what else the machine
does meets all alike. mAP: fit and evaluation on drawn scenes with the embedded model, all of it in the engine.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from piaa.bench.machine import describe, pin_threads
from piaa.bench.output import machine_line, markdown, replace_between_markers, spread, write_json
from piaa.errors import PiaaError
from piaa.evaluation.evaluate import Evaluation, evaluate
from piaa.evaluation.metrics.compare import compare
from piaa.evaluation.truth import read_truth
from piaa.inputs.items import batches, iterate
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder, write_scene_truth
from piaa.vision.encoder import Encoded, Encoder, ImageEncoder
from piaa.vision.models import LoadedModel, load_model
from piaa.vision.runtimes.auto import relative_difference
from piaa.vision.runtimes.build import build_encoder
from piaa.vision.runtimes.cache import installed
from piaa.vision.runtimes.names import engine_names
from piaa.vision.runtimes.timing import Spread, in_turns, ratio
from piaa.vision.towers import build_tower

EAGER, EAGER_BF16 = "eager", "eager, bf16"
MODELS = ("ViT-B-16", "embedded")
RESAMPLES = 200


def main() -> None:
    arguments = parse()
    threads = pin_threads(arguments.threads)
    engines = [name for name in arguments.engines if name != EAGER]
    result: dict[str, Any] = {
        "machine": describe() | {"threads": threads},
        "versions": installed("openvino", "onnxruntime", "onnx"),
        "settings": {k: str(v) if isinstance(v, Path) else v for k, v in vars(arguments).items()},
        "rates": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw(root, arguments.seed, arguments.scenes)
        for name in arguments.models:
            model = load_model(name, None if name == "embedded" else "random", device="cpu", precision="fp32")
            images = some_images(model, root, arguments.batch)
            for front_end in arguments.front_ends:
                result["rates"] += rates(model, front_end, images, engines, arguments.repeats)
                print(json.dumps(result["rates"][-1]), flush=True)
        result["map"] = precision_of(engines, arguments.front_ends[-1], root) if arguments.scenes else []
    text = report(result)
    print(text)
    if arguments.out:
        write_json(arguments.out, result)
    if arguments.write:
        replace_between_markers(arguments.write, text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measured = [EAGER_BF16, *(name for name in engine_names() if name not in (EAGER, "auto"))]
    parser.add_argument("--engines", nargs="+", default=measured)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    front_ends = ["clip", "itaclip", "sc-clip", "sclip"]
    parser.add_argument("--front-ends", nargs="+", default=front_ends, help="the last one is used for mAP")
    parser.add_argument("--batch", type=int, default=8, help="images a repetition")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scenes", type=int, default=1000, help="of each split, for mAP; 0 leaves mAP out")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    parser.add_argument("--write", type=Path, default=None, help="Markdown file with markers")
    return parser.parse_args()


def draw(root: Path, seed: int, scenes: int) -> None:
    write_scene_folder(root / "unlabelled", seed, "unlabelled", max(scenes, 16))
    write_scene_truth(root / "truth.csv", "test", write_scene_folder(root / "test", seed, "test", max(scenes, 16)))


def some_images(model: LoadedModel, root: Path, count: int) -> Tensor:
    """Drawn scenes as the model wants them, as often as it takes."""
    batch = next(iter(batches(iterate(root / "test"), model.preprocess(), 16, 1, print)))
    return torch.cat([batch.images] * (1 + count // len(batch.images)))[:count]


def encoder_for(model: LoadedModel, front_end: str, engine: str) -> ImageEncoder:
    if engine == EAGER_BF16:
        visual: Any = model.tower.visual
        return Encoder(build_tower(copy.deepcopy(visual)).to(torch.bfloat16), front_end)
    return build_encoder(Encoder(model.tower, front_end), engine, model.fingerprint, model.image_size)


def rates(model: LoadedModel, front_end: str, images: Tensor, engines: list[str], repeats: int) -> list[dict[str, Any]]:
    """A row an engine: milliseconds an image, rate to eager, relative differences; or why it could not be measured."""
    eager = Encoder(model.tower, front_end)
    expected = eager(images)
    encoders: dict[str, ImageEncoder] = {EAGER: eager}
    rows: dict[str, dict[str, Any]] = {}
    for engine in engines:
        try:
            encoders[engine] = encoder_for(model, front_end, engine)
            rows[engine] = differences(encoders[engine](images), expected)
        except PiaaError as error:
            encoders.pop(engine, None)
            rows[engine] = {"error": str(error)}
    cases: dict[str, Callable[[], object]] = {
        name: (lambda encode=encode: encode(images)) for name, encode in encoders.items()
    }
    seconds = in_turns(cases, repeats)
    for name, values in seconds.items():
        rows.setdefault(name, {"cls": 0.0, "patches": 0.0, "worst": 0.0})
        each = [1000 * value / len(images) for value in values]
        rows[name] |= {"ms": Spread.of(each).as_dict(), "rate": ratio(seconds[EAGER], values).as_dict()}
    return [{"model": model.name, "front_end": front_end, "engine": name, **rows[name]} for name in (EAGER, *engines)]


def differences(found: Encoded, expected: Encoded) -> dict[str, Any]:
    each = [relative_difference(a, b) for a, b in zip(found.patches, expected.patches, strict=True)]
    return {
        "cls": relative_difference(found.cls, expected.cls),
        "patches": relative_difference(found.patches, expected.patches),
        "worst": max(each),
    }


def precision_of(engines: list[str], front_end: str, root: Path) -> list[dict[str, Any]]:
    """mAP of fit and evaluation in each engine, percent, and what it loses against eager float32, with its interval."""
    rows: list[dict[str, Any]] = []
    baseline = None
    for engine in (EAGER, *engines):
        try:
            measured = evaluated(engine, front_end, root)
        except PiaaError as error:
            rows.append({"engine": engine, "error": str(error)})
            continue
        baseline = measured if baseline is None else baseline
        row: dict[str, Any] = {"engine": engine}
        for method in ("piaa", "cls"):
            paired = compare(measured.scores[method], baseline.scores[method], measured.labels, resamples=RESAMPLES)
            lost = {"median": 0 - paired.difference, "low": 0 - paired.high, "high": 0 - paired.low}
            row |= {method: 100 * paired.value, f"{method}_lost": {key: 100 * value for key, value in lost.items()}}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def evaluated(engine: str, front_end: str, root: Path) -> Evaluation:
    """A recognizer fitted and evaluated in one engine."""
    options = {"engine": EAGER, "precision": "bf16"} if engine == EAGER_BF16 else {"engine": engine}
    options = {"precision": "fp32"} | options
    recognizer = Recognizer(object_names(), front_end=front_end, device="cpu", **options).fit(root / "unlabelled")
    scorer = recognizer.scorer()
    truth = read_truth(root / "truth.csv", scorer.label_names)
    return evaluate(scorer, root / "test", truth)


def report(result: dict[str, Any]) -> str:
    settings = result["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    parts = [
        f"{machine_line(result['machine'])}; {versions}. Batches of {settings['batch']}, medians of "
        f"{settings['repeats']} repetitions in turns (least to greatest).",
        rates_table(result["rates"]),
    ]
    if result["map"]:
        parts.append(
            f"mAP on {settings['scenes']} drawn scenes (as many unlabelled ones to fit), seed {settings['seed']}, "
            f"{settings['front_ends'][-1]}, embedded model:"
        )
        parts.append(map_table(result["map"]))
    failed = {f"{row['engine']}: {row['error']}" for row in [*result["rates"], *result["map"]] if "error" in row}
    parts += [f"Not measured: {line}" for line in sorted(failed)]
    return "\n\n".join(parts)


def rates_table(rows: list[dict[str, Any]]) -> str:
    heads = ["engine", "model", "front-end", "ms an image", "rate to eager", "[CLS] differs", "patches differ", "worst"]
    lines = [
        [
            row["engine"], row["model"], row["front_end"], spread(row["ms"], 1), spread(row["rate"]),
            *(f"{row[key]:.0e}" for key in ("cls", "patches", "worst")),
        ]
        for row in rows if "error" not in row
    ]  # fmt: skip
    return markdown((heads, lines))


def map_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        [row["engine"], *(cell for m in ("piaa", "cls") for cell in (f"{row[m]:.2f}", spread(row[f"{m}_lost"])))]
        for row in rows
        if "error" not in row
    ]
    return markdown((["engine", "PIAA mAP", "lost (95% interval)", "[CLS] mAP", "lost (95% interval)"], lines))


if __name__ == "__main__":
    main()
