"""The golden numbers of the published front-ends (reference/README.md): same inputs in, same numbers out."""

import pytest
from golden import ABSENT, KEYS, WHY, centred_error, cls_error

from piaa.vision.encoder import Encoder
from piaa.vision.front_ends import FRONT_ENDS

pytestmark = pytest.mark.skipif(ABSENT, reason=WHY)


def test_every_front_end_has_a_golden_number():
    assert set(KEYS) == set(FRONT_ENDS)


@pytest.mark.parametrize("name", KEYS)
def test_patches_equal_the_published_ones(tower, golden, name):
    encoded = Encoder(tower, name)(golden["images"])
    assert encoded.patches.shape == golden[KEYS[name]].shape
    assert centred_error(encoded.patches, golden[KEYS[name]]) <= 1e-4


@pytest.mark.parametrize("name", KEYS)
def test_cls_equals_the_published_one_beside_every_front_end(tower, golden, name):
    assert cls_error(Encoder(tower, name)(golden["images"]).cls, golden["cls"]) <= 1e-5
