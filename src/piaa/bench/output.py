"""Results as JSON, Markdown and tables for the console. Files are whole or not there."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.files import write_text

BEGIN, END = "<!-- piaa bench: begin -->", "<!-- piaa bench: end -->"

Table = tuple[list[str], list[list[str]]]
"""Heads and rows."""


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write a result; what is not a number becomes null.

    Raises:
        InputError: when the file cannot be written.
    """
    write_text(path, json.dumps(finite(result), indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """The same with None for every float that is not finite, as JSON has none."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_between_markers(path: Path, text: str) -> None:
    """Put `text` between the two markers of a Markdown file; a file that does not exist is begun with them.

    Raises:
        InputError: the file exists and has not one of each marker, in order, or cannot be read or written.
    """
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else f"{BEGIN}\n{END}\n"
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise InputError(f"{path}: has not the two lines {BEGIN} and {END}, between which the table goes; add them")
    write_text(path, f"{before}{BEGIN}\n{text.strip()}\n{END}{after}")


def markdown(table: Table) -> str:
    """A table in Markdown, numbers to the right."""
    heads, rows = table
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def show(table: Table, title: str) -> Any:
    """The same table for the console."""
    from rich.table import Table as RichTable

    heads, rows = table
    shown = RichTable(title=title, title_justify="left")
    for number, head in enumerate(heads):
        shown.add_column(head, justify="right" if number else "left")
    for row in rows:
        shown.add_row(*row)
    return shown


def machine_line(machine: dict[str, Any]) -> str:
    """One sentence on where the numbers come from."""
    if not machine:
        return "Nothing could be measured."
    able = ", ".join([machine["capability"], *machine["instructions"]])
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, {able}"
        f"{'' if machine['device'] == 'cpu' else ', ' + machine['device']}; torch {machine['torch']}, "
        f"open_clip {machine['open_clip']}, piaa {machine['piaa']}; load before the run {machine['load_before']}"
    )


def spread(value: dict[str, float], digits: int = 2, factor: float = 1.0) -> str:
    """`median (low to high)`."""
    median, low, high = (value[key] * factor for key in ("median", "low", "high"))
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def models_table(result: dict[str, Any]) -> Table:
    """A row a model that could be measured."""
    front_ends: Sequence[str] = result["settings"]["front_ends"]
    heads = ["model", "M parameters (image)", "input", "grid", "bare", *front_ends, "MiB", "weights"]
    rows = []
    for row in result["models"]:
        if "error" in row:
            continue
        seconds, rate, memory = row["seconds_per_image"], row["rate_to_bare"], row["memory_mib"]
        share = memory["weights_share"]
        rows.append([
            row["name"],
            f"{row['parameters'] / 1e6:.0f} ({row['image_parameters'] / 1e6:.0f})",
            " x ".join(map(str, row["image_size"])),
            " x ".join(map(str, row["grid"])),
            spread(seconds["bare"], 3),
            *(f"{seconds[name]['median']:.3f} ({rate[name]['median']:.2f})" for name in front_ends),
            f"{memory['peak']:.0f}",
            "-" if share is None else f"{share:.0%}",
        ])  # fmt: skip
    return heads, rows


def models_errors(result: dict[str, Any]) -> list[str]:
    """Those that could not be measured, and why."""
    return [f"{row['name']}: {row['error']}" for row in result["models"] if "error" in row]


def models_markdown(result: dict[str, Any]) -> str:
    """The table with what one must know to read it."""
    settings = result["settings"]
    text = (
        f"{machine_line(result['machine'])}.\n\n"
        f"Float32, batches of {settings['batch_size']}, medians of {settings['repeats']} repetitions in turns.\n\n"
        "- *bare*: seconds an image of open_clip's `encode_image`, with the least and the greatest.\n"
        "- the front-ends: seconds an image for [CLS] and patches in one pass; in brackets the rate as a multiple of "
        "the bare one's in the same repetition.\n"
        "- *MiB*: high-water mark of resident memory while encoding, beyond the imports, with both towers loaded; "
        f"*weights*: the share of both towers' weights in it.\n\n{markdown(models_table(result))}"
    )
    errors = "".join(f"\n- {line}" for line in models_errors(result))
    return f"{text}\n\nNot measured:\n{errors}" if errors else text


def sections_markdown(result: dict[str, Any], tables: dict[str, Table]) -> str:
    """All tables of a run under their titles."""
    parts = [f"{machine_line(result['machine'])}.", f"Settings: `{json.dumps(result['settings'])}`."]
    parts += [f"### {title}\n\n{markdown(table)}" for title, table in tables.items()]
    return "\n\n".join(parts)
