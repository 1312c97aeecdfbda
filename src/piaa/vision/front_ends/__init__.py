"""Front-ends: where the patch embeddings come from (PIAA section 4.3, table 3).

Comes in: a `Tower` and the states of its blocks. Goes out: patch embeddings N x M x d. Models and engines must never be
imported here.
"""

from __future__ import annotations

from piaa.errors import ModelError
from piaa.vision.front_ends.base import FrontEnd, Trace, scaled_block
from piaa.vision.front_ends.clip import CLIP
from piaa.vision.front_ends.itaclip import ITACLIP
from piaa.vision.front_ends.scclip import SCCLIP
from piaa.vision.front_ends.sclip import SCLIP

__all__ = ["DEFAULT_FRONT_END", "FRONT_ENDS", "FrontEnd", "Trace", "get_front_end", "scaled_block"]

FRONT_ENDS: dict[str, FrontEnd] = {front_end.name: front_end for front_end in (CLIP, SCLIP, ITACLIP, SCCLIP)}
"""Every front-end by the name that users write."""

DEFAULT_FRONT_END = "sc-clip"
"""The paper's; a model directory can name its own in `open_clip_config.json`: `"piaa": {"front_end": ...}`."""


def get_front_end(name: str) -> FrontEnd:
    """The front-end of that name.

    Raises:
        ModelError: naming those that exist.
    """
    try:
        return FRONT_ENDS[name.lower()]
    except KeyError:
        raise ModelError(
            f"no front-end is called {name!r}; choose one of: {', '.join(FRONT_ENDS)} (your own: --extension FILE)"
        ) from None
