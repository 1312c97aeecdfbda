"""A small random tower, its images, and one folder of exported graphs for the whole session."""

import pytest
import torch
from small_model import SIZE, small_visual

from piaa.vision.encoder import Encoder
from piaa.vision.models import model_fingerprint
from piaa.vision.runtimes import parse_engine
from piaa.vision.runtimes.build import build_encoder
from piaa.vision.towers import build_tower


@pytest.fixture(scope="session")
def tower():
    return build_tower(small_visual())


@pytest.fixture(scope="session")
def fingerprint(tower):
    return model_fingerprint(tower.visual)


@pytest.fixture(scope="session")
def images():
    """Five, of which the last is featureless."""
    pool = torch.randn(5, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    pool[4] = 0.3
    return pool


@pytest.fixture(scope="session")
def graphs(tmp_path_factory):
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
def built(tower, fingerprint, graphs):
    """Engine and front-end to an encoder; each is exported and opened once."""
    known = {}

    def build(engine, front_end):
        for package in parse_engine(engine).missing_packages:
            pytest.skip(f"{package} is not installed")
        if (engine, front_end) not in known:
            known[engine, front_end] = build_encoder(Encoder(tower, front_end), engine, fingerprint, SIZE, graphs)
        return known[engine, front_end]

    return build
