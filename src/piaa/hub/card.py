"""The model card of a classifier: Markdown with the hub's metadata before it, from settings and report alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined

from piaa.classifier import Classifier
from piaa.errors import ClassifierError

MOST_LABELS = 200
_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>&~^$])")


def model_card(
    classifier: Classifier, repository: str, *, license: str | None = None, numbers: Mapping[str, Any] | None = None
) -> str:
    """README.md of a repository.

    Args:
        classifier: what was learnt.
        repository: `OWNER/NAME`.
        license: as the hub names licences; None says nothing.
        numbers: what `piaa eval --out` wrote; None says that nothing was measured.

    Raises:
        ClassifierError: `numbers` are no numbers of `piaa eval`.
    """
    from huggingface_hub import ModelCardData

    settings, report = classifier.settings, classifier.report
    data = ModelCardData(
        library_name="piaa",
        pipeline_tag="image-classification",
        tags=["piaa", "multi-label", "clip", "training-free"],
        base_model=base_model(str(settings.get("model", "")), str(settings.get("pretrained") or "")),
        license=license,
    )
    names = classifier.label_names
    text: str = _template().render(
        metadata=data.to_yaml(),
        repository=repository,
        names=names[:MOST_LABELS],
        left_out=max(0, len(names) - MOST_LABELS),
        classes=len(names),
        settings=settings,
        report=report,
        recipe=settings.get("recipe", {}).get("name", "not recorded"),
        fallbacks=report.get("fallbacks") or {},
        notes=[*(report.get("vocabulary_notes") or []), *(report.get("threshold_notes") or {}).values()],
        measured=_measured(numbers) if numbers is not None else None,
    )
    return text


def base_model(model: str, pretrained: str) -> str | None:
    """The repository of the model's weights on the hub, where it is known."""
    if model.startswith("hf-hub:"):
        return model.removeprefix("hf-hub:")
    import open_clip

    config = open_clip.get_pretrained_cfg(model.replace("/", "-"), pretrained) if pretrained else {}
    found = str((config or {}).get("hf_hub", "")).rpartition("/")
    owner_and_name = found[0] if found[0].count("/") == 1 else ""
    return owner_and_name or None


def plain(text: object) -> str:
    """Text that stands in Markdown as it is, in one line."""
    return _MARKS.sub(r"\\\1", " ".join(str(text).split()))


def _measured(numbers: Mapping[str, Any]) -> dict[str, Any]:
    try:
        value, images, rule = float(numbers["map"]["piaa"]), int(numbers["images"]), str(numbers["rule"])
        ends = numbers["intervals"].get("piaa")  # none where no resamples were drawn
        interval = f"{ends['level']:.0%} interval {ends['low']:.1f} to {ends['high']:.1f}" if ends else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClassifierError(f"these are no numbers of 'piaa eval --out' ({error!r})") from error
    return {"map": value, "images": images, "rule": rule, "interval": interval}


@lru_cache
def _template() -> Any:
    environment = Environment(
        loader=BaseLoader(), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )  # Markdown, not HTML: names are escaped by `plain`
    environment.filters["plain"] = plain
    return environment.from_string(files("piaa.hub").joinpath("model_card.md.j2").read_text(encoding="utf-8"))
