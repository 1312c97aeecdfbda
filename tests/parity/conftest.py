"""The golden tower and its numbers."""

import pytest
from golden import NUMBERS, WEIGHTS
from safetensors.torch import load_file

from piaa.vision.towers import build_tower, openai_visual


@pytest.fixture(scope="session")
def golden():
    return load_file(NUMBERS)


@pytest.fixture(scope="session")
def tower():
    return build_tower(openai_visual(load_file(WEIGHTS)))
