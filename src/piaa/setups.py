"""A `Setup` from names: what to load, how an image enters it, what runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from piaa.engine import Setup
from piaa.errors import InputError
from piaa.method.recipes import recipe_from_dict
from piaa.qualities import QUALITIES, Quality, get_quality, quality_with
from piaa.vision.front_ends import get_front_end
from piaa.vision.models import LoadedModel, load_model
from piaa.vision.runtimes import parse_engine
from piaa.vision.views import VIEWS, views_of
from piaa.vocabulary.labels import Label

PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
TRAINED = "trained"
"""`image_size` that stands for the size a model was trained for."""


def setup_of(
    weights: tuple[str, str | None],
    *,
    front_end: str | None,
    image_size: int | tuple[int, int] | str | None,
    resize: str | None,
    device: str,
    precision: str,
    engine: str,
    batch_size: int,
    views: str = "one",
) -> Setup:
    """Load the model and put a set-up together; every other argument is one of `piaa.recognizer.Recognizer`.

    Args:
        weights: model and pretrained.
        views: a name of `piaa.vision.views.VIEWS`.

    Raises:
        ModelError, InputError: for what does not exist, is not installed or does not fit.
    """
    parse_engine(engine).check_installed()  # before a model is loaded
    model = load_model(*weights, device=device, precision=precision)
    chosen = get_front_end(front_end or model.front_end).name
    preprocess = model.preprocess(size_of(model, image_size), resize)
    seen = views_of(views, preprocess.image_size, model.tower.patch_size)
    return Setup(model, chosen, replace(preprocess, image_size=seen.sizes[-1]), batch_size, engine, seen)


def parameters_of(settings: dict[str, Any]) -> dict[str, Any]:
    """What decides an image's embeddings, beside the weights, as a classifier's settings keep it."""
    return {
        "front_end": settings["front_end"],
        "image_size": tuple(settings["image_size"]),
        "views": settings.get("views", "one"),
        "resize": settings["resize"],
        "precision": PRECISIONS[settings["precision"]],
    }


def constructor_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `piaa.recognizer.Recognizer` that a classifier's settings, or those of evidence, stand for.

    Not among them: labels, where the weights are, and what runs the encoder.
    """
    given = parameters_of(settings)
    views = given.pop("views")
    recipe = settings.get("recipe", "default")  # a method of `piaa.baselines` has none
    return {
        **given,
        "quality": quality_with(views),
        "recipe": recipe_from_dict(recipe) if isinstance(recipe, dict) else recipe,
        "templates": tuple(settings["templates"]),
        "threshold_rule": settings["threshold_rule"],
        "other_words": tuple(Label(name, tuple(synonyms)) for name, synonyms in settings.get("other_words", ())),
    }


def one_size(name: str | None) -> Quality:
    """A quality for embeddings that are stored, which are of one size; None is the paper's: as trained, no engine.

    Raises:
        InputError: for a quality that sees several sizes, or does not exist.
    """
    if name is None:
        return Quality(TRAINED)
    quality = get_quality(name)
    if len(VIEWS[quality.views]) > 1:
        raise InputError(
            f"quality {name} sees an image in several sizes, and embeddings are stored of one: "
            f"leave it out here, or measure it with 'piaa fit --quality {name}' and 'piaa eval'"
        )
    return quality


def check_quality(name: str, settings: dict[str, Any], model: LoadedModel) -> None:
    """May what was learnt run with this quality? It may where that sees images as they were seen at the fit.

    The engine may differ. A classifier learnt from other sizes would give other scores than its thresholds are for.

    Args:
        name: of the quality.
        settings: of a classifier or a search index.
        model: its model.

    Raises:
        InputError: it sees images in other sizes, or does not exist.
    """
    wanted = _seen(get_quality(name), model)
    made = (tuple(settings["image_size"]), settings.get("views", "one"))
    if wanted == made:
        return
    same = [other for other, quality in QUALITIES.items() if _seen(quality, model) == made]
    told = f"that of quality {same[0]}" if same else "that of no quality"
    raise InputError(
        f"quality {name} sees {_sight(*wanted)}; this was made with {_sight(*made)}, {told}: leave --quality out, or "
        f"make it anew with --quality {name}"
    )


def _seen(quality: Quality, model: LoadedModel) -> tuple[tuple[int, ...], str]:
    return model.preprocess(size_of(model, quality.image_size)).image_size, quality.views


def _sight(size: tuple[int, ...], views: str) -> str:
    factors = ", ".join(map(str, VIEWS[views]))
    return f"{size[0]} x {size[1]} pixels" + (f" times {factors}" if len(VIEWS[views]) > 1 else "")


def size_of(model: LoadedModel, image_size: int | tuple[int, int] | str | None) -> int | tuple[int, int]:
    """The side or (height, width) in pixels that an `image_size` of `piaa.recognizer.Recognizer` stands for.

    Raises:
        InputError: for another word than `trained`.
    """
    if image_size is None:
        return model.larger_size
    if isinstance(image_size, str):
        if image_size != TRAINED:
            raise InputError(f"image size {image_size!r}: give a number of pixels, or {TRAINED!r}")
        return model.image_size
    return image_size
