import pytest
import torch
from small_towers import OPTIONS, small_visual

from piaa.vision.towers import build_tower


@pytest.fixture(params=OPTIONS)
def visual(request):
    return small_visual(**OPTIONS[request.param])


@pytest.fixture(scope="session")
def tower():
    return build_tower(small_visual())


@pytest.fixture(scope="session")
def pool():
    """Twelve images to draw batches from."""
    return torch.randn(12, 3, 64, 64, generator=torch.Generator().manual_seed(7))
