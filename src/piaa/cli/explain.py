"""`piaa explain`: show where in an image each label was seen."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from piaa.cli import options
from piaa.cli.console import INCOMPLETE, console, progress_bars, show_note, show_skipped, shows_errors
from piaa.cli.loading import load_recognizer
from piaa.errors import ImageError, InputError

if TYPE_CHECKING:
    from piaa.explanation import Explanation
    from piaa.inputs.items import Item
    from piaa.recognizer import Recognizer

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@shows_errors
def explain(
    classifier: options.ClassifierFile,
    out: Annotated[Path, typer.Option(help="The picture to write (.png, .jpg); for several images a folder.")],
    images: options.Images = None,
    top: Annotated[int, typer.Option(min=1, help="Labels to show where none passes its threshold.")] = 5,
    model: options.MovedModel = None,
    pretrained: options.MovedPretrained = None,
    quality: options.RunQuality = None,
    device: options.Device = "auto",
    engine: options.EngineName = None,
    head: options.NoHead = None,
    list_file: options.ListFile = None,
    frames: options.Frames = 0,
    max_pixels: options.MaxPixels = None,
) -> None:
    """Draw a heat map over the image for each of its labels; for several images a picture of each into a folder."""
    from piaa.inputs.sources import read_arguments

    options.refuse_head(head, "a head sees each class's patches as one mean and cannot say where the class is")
    source = read_arguments(images, list_file, max_pixels=max_pixels, frames=frames)
    picture = out.suffix.lower() in PICTURES
    if not picture and out.suffix and not out.is_dir():
        raise InputError(f"{out}: the ending says how to draw; use one of {', '.join(PICTURES)}, or name a folder")
    stream = iter(source)
    first = list(islice(stream, 2))
    if picture and len(first) > 1:
        raise InputError(f"several images, so --out must be a folder, not the one picture {out}")
    recognizer = load_recognizer(
        classifier, model=model, pretrained=pretrained, quality=quality, device=device, engine=engine
    )
    if picture:
        _show(_explained(recognizer, first[0], out, top))
        console.print(f"-> {out}", markup=False, highlight=False)
        return
    failed = _explain_all(recognizer, chain(first, stream), out, top)
    show_skipped(source.skipped)
    if failed:
        raise typer.Exit(INCOMPLETE)


def _explain_all(recognizer: Recognizer, items: Iterable[Item], out: Path, top: int) -> int:
    """A picture of each into a folder; how many could not be read."""
    from piaa.files import claim_folder

    folder, done, failed = claim_folder(out, "piaa explain"), 0, 0
    with progress_bars() as stage:
        report = stage("explaining")
        for done, item in enumerate(items, start=1):
            try:
                _explained(recognizer, item, folder / f"{done:04d}-{_stem(item)}.png", top)
            except ImageError as error:
                failed += 1
                show_note(f"not read: {error}")
            report(done, None)
        report(done, done)
    console.print(f"explained {done - failed} images -> {out}", markup=False, highlight=False)
    if failed == done:
        raise InputError("none of the images could be read")
    return failed


def _stem(item: Item) -> str:
    """The last part of the image's name, at most 100 bytes, which with the number is a file's name everywhere."""
    name = Path(item.id.rpartition("!")[2] or item.id).stem
    return name.encode()[:100].decode(errors="ignore")


def _explained(recognizer: Recognizer, item: Item, out: Path, top: int) -> Explanation:
    from piaa.files import check_place, whole_file
    from piaa.report.explain import explanation_sheet

    check_place(out)
    explanation = recognizer.explain(item, top)
    with whole_file(out) as aside:
        explanation_sheet(explanation).save(aside, format=PICTURES[out.suffix.lower()])
    return explanation


def _show(explanation: Explanation) -> None:
    for label, score, decided in zip(explanation.labels, explanation.scores, explanation.decided, strict=True):
        suffix = "" if decided else "  (below its threshold)"
        console.print(f"{score:.2f}  {label}{suffix}", markup=False, highlight=False)
