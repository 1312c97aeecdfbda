"""The hub's stand-in, an empty cache, and a classifier to push."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_in import TOKEN, StandIn, serving

from piaa.recognizer import Recognizer
from piaa.scenes.folders import write_scene_folder

LABELS = ["umbrella: parasol", "anchor", "airplane", "star", "crane, bird:"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A hub of its own, Alice logged in."""
    from huggingface_hub import constants

    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its storage has a protocol of its own
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pushed")
    write_scene_folder(folder / "photos", 9, "unlabelled", 12)
    Recognizer(LABELS, device="cpu").fit(folder / "photos").save(folder / "mine.piaa")
    return folder / "mine.piaa"
