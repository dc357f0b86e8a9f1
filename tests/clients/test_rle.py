"""Masks as COCO's run lengths."""

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco

from poseclient.rle import encode_mask


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 1), (60, 80)])
def test_the_encoding_is_that_of_coco(shape, share):
    mask = np.random.default_rng(4).random(shape) < share
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_mask(mask) == {"size": list(shape), "counts": expected["counts"].decode()}


def test_long_runs_that_shrink_keep_their_sign():
    mask = np.zeros((3000, 7), bool)
    mask[5:2900, 1], mask[7:9, 2], mask[100:2500, 4:6] = True, True, True
    encoded = encode_mask(mask)
    np.testing.assert_array_equal(coco.decode(encoded), mask)
