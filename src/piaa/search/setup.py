"""The set-up of a search by text: that of the index, or of a model by name for a new one."""

from __future__ import annotations

from piaa.engine import Setup
from piaa.errors import InputError
from piaa.qualities import engine_of_fit, get_quality
from piaa.search.index import SearchIndex, other_setup
from piaa.setups import check_quality, parameters_of, setup_of
from piaa.vision.models import EMBEDDED


def setup_for(
    index: SearchIndex | None,
    model: str | None,
    pretrained: str | None,
    device: str,
    engine: str | None,
    quality: str | None = None,
) -> Setup:
    """Load the model; everything else as in the index, or as the model itself has it.

    Args:
        index: None for a new one.
        model: None for that of the index, or the embedded one.
        pretrained: beside `model`.
        device: as of `piaa.recognizer.Recognizer`.
        engine: likewise; None is that of the index, or of the quality.
        quality: of a new index; for one that is there None, or one that sees images in the same sizes.

    Raises:
        InputError: the index comes from another model, or from images in other sizes than the quality sees.
        ModelError: the model cannot be had.
    """
    wanted = get_quality(quality or "standard")
    if index is None:
        return setup_of(
            (model or EMBEDDED, pretrained),
            front_end=None,
            image_size=wanted.image_size,
            resize=None,
            device=device,
            precision="auto",
            engine=engine or wanted.engine,
            batch_size=0,
            views=wanted.views,
        )
    try:
        named = (model, pretrained) if model else (str(index.setup["model"]), index.setup["pretrained"] or None)
        parameters = parameters_of(index.setup)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"a damaged search index: it does not say its set-up ({error!r}); delete it") from error
    engine = engine or (wanted.engine if quality else engine_of_fit(index.setup.get("engine")))
    setup = setup_of(named, device=device, engine=engine, batch_size=0, **parameters)
    about = setup.describe()
    if about["model_fingerprint"] != index.setup.get("model_fingerprint"):
        raise other_setup(index.setup, about)
    if quality:
        check_quality(quality, index.setup, setup.model)
    return setup
