"""The report of a demonstration: what a `DemoResult` measured, as `ReportData`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from piaa.evaluation.evaluate import METHOD_NAMES, METHODS
from piaa.inputs.images import open_image
from piaa.inputs.items import list_folder
from piaa.report.builder import write_report
from piaa.report.data import (
    BankClass,
    BankPatch,
    ClassRow,
    GalleryImage,
    LabelCall,
    MeasuredOn,
    MethodRow,
    Note,
    ReportData,
    State,
    Step,
    ThresholdRow,
)
from piaa.report.explain import heat_map
from piaa.scenes.demo import DemoResult

GALLERY, FAILURES, BANK_CLASSES, BANK_PATCHES = 12, 6, 6, 8


def write_demo_report(result: DemoResult, path: str | Path) -> None:
    """Write the page for a demo that has just run; its images are read again from the demo's folder."""
    write_report(demo_report(result), path)


def demo_report(result: DemoResult) -> ReportData:
    """Everything on the page."""
    evaluation = result.evaluation
    order = _by_quality(result)
    middle = order[:: max(1, len(order) // GALLERY)][:GALLERY]
    settings, report = result.recognizer.classifier_.settings, result.recognizer.classifier_.report
    numbers = result.metrics
    names = result.recognizer.scorer().label_names
    return ReportData(
        title="piaa demonstration",
        measured_on=MeasuredOn(
            model=f"{settings['model']} ({settings['model_fingerprint']})",
            front_end=settings["front_end"],
            recipe=settings["recipe"]["name"],
            data_set="scenes drawn by this project, held-out seeds, layouts and combinations",
            seed=str(numbers["seed"]),
            images=f"{numbers['images']['unlabelled']} unlabelled, {numbers['images']['test']} test",
            machine=numbers["machine"],
            command=f"piaa demo --seed {numbers['seed']}",
        ),
        methods=_methods(result),
        classes=_classes(result),
        size_note="Size is an object's longer side over the image's: small below 0.22, large from 0.40.",
        gallery=tuple(_picture(result, number) for number in middle),
        failures=tuple(_picture(result, number) for number in order[-FAILURES:][::-1]),
        bank=_bank(result),
        thresholds=_thresholds(result),
        steps=tuple(Step(name, value) for name, value in result.seconds.items()),
        skipped=tuple(Note(name, why) for name, why in evaluation.failed),
        fallbacks=tuple(Note(name, why) for name, why in report["fallbacks"].items() if name in names),
    )


def _methods(result: DemoResult) -> tuple[MethodRow, ...]:
    numbers = result.metrics
    rows = []
    for method in METHODS:
        sizes = {size: value / 100 for size, value in numbers["map_by_size"].get(method, {}).items()}
        ours = method == "piaa"
        rows.append(
            MethodRow(
                METHOD_NAMES[method],
                numbers[f"{method}_map"] / 100,
                cf1=numbers["cf1"] / 100 if ours else None,
                of1=numbers["of1"] / 100 if ours else None,
                role="ours" if ours else "baseline" if method == "cls" else "other",
                **sizes,
            )
        )
    return tuple(rows)


def _classes(result: DemoResult) -> tuple[ClassRow, ...]:
    each = result.evaluation.per_class()
    positives = result.evaluation.labels.sum(dim=0).tolist()
    known = {m: [None if math.isnan(v) else v / 100 for v in each[m]] for m in ("piaa", "cls", "text_patch")}
    return tuple(
        ClassRow(name, known["piaa"][c], known["cls"][c], known["text_patch"][c], int(positives[c]))
        for c, name in enumerate(result.recognizer.scorer().label_names)
    )


def _thresholds(result: DemoResult) -> tuple[ThresholdRow, ...]:
    return tuple(
        ThresholdRow(
            name,
            f1["cf1"] / 100,
            f1["of1"] / 100,
            is_default=name.startswith("learnt"),
            uses_truth=name.startswith("oracle"),
        )
        for name, f1 in result.metrics["f1"].items()
    )


def _by_quality(result: DemoResult) -> list[int]:
    """Test images from the best labelled to the worst, by the F1 of each image's labels."""
    decided, labels = result.evaluation.decided.double(), result.evaluation.labels.double()
    f1 = 2 * (decided * labels).sum(1) / (decided.sum(1) + labels.sum(1)).clamp(min=1)
    return [int(i) for i in torch.argsort(f1, descending=True, stable=True)]


def _picture(result: DemoResult, number: int) -> GalleryImage:
    evaluation, scorer = result.evaluation, result.recognizer.scorer()
    image = open_image(evaluation.ids[number])
    maps, _ = scorer.patch_maps(image)
    region = scorer.preprocess.region(*image.size)
    truth, given = evaluation.labels[number].bool(), evaluation.decided[number]
    chosen = (truth | given).nonzero()[:, 0].tolist()
    chosen.sort(key=lambda c: -float(evaluation.calibrated[number, c]))
    peak = float(maps[chosen].max()) if chosen else 1.0
    calls = []
    for c in chosen:
        state: State = "right" if truth[c] and given[c] else "missed" if truth[c] else "wrong"
        size = float(evaluation.sizes[number, c])
        calls.append(
            LabelCall(
                scorer.label_names[c],
                float(evaluation.calibrated[number, c]),
                state,
                heat_map(maps[c].numpy() / peak, image.size, region),
                None if np.isnan(size) else size,
            )
        )
    return GalleryImage(Path(evaluation.ids[number]).name, image, tuple(calls), region)


def _bank(result: DemoResult) -> tuple[BankClass, ...]:
    """The purest retained patches of a few classes, found again in the unlabelled images."""
    classifier = result.recognizer.classifier_
    retained = classifier.statistics["retained"]
    files = list_folder(result.out / "unlabelled").paths
    kept, found = classifier.report["kept_sizes"], classifier.report["bank_sizes"]
    chosen = sorted(range(len(kept)), key=lambda c: -kept[c])[:: max(1, len(kept) // BANK_CLASSES)][:BANK_CLASSES]
    rows, columns = _grid(result)
    classes = []
    for c in chosen:
        patches = []
        for _, index, patch in retained[retained[:, 0] == c][:BANK_PATCHES].tolist():
            image = open_image(files[index])
            left, top, right, bottom = result.recognizer.scorer().preprocess.region(*image.size)
            width, height = (right - left) / columns, (bottom - top) / rows
            x, y = left + (patch % columns) * width, top + (patch // columns) * height
            patches.append(BankPatch(image, (x, y, x + width, y + height)))
        name = classifier.labels[c].name
        classes.append(BankClass(name, tuple(patches), int(kept[c]), int(found[c])))
    return tuple(classes)


def _grid(result: DemoResult) -> tuple[int, int]:
    scorer = result.recognizer.scorer()
    rows, columns = scorer.preprocess.image_size
    patch = scorer.setup.model.tower.patch_size
    side = patch if isinstance(patch, tuple) else (patch, patch)
    return rows // side[0], columns // side[1]
