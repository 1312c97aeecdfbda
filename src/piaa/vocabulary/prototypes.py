"""Class names become text prototypes: prompts, embedded once, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.errors import LabelError
from piaa.vocabulary.labels import Label

DEFAULT_TEMPLATE = "a photo of a {}"
"""The published prompt (reference/README.md)."""

TEMPLATE_SETS: dict[str, tuple[str, ...]] = {
    "published": (DEFAULT_TEMPLATE,),
    "ensemble": (
        DEFAULT_TEMPLATE,
        "a photo of the {}",
        "a photo of many {}",
        "a close-up photo of a {}",
        "a photo of a small {}",
        "a photo of a large {}",
        "a {} in a scene",
        "a drawing of a {}",
    ),
}
"""Templates by name; more phrasings make a prototype less dependent on any one of them."""


class TextEncoder(Protocol):
    """What `text_prototypes` needs of a model."""

    def encode_text(self, texts: list[str]) -> Tensor:
        """Text embeddings `len(texts) x d`."""
        ...


def resolve_templates(templates: str | Sequence[str] = "published") -> tuple[str, ...]:
    """Templates from the name of a set, from one template, or from several.

    Raises:
        LabelError: when there is none, or one has no `{}` for the class name.
    """
    if isinstance(templates, str):
        templates = TEMPLATE_SETS.get(templates, (templates,))
    if not templates:
        raise LabelError("no prompt template given; give at least one, such as 'a photo of a {}'")
    for template in templates:
        if "{}" not in template:
            raise LabelError(
                f"prompt template {template!r} has no {{}} where the class name goes; write for instance "
                f"{DEFAULT_TEMPLATE!r}, or the name of a set: {', '.join(TEMPLATE_SETS)}"
            )
    return tuple(templates)


@torch.no_grad()
def text_prototypes(
    model: TextEncoder,
    labels: Sequence[Label],
    templates: str | Sequence[str] = "published",
    chunk: int = 256,
) -> Tensor:
    """The unit-length text prototype t_c of every class.

    The mean over synonyms and templates of unit-length embeddings, brought to unit length.

    Args:
        model: anything with `encode_text`.
        labels: C classes.
        templates: see `resolve_templates`.
        chunk: prompts embedded at a time.

    Returns:
        `C x d`, float32, on the model's device.

    Raises:
        LabelError: for a template without `{}`.
    """
    templates = resolve_templates(templates)
    prompts = [
        template.replace("{}", phrase) for label in labels for phrase, template in product(label.phrases, templates)
    ]
    owners = [i for i, label in enumerate(labels) for _ in range(len(label.phrases) * len(templates))]
    chunks = [model.encode_text(prompts[i : i + chunk]) for i in range(0, len(prompts), chunk)]
    embeddings = F.normalize(torch.cat(chunks).float(), dim=-1)
    sums = embeddings.new_zeros(len(labels), embeddings.shape[1])
    sums.index_add_(0, torch.tensor(owners, device=sums.device), embeddings)
    return F.normalize(sums, dim=-1)  # sum and mean have one direction
