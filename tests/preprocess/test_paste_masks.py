"""paste_masks: the inverse of the crop, and whose pixel it is where crops overlap."""

from __future__ import annotations

import numpy as np
import pytest
from paste import paste


def full(value: int, height: int = 64, width: int = 48) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


def test_a_region_that_is_the_image_gives_the_mask_itself():
    mask = np.random.default_rng(0).integers(0, 28, (64, 48), dtype=np.uint8)
    region = [[47 / 2, 63 / 2, 47, 63]]  # its border pixels are those of the crop
    np.testing.assert_array_equal(paste(mask[None], np.array(region), 64, 48), mask)


@pytest.mark.parametrize("region", [[100.0, 80.0, 90.0, 120.0], [3.5, 200.25, 47.1, 62.8], [10.0, 10.0, 300.0, 400.0]])
def test_every_pixel_gets_the_class_of_its_place_in_the_crop(region):
    """Against the crop's own formula: x_crop = (W - 1) / w * (x - cx + w / 2)."""
    mask = np.random.default_rng(1).integers(1, 28, (64, 48), dtype=np.uint8)
    image = paste(mask[None], np.array([region]), 240, 200)
    cx, cy, w, h = region
    for y, x in np.random.default_rng(2).integers(0, (240, 200), (300, 2)):
        column, row = 47 / w * (x - cx + w / 2), 63 / h * (y - cy + h / 2)
        if 0 <= column <= 47 and 0 <= row <= 63:
            assert image[y, x] == mask[round(row), round(column)]
        else:
            assert image[y, x] == 0


def test_overlapping_crops_meet_half_way():
    masks = np.stack([full(1), full(2)])
    image = paste(masks, np.array([[30.0, 50.0, 40.0, 60.0], [50.0, 50.0, 40.0, 60.0]]), 100, 100)
    assert (image[50, 11:40] == 1).all()
    assert (image[50, 41:70] == 2).all()


def test_a_small_crop_inside_a_large_one_is_seen():
    masks = np.stack([full(1), full(2)])
    regions = np.array([[50.0, 50.0, 90.0, 90.0], [20.0, 20.0, 12.0, 16.0]])
    for order in ([0, 1], [1, 0]):
        image = paste(masks[order], regions[order], 100, 100)
        assert image[20, 20] == 2
        assert image[50, 50] == 1


@pytest.mark.parametrize("region", [[0.0, 0.0, 0.0, 0.0], [5.0, 5.0, 0.0, 9.0], [5.0, 5.0, np.nan, 9.0]])
def test_nobody_leaves_the_image_empty(region):
    assert not paste(full(7)[None], np.array([region], np.float32), 20, 30).any()


def test_a_region_outside_the_image_is_cut():
    image = paste(full(3)[None], np.array([[-5.0, 10.0, 30.0, 40.0]]), 20, 30)
    assert (image[:, :11] == 3).all()
    assert not image[:, 11:].any()
    assert not paste(full(3)[None], np.array([[-100.0, 10.0, 30.0, 40.0]]), 20, 30).any()
