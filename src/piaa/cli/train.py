"""`piaa train`: the other systems of table 1, on stored embeddings of a frozen tower."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import console, output, progress_bars, show_note, show_weights, shows_errors

if TYPE_CHECKING:
    from piaa.engine import Setup
    from piaa.training.spec import Method, Pace

ROOT = Path(".piaa")
MIXED = {"bf16": "bf16-mixed", "fp16": "16-mixed"}
"""`--precision` to Fabric's word for it: weights stay in float32."""


@shows_errors
def train(
    method: Annotated[str, typer.Option(help="A name of --list, such as cdul; there is no default.")] = "",
    out: Annotated[Path | None, typer.Option(help="The file of the trained head to write.")] = None,
    images: Annotated[
        list[str] | None, typer.Option(help="Training images: a folder, file, glob, tar or URL; repeatable.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Class names, one a line; with --images.")] = None,
    truth: Annotated[Path | None, typer.Option(help="True labels of the training images; 'none' needs none.")] = None,
    test_images: Annotated[list[str] | None, typer.Option(help="Test images, likewise.")] = None,
    test_truth: Annotated[
        Path | None, typer.Option(help="True labels of the test images; no training sees them.")
    ] = None,
    images_list: Annotated[
        str | None, typer.Option(help="A list of training images: .txt, .csv, .jsonl or .parquet.")
    ] = None,
    test_images_list: Annotated[str | None, typer.Option(help="A list of test images.")] = None,
    max_pixels: options.MaxPixels = None,
    dataset: Annotated[
        str | None, typer.Option(help="In place of all these: scenes, VOC07, VOC12, COCO or NUS.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Root folder of the data sets; default $PIAA_DATA_DIR.")] = None,
    limit: Annotated[
        int, typer.Option("--images-limit", min=0, help="At most so many of each split; 0: all (scenes: 2,000).")
    ] = 0,
    regime: Annotated[
        str, typer.Option(help="full, partial (10%), single-positive or none; else the method's own.")
    ] = "",
    classifier: Annotated[
        Path | None,
        typer.Option(help="A classifier that the head is to go with: its model, front-end and image size are taken."),
    ] = None,
    pseudo_labels: Annotated[str, typer.Option(help="Teacher: clip or piaa; else the method's own.")] = "",
    drawn_labels: Annotated[
        Path | None, typer.Option(help="File that keeps the drawn labels; read if it is there.")
    ] = None,
    recipe_for: Annotated[
        str, typer.Option(help="Constants of VOC07, VOC12, COCO, NUS or scenes; else the data set's.")
    ] = "",
    head: Annotated[str, typer.Option(help="class-wise or cls: what the linear classifiers see.")] = "class-wise",
    class_embeddings: Annotated[
        Path | None,
        typer.Option(help="Of sst and sarb: word vectors (text or .npy) in place of the model's text embeddings."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=0, help="0: the method's own.")] = 0,
    rate: Annotated[float, typer.Option(min=0, help="Learning rate of Adam at the start; 0: the method's own.")] = 0,
    choose_epoch: Annotated[
        str, typer.Option(help="last, or test-map: the published habit of looking at the test labels, marked as such.")
    ] = "last",
    backbone: Annotated[
        str, typer.Option(help="Train this timm backbone end to end, such as resnet50, in place of a head alone.")
    ] = "",
    backbone_weights: Annotated[
        str, typer.Option(help="imagenet, random (its pace is ours), or a safetensors file.")
    ] = "imagenet",
    backbone_size: Annotated[int, typer.Option(min=32, help="Pixels of a side for the backbone.")] = 448,
    regions: Annotated[
        str,
        typer.Option(help="CLIP on tiles and crops: encoded anew (default of --backbone), or by their patches (else)."),
    ] = "",
    export: Annotated[Path | None, typer.Option(help="Also write the backbone as ONNX, for edge devices.")] = None,
    export_int8: Annotated[Path | None, typer.Option(help="Also write it in 8 bits; beside --export.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write all numbers to this JSON file.")] = None,
    features: Annotated[Path, typer.Option(help="Folder of stored embeddings.")] = ROOT / "features",
    seed: options.Seed = 7,
    model: options.Model = "embedded",
    pretrained: options.Pretrained = None,
    front_end: options.FrontEnd = None,
    quality: options.StoredQuality = None,
    image_size: options.ImageSize = "trained",
    resize: options.Resize = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    resume: options.Resume = False,
    show_list: Annotated[bool, typer.Option("--list", help="Only list the methods and their parts.")] = False,
) -> None:
    """Train one of the systems that table 1 compares PIAA with, and measure it on test images."""
    if show_list:
        return _show_methods()
    from piaa.errors import InputError
    from piaa.experiments.features import FeatureStore
    from piaa.files import check_place, write_json
    from piaa.inputs.sources import read_arguments
    from piaa.setups import one_size
    from piaa.training.backbones import load_backbone, readable
    from piaa.training.class_embeddings import read_class_embeddings
    from piaa.training.data import from_dataset, from_files
    from piaa.training.job import EndToEnd, train_job
    from piaa.training.loop import Place
    from piaa.training.regions import ENCODED, PATCHES, EncodedRegions, check_regions
    from piaa.training.run import Plan
    from piaa.training.spec import read_method

    if not method or out is None:
        raise InputError("name a method and a file: piaa train --method NAME --out FILE (piaa train --list names them)")
    chosen = read_method(method)
    kind = check_regions(regions or (ENCODED if backbone else PATCHES))
    _check_files(chosen, class_embeddings, backbone, export, export_int8)
    end_to_end = EndToEnd(backbone, backbone_weights, backbone_size, export, export_int8) if backbone else None
    if end_to_end:  # before hours of encoding
        load_backbone(backbone, backbone_weights)
    for path in filter(None, (out, report, export, export_int8)):
        check_place(path)
    wanted = one_size(quality)
    size = wanted.image_size if image_size == "trained" else options.parse_size(image_size)
    seen = {"front_end": front_end, "image_size": size, "resize": resize, "precision": precision}
    run = {"device": device, "batch_size": batch_size, "engine": wanted.engine}
    setup = _setup(classifier, (model, pretrained), seen, run)
    show_weights(setup.model)
    with progress_bars() as stage:
        store = FeatureStore(features, workers)
        if dataset:
            found = from_dataset(_open(dataset, data, seed, limit, stage), setup, store, stage)
        else:
            sources = [
                read_arguments(places, listed, max_pixels=max_pixels) if places or listed else None
                for places, listed in ((images, images_list), (test_images, test_images_list))
            ]
            found = from_files(sources[0], labels, truth, (sources[1], test_truth), setup, store, stage)
        for note in found.notes:
            show_note(note)
        plan = Plan(
            chosen.on(recipe_for or found.name), regime, pseudo_labels, head, seed, choose_epoch, drawn_labels,
            _pace(chosen, {"epochs": epochs, "rate": rate}, backbone_weights if end_to_end else None),
            read_class_embeddings(class_embeddings, found.train.names) if class_embeddings else None,
        )  # fmt: skip
        partial = out.with_name(out.name + ".partial")
        place = Place(_accelerator(device), MIXED.get(precision, "32-true"), partial, resume)
        parts = None
        if kind == ENCODED:
            parts = EncodedRegions(setup, readable(found.items[0], found.train.ids), features, stage)
        numbers = train_job(plan, found, out, place, setup.describe(), end_to_end, stage("epochs"), parts)
    _show(numbers)
    console.print(f"written: {out}", markup=False, highlight=False)
    if report:
        write_json(report, numbers)


def _check_files(
    method: Method, words: Path | None, backbone: str, export: Path | None, export_int8: Path | None
) -> None:
    """Before hours of encoding.

    Raises:
        InputError: files that do not go with the method, with each other, or are not there.
    """
    from piaa.errors import InputError

    if words and not method.network:
        raise InputError(f"--class-embeddings is for sst and sarb; {method.name} has no network that they could guide")
    if words and not words.is_file():
        raise InputError(f"--class-embeddings {words}: there is no such file")
    if export and not backbone:
        raise InputError("--export writes a backbone; name one with --backbone")
    if export_int8 and not export:
        raise InputError("--export-int8 is made from the file of --export; name both")


def _setup(classifier: Path | None, named: tuple[str, str | None], seen: dict[str, Any], run: dict[str, Any]) -> Setup:
    """By the options, or as the classifier was learnt.

    Raises:
        InputError: a classifier that no head goes with.
    """
    from piaa.classifier import Classifier
    from piaa.cli.loading import classifier_file
    from piaa.errors import InputError
    from piaa.methods import method_of
    from piaa.setups import parameters_of, setup_of

    if classifier is None:
        return setup_of(named, **seen, **run)
    learnt = Classifier.load(classifier_file(classifier))
    taken = parameters_of(learnt.settings)
    if taken["views"] != "one":
        raise InputError(
            f"{classifier}: learnt with several sizes of an image, and a head sees one; fit it in one size"
        )
    if (method := method_of(learnt)) is not None:
        raise InputError(f"{classifier}: of the method {method.name}; a head goes with a classifier of PIAA alone")
    weights = (learnt.settings["model"], learnt.settings["pretrained"] or None)
    setup = setup_of(weights, **taken, **run)
    learnt.check_model(setup.model.fingerprint, setup.model.embed_dim)
    return setup


def _open(name: str, data: Path | None, seed: int, limit: int, stage: Any) -> Any:
    from piaa.experiments.choose import choose_datasets

    (dataset,) = choose_datasets([name], data, ROOT / "scenes", seed, limit, stage)
    return dataset


def _pace(method: Method, given: dict[str, Any], weights: str | None) -> Pace | None:
    """The method's own pace on stored embeddings (no weights) or of a backbone, with what was given; None for none."""
    from dataclasses import replace

    from piaa.training.scratch import pace_of

    own = method.frozen if weights is None else pace_of(method, weights)
    changed = {name: value for name, value in given.items() if value}
    return replace(own, **changed) if changed else None


def _accelerator(device: str) -> str:
    return "gpu" if device == "cuda" else device


def _show(numbers: dict[str, Any]) -> None:
    from rich.table import Table

    teacher = numbers["teacher"] or "none"
    if numbers["choose"] == "test-map":
        show_note("the epoch was chosen by its mAP on the test labels, as much published code does: this flatters it")
    if numbers.get("weights") == "random":
        show_note(
            f"{numbers['backbone']} began with random weights: this is a trial, its mAP says nothing of the method"
        )
    table = Table("method", "labels", "teacher", "epoch", "seconds", "mAP, %", "95% interval")
    interval = f"{numbers['low']:.1f} to {numbers['high']:.1f}" if "map" in numbers else ""
    value = f"{numbers['map']:.1f}" if "map" in numbers else "no test images"
    table.add_row(
        numbers["method"], numbers["regime"], teacher, str(numbers["epoch"]), f"{numbers['seconds']:.1f}", value,
        interval,
    )  # fmt: skip
    for key, name in (("piaa", "PIAA, the teacher"), ("together", "both together")):
        if key in numbers:
            found = numbers[key]
            table.add_row(name, "none", "", "", "", f"{found['map']:.1f}", f"{found['low']:.1f} to {found['high']:.1f}")
    output.print(table)


def _show_methods() -> None:
    from rich.table import Table

    from piaa.training import METHODS
    from piaa.training.spec import read_method

    table = Table("method", "line of table 1", "labels", "teacher", "loss", "label update", title="Trained methods")
    for name in METHODS:
        method = read_method(name)
        table.add_row(name, method.row, method.regime, method.teacher, method.loss, method.update)
    output.print(table)
