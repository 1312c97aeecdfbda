"""Options that several commands share, each declared once: its name, its help, its bounds.

The names that a help text lists are checked against the tables of the package in a test; they are typed here, since
importing those tables would make `piaa --help` wait for torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ClassifierFile = Annotated[Path, typer.Option("--classifier", help="A file that 'piaa fit' wrote.", show_default=False)]
LabelFile = Annotated[
    Path,
    typer.Option("--labels", help="Class names, one a line: 'name' or 'name: synonym, synonym'.", show_default=False),
]
TruthFile = Annotated[
    Path,
    typer.Option("--truth", help="CSV (path,labels) or JSON lines with the true labels.", show_default=False),
]
Model = Annotated[
    str,
    typer.Option("--model", help="'embedded', a name of open_clip, 'hf-hub:ORG/NAME', 'local-dir:FOLDER' or a path."),
]
Pretrained = Annotated[
    str | None,
    typer.Option(
        "--pretrained", help="Tag or checkpoint file of an open_clip name; 'random' for a trial without weights."
    ),
]
MovedModel = Annotated[
    str | None,
    typer.Option("--model", help="Where the model's weights are now, if not where they were at the fit."),
]
MovedPretrained = Annotated[
    str | None, typer.Option("--pretrained", help="Its tag or checkpoint file, beside --model.")
]
FrontEnd = Annotated[
    str | None, typer.Option("--front-end", help="clip, sclip, itaclip or sc-clip; else the model's own.")
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="default, agreement, softmax-fusion, published-voc, published-coco, published-nus, or your own.",
    ),
]
Templates = Annotated[
    str, typer.Option("--templates", help="published, ensemble, or a template with {} for the class name.")
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        "--image-size",
        help="Side in pixels, a multiple of the patch; 'trained' is the model's own, else a third more.",
    ),
]
Resize = Annotated[str | None, typer.Option("--resize", help="shortest, squash or pad; else the model's own.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="eager, compile, openvino, onnxruntime or auto; openvino:bf16, openvino:int8, onnxruntime:int8.",
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        min=0,
        help="Images that go through the model together; 0 (automatic) probes what the memory holds.",
    ),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Threads that decode images.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a killed run was.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="ray: on the machines of a Ray cluster (RAY_ADDRESS); ray:8 with 8 workers."),
]
Seed = Annotated[int, typer.Option("--seed", help="Of the scenes; other seeds draw other ones.")]
JsonOut = Annotated[Path | None, typer.Option("--out", help="Write all numbers to this JSON file.")]
ApRule = Annotated[
    str,
    typer.Option(
        "--ap-rule",
        help="How AP is taken: torchmetrics (as published), voc2007 (11 points) or voc2010 (monotone area).",
    ),
]


def parse_size(text: str | None) -> int | str | None:
    """What `--image-size` was given: a number, or a word that `Recognizer` knows."""
    return int(text) if text and text.isdecimal() else text
