"""`piaa fit`: learn a classifier from unlabelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import (
    INCOMPLETE,
    console,
    is_verbose,
    show_note,
    show_notices,
    show_weights,
    shows_errors,
)
from piaa.cli.watching import watching
from piaa.errors import InputError

if TYPE_CHECKING:
    from piaa.engine import Learner
    from piaa.jobs.evidence import Keeper
    from piaa.recognizer import Recognizer

TOLD_FROM = 50
"""Images from which on an estimate of quality is worth telling."""
MOST_NAMED = 5
"""Classes that a note names; --verbose names all of them."""


@shows_errors
def fit(
    labels: options.LabelFile,
    out: Annotated[Path, typer.Option(help="The classifier file to write, such as animals.piaa.")],
    images: options.Images = None,
    model: options.Model = "embedded",
    pretrained: options.Pretrained = None,
    front_end: options.FrontEnd = None,
    recipe: options.RecipeName = "default",
    method: options.Method = "piaa",
    compound_prompts: options.CompoundPrompts = None,
    templates: options.Templates = "published",
    other_words: options.OtherWords = None,
    quality: options.Quality = "standard",
    image_size: options.ImageSize = None,
    resize: options.Resize = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    precision_target: Annotated[
        float | None,
        typer.Option(help="0.9: thresholds for an estimated precision of 0.9, without labels; see docs/adaptive.md."),
    ] = None,
    engine: options.EngineName = None,
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    list_file: options.ListFile = None,
    frames: options.Frames = 0,
    max_pixels: options.MaxPixels = None,
    resume: options.Resume = False,
    shard: options.Shard = None,
    keep_evidence: Annotated[
        Path | None, typer.Option(help="Also write what was learnt so far to this .evidence file, to add images later.")
    ] = None,
    update: Annotated[
        Path | None, typer.Option(help="An .evidence file: learn from the images it does not cover, and from it.")
    ] = None,
    strict: options.Strict = False,
    max_errors: options.MaxErrors = None,
    save_every: options.SaveEvery = None,
    log_json: options.LogJson = False,
    metrics_file: options.MetricsFile = None,
    cluster: options.Cluster = None,
) -> None:
    """Learn a classifier from unlabelled images and class names (PVCL)."""
    from piaa.cluster import spread_fit
    from piaa.engine import Learner
    from piaa.inputs.sources import read_arguments
    from piaa.jobs import fit_job, parse_max_errors, parse_share
    from piaa.methods import MethodLearner
    from piaa.recognizer import Recognizer
    from piaa.vocabulary.labels import read_labels
    from piaa.vocabulary.other import few_words_notes

    limit, share = options.usage(parse_max_errors, max_errors), options.usage(parse_share, shard)
    if cluster and (share.count > 1 or keep_evidence or update or method != "piaa"):
        raise InputError("--cluster does not go with --shard, --keep-evidence, --update and other methods")
    kept = check_evidence(out, keep_evidence, update, share.count)
    source = read_arguments(images, list_file, max_pixels=max_pixels, frames=frames)
    with watching("learning", "fit", out, log_json, metrics_file) as watch:
        recognizer = Recognizer(
            read_labels(labels),
            model=model,
            pretrained=pretrained,
            front_end=front_end,
            recipe=recipe,
            method=options.parse_method(method, compound_prompts),
            templates=templates,
            other_words=options.parse_other_words(other_words),
            quality=quality,
            **({} if precision_target is None else {"threshold_rule": f"precision:{precision_target:g}"}),
            image_size=options.parse_size(image_size),
            resize=resize,
            device=device,
            precision=precision,
            engine=engine,
            batch_size=batch_size,
            workers=workers,
        )
        learner = recognizer.learner()
        if isinstance(learner, MethodLearner) and (kept or share.count > 1):
            raise InputError(f"--method {method} keeps no evidence: leave --shard, --keep-evidence and --update out")
        show_weights(learner.setup.model)
        with spread_fit(cluster, recognizer, learner, source, block=save_every) as job:
            summary = fit_job(
                job.worker,
                job.images,
                out=out,
                resume=resume,
                strict=strict,
                max_errors=limit,
                checkpoint_every=job.checkpoint_every,
                batch_size=learner.setup.decoded_together,
                workers=job.threads,
                finish=None if kept == out else lambda: recognizer.adopt(learner).save(out),
                share=share,
                keep=None if isinstance(learner, MethodLearner) else keeper(recognizer, learner, kept, update),
                **watch.options(),
            )
    show_notices(summary)
    console.print(
        f"learnt {len(learner.labels)} classes from {summary.tagged} images in {summary.seconds:.1f} s -> {out}",
        markup=False,
        highlight=False,
    )
    if kept != out:
        report = recognizer.classifier_.report
        show_classes("keep their text prototype, since no patches were found for them", report["fallbacks"])
        show_classes("have no threshold of their own", report["threshold_notes"])
        show_quality(report, recognizer.classifier_.label_names)
        if isinstance(learner, Learner):
            for note in few_words_notes(len(learner.labels), len(learner.other_words)):
                show_note(note)
    if summary.failed:
        raise typer.Exit(INCOMPLETE)


def check_evidence(out: Path, keep: Path | None, update: Path | None, shards: int) -> Path | None:
    """The evidence file to write, if any; it is the output itself where that is asked for.

    Raises:
        InputError: what was asked for does not go together, or could not be written.
    """
    from piaa.files import check_place
    from piaa.jobs.evidence import ENDING

    kept = out if out.suffix == ENDING else keep
    if shards > 1 and out.suffix != ENDING:
        raise InputError(f"{out}: a shard leaves evidence, no classifier: name an output that ends in {ENDING}")
    if shards > 1 and update:
        raise InputError("--update and --shard do not go together: update the merged evidence")
    if kept and kept.suffix != ENDING:
        raise InputError(f"{kept}: evidence is kept in a file that ends in {ENDING}")
    if kept:
        check_place(kept)
    return kept or update  # more evidence takes the place of the older


def keeper(recognizer: Recognizer, learner: Learner, kept: Path | None, update: Path | None) -> Keeper | None:
    """What keeps the evidence, where that is asked for."""
    from piaa.jobs.evidence import keeper_of
    from piaa.vocabulary.prototypes import resolve_templates

    if kept is None:
        return None
    return keeper_of(learner, kept, resolve_templates(recognizer.templates), recognizer.threshold_rule, update)


def show_quality(report: dict[str, Any], names: list[str]) -> None:
    """The estimate of quality without labels, and what is to be said of it."""
    for note in report.get("quality_notes", ()):
        show_note(note)
    quality = report.get("quality")
    if not quality or report["images"] < TOLD_FROM:
        return
    plain = ("[CLS]", "text patches")
    name, best = next((name, value) for name, value in quality["reliability"].items() if name not in plain)
    doubtful = sorted(zip(quality["expected_ap"], names, strict=True))[:3]
    console.print(
        f"reliability estimated without labels (0 to 1): {best['fused']:.2f}, of patches {best['patches']:.2f}, "
        f"of [CLS] {best['cls']:.2f}; recipe {name}. Least clear: {', '.join(word for _, word in doubtful)}",
        markup=False,
        highlight=False,
    )


def show_classes(what: str, reasons: dict[str, str]) -> None:
    """One note for all classes that something is to be said of; each with its reason under --verbose."""
    if not reasons:
        return
    if is_verbose():
        show_note(f"{len(reasons)} classes {what}:")
        for name, reason in reasons.items():
            console.print(f"  {name}: {reason}", markup=False, highlight=False, soft_wrap=True)
        return
    named = ", ".join(list(reasons)[:MOST_NAMED])
    more = f" and {len(reasons) - MOST_NAMED} more" if len(reasons) > MOST_NAMED else ""
    same = set(reasons.values())
    why = f" ({same.pop()})" if len(same) == 1 else ""
    show_note(f"{len(reasons)} classes {what}{why}: {named}{more}; --verbose names each with its reason")
