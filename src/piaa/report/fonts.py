"""A font that has the characters of a label, whatever script it is written in."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

FIRST = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
"""Come with matplotlib, so they are always there."""

TICK = "✓"
"""Left out where a font of another script lacks it; the colour says the same."""


def font_for(text: str, size: int, bold: bool = False) -> tuple[ImageFont.FreeTypeFont, str]:
    """A font, and the text as it can be drawn with it.

    The first font that has all characters: DejaVu, then those of the system. Where none has them, each character that
    DejaVu lacks is written as its code point (`U+4E2D`), since an empty box says nothing.

    Args:
        text: one line.
        size: in pixels.
        bold: of DejaVu; another font is taken as it is.
    """
    first = _own(FIRST[bold])
    wanted = frozenset(ord(c) for c in text if not c.isspace() and c != TICK)
    for path in (first, *_system_fonts()) if not wanted <= _characters(first) else (first,):
        if wanted <= _characters(path):
            drawn = text if ord(TICK) in _characters(path) else text.replace(TICK, "").strip()
            return _opened(path, size), drawn
    known = _characters(first)
    shown = "".join(c if c.isspace() or ord(c) in known else f"U+{ord(c):04X} " for c in text)
    return _opened(first, size), " ".join(shown.split())


def _own(name: str) -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", name))


@lru_cache(maxsize=1)
def _system_fonts() -> tuple[str, ...]:
    """Sorted by name, so that the same machine draws the same picture."""
    from matplotlib import font_manager

    return tuple(sorted(font_manager.findSystemFonts()))


@lru_cache(maxsize=256)
def _characters(path: str) -> frozenset[int]:
    """Code points that a font has a picture for; none for a file that cannot be used."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (RuntimeError, OSError, ValueError):
        return frozenset()


@lru_cache(maxsize=64)
def _opened(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)
