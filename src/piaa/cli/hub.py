"""`piaa push` and `piaa download`: classifiers to a model hub, weights from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from piaa.cli import options
from piaa.cli.console import console, output, show_note, shows_errors

if TYPE_CHECKING:
    from piaa.hub.download import Downloaded


@shows_errors
def push(
    classifier: Annotated[Path, typer.Argument(help="A file that 'piaa fit' wrote.")],
    name: Annotated[str, typer.Argument(help="Where: hf-hub:OWNER/NAME.")],
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Of a new repository; else the owner's own setting.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="Of the classifier, as the hub names it, such as mit.")] = None,
    numbers: Annotated[Path | None, typer.Option(help="What 'piaa eval --out' wrote, for the card.")] = None,
) -> None:
    """Upload a classifier with its card to the Hugging Face hub, or to the one that HF_ENDPOINT names."""
    from piaa.classifier import Classifier
    from piaa.errors import InputError
    from piaa.hub import push as run

    measured = None
    if numbers:
        try:
            measured = json.loads(numbers.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{numbers}: no numbers of 'piaa eval --out': {error}") from error
    done = run(Classifier.load(classifier), name, private=private, license=license, numbers=measured)
    for note in done.notes:
        show_note(note)
    console.print(f"{classifier} -> {done.name} (commit {done.commit})", markup=False, highlight=False, soft_wrap=True)


@shows_errors
def download(
    name: Annotated[str, typer.Argument(help="A name of open_clip, or hf-hub:OWNER/NAME of a model or a classifier.")],
    pretrained: options.Pretrained = None,
) -> None:
    """Fetch weights ahead of time, and try that they load without a network."""
    from piaa.hub.download import download as run

    done = run(name, pretrained)
    _show(done)
    told = f"{done.size / 2**20:,.1f} MiB; {done.name} loads without a network now (tried with the hub switched off)"
    console.print(told, markup=False, highlight=False, soft_wrap=True)


def _show(done: Downloaded) -> None:
    for place, size in done.places:
        output.print(f"{size / 2**20:10,.1f} MiB  {place}", markup=False, highlight=False, soft_wrap=True)
    if done.model:
        _show(done.model)
