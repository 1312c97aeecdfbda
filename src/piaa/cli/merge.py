"""`piaa merge`: the shards of several machines as one machine would have left them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from piaa.cli import options
from piaa.cli.console import console, shows_errors
from piaa.errors import InputError

if TYPE_CHECKING:
    from piaa.jobs.evidence import EvidenceFile


@shows_errors
def merge(
    shards: Annotated[list[Path], typer.Argument(help="Folders of parts, or .evidence files: all shards of one run.")],
    out: Annotated[
        Path,
        typer.Option(help="Of parts: a folder, .jsonl, .csv or .parquet. Of evidence: a classifier or .evidence file."),
    ],
    model: options.MovedModel = None,
    pretrained: options.MovedPretrained = None,
    device: options.Device = "auto",
) -> None:
    """Put together what 'piaa tag --shard' or 'piaa fit --shard' left on several machines."""
    from piaa.jobs.evidence import ENDING

    evidence = [path for path in shards if path.suffix == ENDING]
    if evidence and len(evidence) < len(shards):
        raise InputError(f"give folders of parts or {ENDING} files, not both")
    if evidence:
        merge_fits(evidence, out, (model, pretrained), device)
    else:
        from piaa.jobs.merge import merge_parts

        counts = merge_parts(shards, out)
        text = f"merged {len(shards)} shards, {counts['tagged']} images tagged, {counts['failed']} failed -> {out}"
        console.print(text, markup=False, highlight=False)


def merge_fits(paths: list[Path], out: Path, moved: tuple[str | None, str | None], device: str) -> None:
    """Evidence files to one, or to the classifier that it gives."""
    from piaa.files import check_place
    from piaa.jobs.evidence import ENDING, merge_evidence, read_evidence
    from piaa.jobs.lock import locked

    check_place(out)
    with locked(out):
        whole = merge_evidence([read_evidence(path) for path in paths])
        if out.suffix == ENDING:
            whole.write(out)
        else:
            learn(whole, out, moved, device)
    console.print(f"merged {len(paths)} shards -> {out}", markup=False, highlight=False)


def learn(file: EvidenceFile, out: Path, moved: tuple[str | None, str | None], device: str) -> None:
    """The classifier of some evidence; its model is loaded for the prototypes.

    Raises:
        InputError: the model, or this version of piaa, is not the one that the evidence was made with.
    """
    from piaa.engine import Learner
    from piaa.recognizer import Recognizer
    from piaa.setups import constructor_of
    from piaa.vocabulary.labels import Label

    s = file.about["settings"]
    model, pretrained = moved[0] or s["model"], moved[1] or (None if moved[0] else s["pretrained"] or None)
    recognizer = Recognizer(
        [Label(name, tuple(synonyms)) for name, synonyms in file.about["labels"]],
        model=model,
        pretrained=pretrained,
        **constructor_of(s),
        device=device,
        engine=s.get("engine", "eager"),
    )
    learner = recognizer.learner()
    assert isinstance(learner, Learner)
    if learner.fingerprint != file.about["fingerprint"]:
        raise InputError("the model found here is not the one that this evidence was made with: give --model")
    learner.evidence = file.whole()
    recognizer.adopt(learner).save(out)
