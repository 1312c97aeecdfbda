"""Figures 1, 4, 5 and 6 from our own runs, as PNG and SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from piaa.experiments.paper import best_of_figure4
from piaa.experiments.pictures import picture_path
from piaa.experiments.results import Row
from piaa.experiments.spec import Spec
from piaa.experiments.tables import notes
from piaa.files import whole_file
from piaa.report.explain import overlay

BLUE, GREY = "#005a9c", "#60646c"


@dataclass(frozen=True)
class Drawn:
    """A figure on disk.

    Attributes:
        name: `figure4`, with the data set behind it where there is one drawing for each.
        title: in words.
        png: file name.
        data_uri: the same picture, for a page of one piece.
        notes: what was measured on what.
    """

    name: str
    title: str
    png: str
    data_uri: str
    notes: tuple[str, ...]


def draw_figures(spec: Spec, rows: Sequence[Row], results: Path, out: Path) -> list[Drawn]:
    """Draw an experiment's figure for each data set that it was run on, into `out`."""
    draw: dict[str, Callable[[Spec, Sequence[Row], Path, str], Figure]] = {
        "sweep": _sweep, "maps": _maps, "retained": _retained,
    }  # fmt: skip
    drawn = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == dataset]
        figure = draw[spec.kind](spec, own, results, dataset)
        name = f"{spec.name}-{dataset}"
        data_uri = _save(figure, out, name)
        drawn.append(Drawn(name, spec.title, f"{name}.png", data_uri, notes(own)))
    return drawn


def _save(figure: Figure, out: Path, name: str) -> str:
    png = b""
    for ending in ("svg", "png"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending, dpi=150, bbox_inches="tight", facecolor="white")
        path = out / f"{name}.{ending}"
        png = buffer.getvalue()
        with whole_file(path) as aside:
            aside.write_bytes(png)
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _sweep(spec: Spec, rows: Sequence[Row], results: Path, dataset: str) -> Figure:
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    best = best_of_figure4()
    for place, (symbol, label) in enumerate((("K", "patches a class keeps, K"), ("alpha", "weight of the patches, α"))):
        points = sorted(
            (float(row.parameter.partition("=")[2]), row) for row in rows if row.parameter.startswith(f"{symbol}=")
        )
        x, y = [value for value, _ in points], [row.value for _, row in points]
        axes = figure.add_subplot(1, 2, place + 1)
        low = [row.value if row.low is None else row.low for _, row in points]
        high = [row.value if row.high is None else row.high for _, row in points]
        axes.fill_between(x, low, high, color=BLUE, alpha=0.12, linewidth=0, label="95% interval over images")
        axes.plot(x, y, color=BLUE, marker="o", markersize=4, label="PIAA, measured")
        axes.axvline(best[symbol], color=GREY, linestyle="--", linewidth=1, label=f"the paper's best, {best[symbol]:g}")
        axes.set(xlabel=label, ylabel="mAP, %", title=f"{dataset}: {label.rpartition(', ')[2]}")
        if symbol == "K":
            axes.set_xticks(x)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _maps(spec: Spec, rows: Sequence[Row], results: Path, dataset: str) -> Figure:
    arrays = _load(results, spec.name, dataset)
    count = sum(name.startswith("image-") for name in arrays)
    columns = 2 + max(len(arrays[f"labels-{n}"]) for n in range(count))
    figure = Figure(figsize=(2.3 * columns, 2.55 * count), layout="constrained")
    for number in range(count):
        image = Image.fromarray(arrays[f"image-{number}"])
        attention = arrays[f"attention-{number}"].astype(np.float32)
        tiles: list[tuple[str, Any]] = [("image", image)]
        tiles.append(("attention of [CLS]", overlay(image, attention / max(float(attention.max()), 1e-6))))
        maps = arrays[f"maps-{number}"].astype(np.float32)
        for label, heat in zip(arrays[f"labels-{number}"], maps, strict=True):
            tiles.append((str(label), overlay(image, heat / max(float(maps.max()), 1e-6))))
        for place, (title, picture) in enumerate(tiles):
            _tile(figure, (count, columns, number * columns + place + 1), picture, title)
    return figure


def _retained(spec: Spec, rows: Sequence[Row], results: Path, dataset: str) -> Figure:
    arrays = _load(results, spec.name, dataset)
    names = [str(name) for name in arrays["labels"]]
    columns = max(len(arrays[f"patches-{n}"]) for n in range(len(names)))
    figure = Figure(figsize=(1.05 * columns + 1.5, 1.15 * len(names)), layout="constrained")
    for number, name in enumerate(names):
        for place, patch in enumerate(arrays[f"patches-{number}"]):
            axes = _tile(figure, (len(names), columns, number * columns + place + 1), patch, "")
            third = len(patch) / 3
            axes.plot(
                [third, 2 * third, 2 * third, third, third],
                [third, third, 2 * third, 2 * third, third],
                color="white",
                linewidth=1.2,
            )
            if place == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def _tile(figure: Figure, place: tuple[int, int, int], picture: Any, title: str) -> Any:
    axes = figure.add_subplot(*place)
    axes.imshow(np.asarray(picture))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=9)
    return axes


def _load(results: Path, experiment: str, dataset: str) -> dict[str, Any]:
    with np.load(picture_path(results, experiment, dataset), allow_pickle=False) as stored:
        return dict(stored)
