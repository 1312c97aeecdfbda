"""Options that several commands share, each declared once: its name, its help, its bounds.

The names that a help text lists are checked against the tables of the package in a test; they are typed here, since
importing those tables would make `piaa --help` wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from piaa.errors import InputError

if TYPE_CHECKING:
    from piaa.baselines import Method as AnyMethod
    from piaa.vocabulary.labels import Label

T = TypeVar("T")

Images = Annotated[
    list[str] | None,
    typer.Argument(
        help="Folders (nested), files, globs, tars or URLs of images, any mix; '-' for paths on standard input.",
        show_default=False,
    ),
]
ListFile = Annotated[
    str | None,
    typer.Option("--list", help="A list of images: .txt, .csv, .jsonl or .parquet, with a path, URL or bytes column."),
]
Frames = Annotated[int, typer.Option("--frames", min=0, help="Frames of each video, evenly spaced; 0 skips videos.")]
MaxPixels = Annotated[
    int | None,
    typer.Option("--max-pixels", min=1, help="Largest width x height that is decoded; a JPEG may be larger."),
]
ClassifierFile = Annotated[
    Path, typer.Option("--classifier", help="A file that 'piaa fit' wrote, or hf-hub:OWNER/NAME.", show_default=False)
]
LabelFile = Annotated[
    Path,
    typer.Option("--labels", help="Class names, one a line: 'name' or 'name: synonym, synonym'.", show_default=False),
]
WORD_LISTS = ("coco", "nus-wide", "voc")
"""Class names of data sets that `--other-words` knows by name."""
OtherWords = Annotated[
    str | None,
    typer.Option(
        "--other-words",
        help="What the images may show beside the labels: a file like that of --labels, or coco, nus-wide or voc. No "
        "image is given these words, but what is theirs is no label's; see docs/adaptive.md.",
        show_default=False,
    ),
]
TruthFile = Annotated[
    Path,
    typer.Option("--truth", help="CSV (path,labels), JSON lines or Parquet with the true labels.", show_default=False),
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
KeepForeign = Annotated[
    bool,
    typer.Option(
        "--keep-foreign", help="Give labels to images unlike those of the fit, too; else they get none and are counted."
    ),
]
FrontEnd = Annotated[
    str | None, typer.Option("--front-end", help="clip, sclip, itaclip or sc-clip; else the model's own.")
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="default, fixed-fusion, softmax-fusion, published-voc, published-coco, published-nus, your own, or auto: "
        "the one that the images speak for.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        help="piaa, or a system to compare it with: clip, text-patches, clip-patches, sclip, itaclip, sc-clip, "
        "tagclip, tagclip-published, tagclip-published-cocostuff, sparc, sparc-published.",
    ),
]
CompoundPrompts = Annotated[
    Path | None,
    typer.Option("--compound-prompts", help="SPARC's, one a line, in place of those made from the class names."),
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
Quality = Annotated[
    str,
    typer.Option(
        "--quality",
        help="fast (8 bits where installed, small input), standard or best (two sizes, up to 3.5 times the work).",
    ),
]
RunQuality = Annotated[
    str | None,
    typer.Option(
        "--quality",
        help="fast, standard or best, where it sees images in the sizes of the fit: then only the engine changes. "
        "Else that of the fit.",
    ),
]
StoredQuality = Annotated[
    str | None,
    typer.Option("--quality", help="fast or standard; best sees two sizes, and stored embeddings have one."),
]
Resize = Annotated[str | None, typer.Option("--resize", help="shortest, squash or pad; else the model's own.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="eager, compile, openvino, onnxruntime or auto; openvino:bf16, openvino:int8, onnxruntime:int8. Else the "
        "quality's own, which is eager but for fast.",
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
MaxErrors = Annotated[
    str | None,
    typer.Option("--max-errors", help="Stop once more images failed than this: a number, or a share such as 2%."),
]
Shard = Annotated[
    str | None,
    typer.Option("--shard", help="Which part of the work to do, such as 2/8; 'piaa merge' puts the parts together."),
]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="Events as JSON lines on standard error: started, shard, error, finished.")
]
MetricsFile = Annotated[
    Path | None, typer.Option("--metrics-file", help="Keep numbers for Prometheus in this .prom file while it runs.")
]
SaveEvery = Annotated[
    int | None,
    typer.Option(
        "--save-every",
        min=1,
        help="Images after which finished work is saved, what a kill can cost; else 512 (tag), 2048 (fit).",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="ray: on the machines of a Ray cluster (RAY_ADDRESS); ray:8 with 8 workers."),
]
Seed = Annotated[int, typer.Option("--seed", help="Of the scenes; other seeds draw other ones.")]
Head = Annotated[
    Path | None,
    typer.Option("--head", help="A head that PIAA taught ('piaa train --pseudo-labels piaa'), used with it."),
]
NoHead = Annotated[Path | None, typer.Option("--head", hidden=True)]
"""Of a command that has none; see `refuse_head`."""
JsonOut = Annotated[Path | None, typer.Option("--out", help="Write all numbers to this JSON file.")]
ApRule = Annotated[
    str,
    typer.Option(
        "--ap-rule",
        help="How AP is taken: torchmetrics (as published), voc2007 (11 points) or voc2010 (monotone area).",
    ),
]


def usage(parse: Callable[[str | None], T], text: str | None) -> T:
    """What an option was given, understood; where it cannot be, the command line is wrong (exit code 2)."""
    try:
        return parse(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


def refuse_head(head: Path | None, why: str) -> None:
    """Say why a command takes no head.

    Raises:
        InputError: for any head.
    """
    from piaa.errors import InputError

    if head is not None:
        raise InputError(f"--head goes with 'piaa tag' and 'piaa eval': {why}; leave it out here")


def parse_size(text: str | None) -> int | str | None:
    """What `--image-size` was given: a number, or a word that `Recognizer` knows."""
    return int(text) if text and text.isdecimal() else text


def parse_method(name: str, compound_prompts: Path | None) -> str | AnyMethod:
    """What `--method` and `--compound-prompts` were given, as `Recognizer` takes it.

    Raises:
        InputError: for a method that does not exist, or prompts for one that has none.
        LabelError: when the file cannot be used.
    """
    if compound_prompts is None:
        return name
    from dataclasses import replace

    from piaa.baselines import Sparc, get_method
    from piaa.baselines.prompts import read_compound_prompts
    from piaa.errors import InputError

    method = get_method(name)
    if not isinstance(method, Sparc):
        raise InputError(f"--compound-prompts are for --method sparc, not for {name}")
    return replace(method, compound=read_compound_prompts(compound_prompts))


def parse_other_words(given: str | None) -> list[Label]:
    """The words of `--other-words`: a list by name, or a file.

    Raises:
        LabelError: as for `--labels`.
    """
    from piaa.datasets import class_names
    from piaa.vocabulary.labels import parse_labels, read_labels

    if given is None:
        return []
    return parse_labels(class_names(given)) if given in WORD_LISTS else read_labels(Path(given))
