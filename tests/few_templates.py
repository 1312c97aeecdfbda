"""The ensemble of 80 prompts costs more than all images of a test; two stand for it where the number is no matter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

FEW = ("a bad photo of a {}.", "a photo of many {}.")


@pytest.fixture(scope="module")
def few_templates() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("sparc", "tagclip"):
            patch.setattr(f"piaa.baselines.methods.{module}.imagenet_templates", lambda: FEW)
        yield
