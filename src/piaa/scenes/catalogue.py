"""What can stand in a scene: objects (symbol glyphs of DejaVu Sans, which matplotlib ships) and named colours."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 36, 40),
    "orange": (245, 130, 25),
    "yellow": (246, 214, 42),
    "green": (38, 150, 60),
    "blue": (34, 92, 214),
    "purple": (130, 50, 170),
    "pink": (240, 120, 180),
    "brown": (125, 75, 38),
    "black": (22, 22, 26),
    "white": (246, 246, 244),
    "grey": (135, 138, 142),
    "turquoise": (40, 190, 190),
}


@dataclass(frozen=True)
class ObjectKind:
    """A nameable thing: its glyph variants, and the colour that it has three times in four."""

    name: str
    glyphs: str
    usual_colour: str


def _kind(name: str, glyphs: str, colour: str) -> ObjectKind:
    return ObjectKind(name, glyphs, colour)


OBJECTS: tuple[ObjectKind, ...] = (
    _kind("airplane", "\u2708", "grey"),
    _kind("anchor", "\u2693", "blue"),
    _kind("arrow", "\u279c\u2794", "red"),
    _kind("atom", "\u269b", "turquoise"),
    _kind("biohazard sign", "\u2623", "orange"),
    _kind("cat", "\U0001f431", "orange"),
    _kind("check mark", "\u2714", "green"),
    _kind("chess bishop", "\u265d", "purple"),
    _kind("chess king", "\u265a", "yellow"),
    _kind("chess knight", "\u265e", "black"),
    _kind("chess pawn", "\u265f", "white"),
    _kind("chess rook", "\u265c", "brown"),
    _kind("clover", "\u2618", "green"),
    _kind("cloud", "\u2601", "white"),
    _kind("comet", "\u2604", "turquoise"),
    _kind("cow", "\U0001f42e", "brown"),
    _kind("cross", "\u2716", "red"),
    _kind("cup", "\u2615", "brown"),
    _kind("diamond", "\u2666", "red"),
    _kind("dice", "\u2684\u2685", "white"),
    _kind("envelope", "\u2709", "yellow"),
    _kind("flag", "\u2691", "red"),
    _kind("flask", "\u2697", "turquoise"),
    _kind("flower", "\u273f", "pink"),
    _kind("gear", "\u2699", "grey"),
    _kind("hammer", "\u2692", "black"),
    _kind("hand", "\u261b", "pink"),
    _kind("heart", "\u2665\u2764", "red"),
    _kind("house", "\u2302\u2617", "orange"),
    _kind("key", "\u26b7", "yellow"),
    _kind("keyboard", "\u2328", "grey"),
    _kind("leaf", "\u2767", "green"),
    _kind("lightning", "\u26a1", "yellow"),
    _kind("lily", "\u269c", "purple"),
    _kind("monkey", "\U0001f435", "brown"),
    _kind("moon", "\u263d\u263e", "yellow"),
    _kind("mouse", "\U0001f42d", "grey"),
    _kind("music note", "\u266b", "black"),
    _kind("peace sign", "\u262e", "blue"),
    _kind("pencil", "\u270f\u270e", "orange"),
    _kind("radiation sign", "\u2622", "yellow"),
    _kind("recycling sign", "\u267b", "green"),
    _kind("sad face", "\u2639", "blue"),
    _kind("scales", "\u2696", "brown"),
    _kind("scissors", "\u2702", "turquoise"),
    _kind("skull", "\u2620", "white"),
    _kind("smiley", "\u263b", "yellow"),
    _kind("snowflake", "\u2744", "turquoise"),
    _kind("snowman", "\u2603", "white"),
    _kind("spade", "\u2660", "black"),
    _kind("star", "\u2605", "purple"),
    _kind("sun", "\u2600", "orange"),
    _kind("swords", "\u2694", "grey"),
    _kind("telephone", "\u260e", "black"),
    _kind("umbrella", "\u2602\u2614", "pink"),
    _kind("warning sign", "\u26a0", "orange"),
    _kind("wheel", "\u2638", "brown"),
    _kind("wheelchair", "\u267f", "blue"),
    _kind("yin yang", "\u262f", "black"),
    _kind("pentagon", "\u2b1f", "purple"),
)


def object_names() -> list[str]:
    """The names of all objects, in the order of their class indices."""
    return [kind.name for kind in OBJECTS]


def is_held_out_colour(kind: int, colour: str) -> bool:
    """Whether this object in this colour is kept out of training and shown only in test scenes.

    One in six of the unusual (object, colour) pairs, spread evenly; never the usual colour.
    """
    index = list(COLOURS).index(colour)
    return colour != OBJECTS[kind].usual_colour and (kind * 5 + index * 7) % 6 == 0


def is_held_out_pair(a: int, b: int) -> bool:
    """Whether these two objects never share a training scene (one in eight pairs)."""
    low, high = min(a, b), max(a, b)
    return low != high and (low * 31 + high * 17) % 8 == 0


def jitter(colour: tuple[int, int, int], rng: np.random.Generator, amount: float = 0.05) -> tuple[int, int, int]:
    """A shade of a named colour that still deserves the name (hue, saturation and value moved a little)."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
    hue = (hue + rng.normal(0, amount * 0.35)) % 1.0
    saturation = float(np.clip(saturation * (1 + rng.normal(0, amount * 2)), 0, 1))
    value = float(np.clip(value + rng.normal(0, amount), 0, 1))
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
