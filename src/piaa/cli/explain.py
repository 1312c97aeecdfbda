"""`piaa explain`: show where in an image each label was seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from piaa.cli import options
from piaa.cli.console import console, progress_bars, show_note, shows_errors
from piaa.cli.loading import load_recognizer
from piaa.errors import ImageError, InputError

if TYPE_CHECKING:
    from piaa.explanation import Explanation
    from piaa.inputs.items import Item
    from piaa.recognizer import Recognizer

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@shows_errors
def explain(
    images: Annotated[str, typer.Argument(help="An image, a folder (nested) or a glob.", metavar="IMAGE")],
    classifier: options.ClassifierFile,
    out: Annotated[Path, typer.Option(help="The picture to write (.png, .jpg); for several images a folder.")],
    top: Annotated[int, typer.Option(min=1, help="Labels to show where none passes its threshold.")] = 5,
    model: options.MovedModel = None,
    pretrained: options.MovedPretrained = None,
    quality: options.RunQuality = None,
    device: options.Device = "auto",
    engine: options.EngineName = None,
    head: options.NoHead = None,
) -> None:
    """Draw a heat map over the image for each of its labels; for several images a picture of each into a folder."""
    from piaa.inputs.items import iterate

    options.refuse_head(head, "a head sees each class's patches as one mean and cannot say where the class is")
    items = list(iterate(images))
    single = Path(images).is_file() and len(items) == 1  # a tar holds several
    if single and out.suffix.lower() not in PICTURES:
        raise InputError(f"{out}: the ending says how to draw; use one of {', '.join(PICTURES)}")
    if not single and out.suffix.lower() in PICTURES:
        raise InputError(f"{images}: {len(items)} images, so --out must be a folder, not the one picture {out}")
    recognizer = load_recognizer(
        classifier, model=model, pretrained=pretrained, quality=quality, device=device, engine=engine
    )
    if single:
        _show(_explained(recognizer, items[0], out, top))
        console.print(f"-> {out}", markup=False, highlight=False)
    else:
        _explain_all(recognizer, items, out, top)


def _explain_all(recognizer: Recognizer, items: list[Item], out: Path, top: int) -> None:
    from piaa.files import claim_folder

    folder, failed = claim_folder(out, "piaa explain"), 0
    with progress_bars() as stage:
        report = stage("explaining")
        for done, item in enumerate(items, start=1):
            stem = Path(item.id).stem[:100]
            try:
                _explained(recognizer, item, folder / f"{done:0{len(str(len(items)))}d}-{stem}.png", top)
            except ImageError as error:
                failed += 1
                show_note(f"not read: {error}")
            report(done, len(items))
    console.print(f"explained {len(items) - failed} images -> {out}", markup=False, highlight=False)
    if failed == len(items):
        raise InputError("none of the images could be read")


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
