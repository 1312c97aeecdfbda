"""Where the rows of a tagging run go: one file, or a folder of parts, new or brought up to date."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.files import sync, writing
from piaa.jobs.formats import Style
from piaa.jobs.layout import Layout
from piaa.jobs.manifest import MANIFEST, about_tags, make_manifest
from piaa.jobs.partial import Partial, partial_path
from piaa.jobs.parts import Parts, commit, recover
from piaa.jobs.rows import TagScorer
from piaa.jobs.shards import Share, all_rows, read_records
from piaa.jobs.source import Opened
from piaa.jobs.tables import is_folder, write_table
from piaa.jobs.update import Before

ROW_BYTES, LABEL_BYTES, SCORE_BYTES, EMBEDDING_BYTES = 250, 60, 30, 4200
"""Of a row in a shard's file, about: path and facts, a few labels, each score, an embedding of 768 numbers."""


@dataclass
class Output:
    """The output of one run; see `open_output`.

    Attributes:
        out: its name.
        about: provenance.
        layout: of its rows.
        share: which of several machines this is.
        before: what an update begins with.
        notices: what the user should be told.
        kept: rows of an update that still hold.
        gone: rows of an update whose image is not there any more.
    """

    out: Path
    about: dict[str, Any]
    layout: Layout
    share: Share
    before: Before | None
    notices: list[str] = field(default_factory=list)
    kept: int = 0
    gone: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of parts."""
        return is_folder(self.out)

    @property
    def base(self) -> str:
        """Which output an update goes on from; empty for none."""
        return str(self.before.manifest["run"]) if self.before else ""

    def only_new(self, source: Opened) -> Opened:
        """The images that must be tagged."""
        return replace(source, items=self.before.new_items(source.items), total=None) if self.before else source

    def drawn(self) -> None:
        """All images were drawn: now it is known which are kept, and which are gone."""
        if self.before:
            self.kept, self.gone = self.before.kept, self.before.gone()

    def write(self, partial: Partial, numbers: list[int], listed: str) -> None:
        """Assemble the shards and give the result its name."""
        if self.is_folder:
            self._write_folder(partial, numbers, listed)
            return
        columns = self.about["classes"] if self.layout.all_scores else []
        style = Style(self.about, self.layout.separator, self.layout.bom)
        rows = all_rows(partial, numbers)
        whole = partial.write("output", lambda path: write_table(path, self.out.suffix, rows, columns, style))
        with writing(self.out):  # from there, so that a kill leaves nothing beside the output
            os.replace(whole, self.out)
        sync(self.out.parent)

    def _write_folder(self, partial: Partial, numbers: list[int], listed: str) -> None:
        new = partial.path / "new"
        with writing(new):
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
        parts = Parts(new, self.about, self.layout, self.before.generation if self.before else 0)
        begun = int(partial.values["begun"])
        blocks = ((number, parts.table(read_records(partial, number), begun)) for number in numbers)
        carried = self.before.carry_over(parts) if self.before else []
        written = carried + parts.write(blocks)
        manifest = make_manifest(
            self.about,
            written,
            run=partial.values["run"],
            generation=parts.generation,
            layout=self.layout.of_rows(),
            shard=str(self.share),
            listed=listed,
        )
        commit(new, self.out, manifest)


def open_output(scorer: TagScorer, out: Path, layout: Layout, share: Share, update: bool) -> Output:
    """What the run writes to; the lock must be held.

    Raises:
        InputError: nothing that can be updated.
    """
    notices = []
    if is_folder(out) and recover(partial_path(out) / "new", out):
        notices.append(f"{out}: a run was cut off while it gave its parts their name; that is done now")
    about = about_tags(scorer)
    begin = update and (out / MANIFEST).exists()
    if update and not begin:
        notices.append(f"{out}: not there yet, so there is nothing to update; tagging all images")
    return Output(out, about, layout, share, Before(out, about, layout) if begin else None, notices)


def check_plan(out: Path, layout: Layout, share: Share, update: bool) -> None:
    """Refuse what does not go together.

    Raises:
        InputError: in this case.
    """
    folder = is_folder(out)
    layout.check(out, folder)
    if not folder and (update or share.count > 1):
        name = "--update" if update else "--shard"
        raise InputError(f"{out}: {name} needs a folder of Parquet parts: name an output without an ending")
    if update and share.count > 1:
        raise InputError("--update and --shard do not go together: update the merged folder")


def check_space(out: Path, images: int | None, layout: Layout, classes: int) -> None:
    """Refuse a run whose output cannot fit on the disk, by a low estimate.

    Raises:
        InputError: in this case.
    """
    each = ROW_BYTES + LABEL_BYTES + SCORE_BYTES * classes * layout.all_scores + EMBEDDING_BYTES * layout.embeddings
    needed = (images or 1) * each
    try:
        free = shutil.disk_usage(out.parent).free
    except OSError:
        return
    if free < needed:
        raise InputError(
            f"{out}: about {needed / 2**20:,.0f} MiB are needed for {images or 1:,} images and {free / 2**20:,.0f} MiB "
            f"are free on that disk"
        )
