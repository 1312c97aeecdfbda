"""`piaa explain`: show where in an image each label was seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from piaa.cli.console import ENGINE_HELP, console, shows_errors


@shows_errors
def explain(
    image: Annotated[Path, typer.Argument(help="One image.")],
    classifier: Annotated[Path, typer.Option(help="A file that 'piaa fit' wrote.")],
    out: Annotated[Path, typer.Option(help="The picture to write, such as heat.png.")],
    top: Annotated[int, typer.Option(min=1, help="Labels to show where none passes its threshold.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "eager",
) -> None:
    """Draw a heat map over the image for each of its labels."""
    from piaa.recognizer import Recognizer
    from piaa.report.explain import explanation_sheet

    explanation = Recognizer.load(classifier, device=device, engine=engine).explain(image, top)
    aside = out.with_name(f".{out.name}.partial")
    explanation_sheet(explanation).save(aside, format="JPEG" if out.suffix.lower() in (".jpg", ".jpeg") else "PNG")
    os.replace(aside, out)
    for label, score, decided in zip(explanation.labels, explanation.scores, explanation.decided, strict=True):
        console.print(f"{score:.2f}  {label}{'' if decided else '  (below its threshold)'}", highlight=False)
    console.print(f"-> {out}", highlight=False)
