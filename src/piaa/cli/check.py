"""`piaa check`: which recipe and which front-end do these images speak for? No label is used."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import console, show_skipped, shows_errors

ALL = "all"


@shows_errors
def check(
    labels: options.LabelFile,
    images: options.Images = None,
    list_file: options.ListFile = None,
    frames: options.Frames = 0,
    max_pixels: options.MaxPixels = None,
    front_ends: Annotated[
        list[str] | None,
        typer.Option("--front-end", help="clip, sclip, itaclip or sc-clip, repeatable, or all; else the model's own."),
    ] = None,
    model: options.Model = "embedded",
    pretrained: options.Pretrained = None,
    templates: options.Templates = "published",
    other_words: options.OtherWords = None,
    quality: options.Quality = "standard",
    image_size: options.ImageSize = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    out: options.JsonOut = None,
) -> None:
    """Estimate, without labels, which recipe and front-end suit these images and words best."""
    from piaa.files import check_place, write_json
    from piaa.inputs.sources import read_arguments
    from piaa.method.reliability import BY_ESTIMATE
    from piaa.recognizer import Recognizer
    from piaa.vision.front_ends import FRONT_ENDS
    from piaa.vocabulary.labels import read_labels

    chosen: list[Any] = list(FRONT_ENDS) if front_ends == [ALL] else front_ends or [None]
    if out:
        check_place(out)
    source = read_arguments(images, list_file, max_pixels=max_pixels, frames=frames)
    given: Any = list(source) if len(chosen) > 1 and "-" in (images or ()) else source  # what can be read but once
    found: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    for front_end in chosen:
        recognizer = Recognizer(
            read_labels(labels),
            model=model,
            pretrained=pretrained,
            front_end=front_end,
            recipe="auto",
            templates=templates,
            other_words=options.parse_other_words(other_words),
            quality=quality,
            image_size=options.parse_size(image_size),
            device=device,
            batch_size=batch_size,
            workers=workers,
        ).fit(given)
        classifier = recognizer.classifier_
        estimate = classifier.report["quality"]
        notes |= dict.fromkeys(note for note in classifier.report["quality_notes"] if not note.startswith(BY_ESTIMATE))
        for recipe, value in estimate.get("reliability", {}).items():
            found.append({"front_end": classifier.settings["front_end"], "recipe": recipe, **value})
    show_skipped(source.skipped)
    show(found, list(notes))
    if out:
        write_json(out, {"found": found, "notes": list(notes)})


def show(found: list[dict[str, Any]], notes: list[str]) -> None:
    """The table, best first, and what follows from it."""
    from rich.table import Table

    from piaa.cli.console import show_note
    from piaa.method.recipes import RECIPES
    from piaa.method.reliability import CLEARLY

    for note in notes:
        show_note(note)
    if not found:
        show_note("nothing can be told: it takes two images, two words and patches that differ at the least")
        return
    table = Table("front-end", "recipe", "reliability, 0 to 1", "of patches", "of [CLS]")
    for row in sorted(found, key=lambda row: -row["fused"]):
        table.add_row(row["front_end"], row["recipe"], *(f"{row[key]:.2f}" for key in ("fused", "patches", "cls")))
    console.print(table)
    fits = [row for row in found if row["recipe"] in RECIPES and not row["alike"]]
    if not fits:
        return
    best, default = max(fits, key=lambda row: row["fused"]), next(row for row in fits if row["recipe"] == "default")
    if best["fused"] > default["fused"] + CLEARLY:
        say = f"these images speak for --front-end {best['front_end']} --recipe {best['recipe']}"
    else:
        say = "nothing is clearly better than the default recipe"
    console.print(say, markup=False, highlight=False)
