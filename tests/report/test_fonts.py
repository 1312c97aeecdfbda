"""Labels in any script are drawn or spelt out, never shown as empty boxes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from piaa.report import fonts


def drawn(text: str, font: object) -> np.ndarray:
    canvas = Image.new("L", (400, 40))
    ImageDraw.Draw(canvas).text((4, 4), text, font=font, fill=255)  # type: ignore[arg-type]
    return np.asarray(canvas)


@pytest.mark.parametrize("text", ["cat", "Straße", "кошка", "γάτα", "✓ ağaç"])
def test_scripts_that_the_first_font_has(text: str) -> None:
    font, shown = fonts.font_for(text, 16, bold=True)
    assert shown == text and font.getname()[0] == "DejaVu Sans"


def test_characters_that_no_font_has_are_spelt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_system_fonts", lambda: ())
    font, shown = fonts.font_for("✓ 猫 cat", 16)
    assert shown == "✓ U+732B cat"
    box = drawn("\U0010ffff", font)  # what this font draws for what it lacks
    assert all(not np.array_equal(drawn(character, font), box) for character in shown if not character.isspace())


def test_a_font_of_the_system_is_taken_where_it_has_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    other = fonts._own("STIXGeneral.ttf")
    monkeypatch.setattr(fonts, "_system_fonts", lambda: (fonts._own("DejaVuSansDisplay.ttf"), other))
    (code, *_) = sorted(fonts._characters(other) - fonts._characters(fonts._own(fonts.FIRST[0])))
    font, shown = fonts.font_for(f"✓ {chr(code)}", 16)
    assert font.getname()[0] == "STIXGeneral"
    assert shown.lstrip("✓ ") == chr(code)
