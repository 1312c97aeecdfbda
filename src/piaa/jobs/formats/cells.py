"""Cells that no spreadsheet runs as a formula, and back."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(text: str) -> str:
    """A CSV cell that no spreadsheet runs as a formula: a `'` goes before a sign that would begin one."""
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def uncell(text: str) -> str:
    """What `cell` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith((*_FORMULA, "'")) else text
