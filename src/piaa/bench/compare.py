"""`piaa bench`: everything side by side in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from piaa.bench.cold import measure_cold_start
from piaa.bench.fitting import measure_alone, measure_fitting
from piaa.bench.machine import describe, pin_threads
from piaa.bench.output import Table, spread
from piaa.bench.tagging import measure_tagging
from piaa.bench.work import Work

Stage = Callable[[str], Callable[[int, int | None], None]]


def compare(work: Work, stage: Stage) -> dict[str, Any]:
    """Measure tagging, fitting, the closed form and the bank alone, a cold start, memory, and the roofline.

    Args:
        work: the settings.
        stage: a function that starts a progress bar by name and gives its callback (done, total).

    Returns:
        `settings`, `machine`, `tagging`, `fitting`, `alone` (a list), `cold_start`.

    Raises:
        ModelError, InputError: the model or the images cannot be had.
    """
    pin_threads(work.threads)
    machine = describe(work.device)
    model = work.load()
    with tempfile.TemporaryDirectory(prefix="piaa-bench-") as name:
        folder = Path(name)
        tagging = measure_tagging(work, model, folder, stage("tagging"))
        fitting = measure_fitting(work, model)
        alone = []
        report = stage("closed form and bank alone")
        sizes = [(classes, dim) for classes in work.class_counts for dim in work.widths]
        for done, (classes, dim) in enumerate(sizes, start=1):
            alone.append(measure_alone(work, classes, dim))
            report(done, len(sizes))
        cold = measure_cold_start(work, folder)
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(work).items()}
    return {
        "settings": {**settings, "pretrained": model.pretrained},
        "machine": machine,
        "tagging": tagging,
        "fitting": fitting,
        "alone": alone,
        "cold_start": cold,
    }


def compare_tables(result: dict[str, Any]) -> dict[str, Table]:
    """The result as tables by title."""
    return {
        "Tagging, a multiple of the bare encoder's rate": _tagging(result["tagging"]),
        "Ratios of front-ends": _ratios(result),
        "Roofline": _roofline(result["tagging"]["roofline"]),
        f"Fitting {result['fitting']['fit_images']} images, {result['fitting']['classes']} classes": _fitting(
            result["fitting"]
        ),
        "Closed form and bank alone": _alone(result["alone"]),
        "Cold start": _cold(result["cold_start"]),
    }


def _tagging(tagging: dict[str, Any]) -> Table:
    rates = tagging["rate_to_bare"]
    rows = [
        [
            case,
            spread(seconds, 1, 1000),
            "1" if case == "bare" else spread(rates[case]) if case in rates else "",
            f"{tagging['peak_mib'][case]:.0f}",
        ]
        for case, seconds in tagging["cases"].items()
    ]
    return ["", "ms an image", "rate to bare", "peak MiB above rest"], rows


def _ratios(result: dict[str, Any]) -> Table:
    tagging = result["tagging"]
    rows = [
        [name, spread(tagging["one_pass_to_two_models"][name]), spread(tagging["files_to_tensors"][name])]
        for name in tagging["files_to_tensors"]
    ]
    return ["front-end", "one pass to two models", "files to tensors"], rows


def _roofline(roofline: dict[str, Any]) -> Table:
    rows = [
        [
            case,
            f"{values['flops_per_image'] / 1e9:.2f}",
            f"{1000 * values['least_seconds']:.1f}",
            f"{values['share_of_limit']:.0%}",
        ]
        for case, values in roofline["cases"].items()
    ]
    rate = f"limit, ms at {roofline['matmul_flops_per_second'] / 1e9:.0f} GFLOP/s"
    return ["", "GFLOP an image", rate, "share of the limit reached"], rows


def _fitting(fitting: dict[str, Any]) -> Table:
    each, once = fitting["seconds_per_image"], fitting["seconds_once"]
    rows = []
    for part, share in fitting["shares"].items():
        cost = f"{1000 * each[part]['median']:.2f} ms an image" if part in each else f"{once[part]:.3f} s once"
        rows.append([part.replace("_", " "), cost, f"{share:.1%}"])
    rows.append(["peak memory", f"{fitting['peak_mib']:.0f} MiB above rest", ""])
    return ["part", "cost", "share"], rows


def _alone(alone: list[dict[str, Any]]) -> Table:
    heads = ["C x d", "patches in the bank", "ms for 1,000 offered", "closed form, s", "stages I to III, s", "peak MiB"]
    rows = [
        [
            f"{row['classes']} x {row['dim']}",
            str(row["rows"]),
            spread(row["offer_seconds"], 1, 1000),
            spread(row["closed_form_seconds"], 3),
            spread(row["learn_seconds"], 3),
            f"{row['peak_mib']:.0f} (bank {row['bank_mib']:.0f})",
        ]
        for row in alone
    ]
    return heads, rows


def _cold(cold: dict[str, Any]) -> Table:
    rows = [
        ["import torch, open_clip, load the model", spread(cold["libraries"])],
        ["piaa tag, one image", spread(cold["tag_one_image"])],
        ["piaa --help", spread(cold["help"])],
        ["second over first", spread(cold["ratio"])],
    ]
    return ["", "seconds (ratio)"], rows
