"""The words of the methods: prompt templates, background words, prompts that name several classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from piaa.errors import LabelError
from piaa.vocabulary.labels import Label

SCENE_TEMPLATES = (
    "there is a {} in the scene.", "there is the {} in the scene.", "this is a {} in the scene.",
    "this is the {} in the scene.", "this is one {} in the scene.",
)  # fmt: skip
"""What TagCLIP (arXiv 2312.12828) adds to the 80 templates for ImageNet."""
BACKGROUND_WORDS = (
    "ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway",
    "railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley",
    "bridge", "sign",
)  # fmt: skip
"""TagCLIP's for VOC."""
COMPOUND = "a photo of a {} and a {}"
PARTNERS = 10
"""Others that a class is named with, by the rule of `compound_prompts`."""


@cache
def imagenet_templates() -> tuple[str, ...]:
    """The 80 templates that OpenAI gave for ImageNet, from open_clip."""
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)


def background_labels(labels: Sequence[Label]) -> list[Label]:
    """The background words that are no part of a class's name or synonyms.

    By this rule COCO loses "keyboard" and "sign" (for "stop sign"), as in the published list for COCO.
    """
    taken = {word for label in labels for phrase in label.phrases for word in phrase.lower().split()}
    return [Label(word) for word in BACKGROUND_WORDS if word not in taken]


def compound_prompts(labels: Sequence[Label], partners: int = PARTNERS) -> tuple[str, ...]:
    """Prompts that name two classes each, from the class list alone.

    The rule: class i is named with the classes i + s, i + 2 s, ... (modulo C), `partners` / 2 of them, so that each
    class stands in about `partners` prompts; s is C / (partners + 1), rounded down, at least 1, so that they are
    spread over the list, whose neighbours are often alike. A pair is named once. (The published prompts were
    written by a language model and name what occurs together.)
    """
    count = len(labels)
    step = max(1, count // (partners + 1))
    pairs = {
        tuple(sorted((first, (first + turn * step) % count)))
        for first in range(count)
        for turn in range(1, max(2, partners // 2 + 1))
    }
    return tuple(
        COMPOUND.replace("{}", labels[a].name, 1).replace("{}", labels[b].name, 1) for a, b in sorted(pairs) if a != b
    )


def read_compound_prompts(path: str | Path) -> tuple[str, ...]:
    """Prompts from a file, one a line; blank lines and lines with `#` first are left out.

    Raises:
        LabelError: when it cannot be read, is not UTF-8, or holds none.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: cannot read the compound prompts: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: not UTF-8 text; save the file as UTF-8") from error
    lines = [" ".join(line.split()) for line in text.splitlines()]
    prompts = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not prompts:
        raise LabelError(f"{path}: no prompts in it; write one a line, such as 'a cat and a dog on a sofa'")
    return prompts


def members(prompts: Sequence[str], labels: Sequence[Label]) -> Tensor:
    """Which classes each prompt names, by their words: `P x C`, 0 or 1.

    Names and synonyms, longest first, as whole words, with a plural in -s or -es; what was taken for a long name is no
    longer there for a short one ("hot dog" is no dog).

    Raises:
        LabelError: for a prompt that names no class.
    """
    phrases = sorted(
        ((phrase.lower(), index) for index, label in enumerate(labels) for phrase in label.phrases),
        key=lambda pair: -len(pair[0]),
    )
    found = torch.zeros(len(prompts), len(labels))
    for row, prompt in enumerate(prompts):
        rest = prompt.lower()
        for phrase, index in phrases:
            if phrase not in rest:
                continue
            rest, times = re.subn(rf"(?<!\w){re.escape(phrase)}(?:s|es)?(?!\w)", "!", rest)
            if times:
                found[row, index] = 1.0
        if not found[row].any():
            raise LabelError(f"compound prompt {prompt!r} names no class; write class names or synonyms in it")
    return found
