"""The small steps after the networks."""

import mask
import numpy as np
import pytest
import resize
from people import collect


def test_only_regions_with_area_are_people():
    regions = np.array([[5, 5, 2, 3], [0, 0, 0, 0], [1, 1, 4, 4], [1, 1, 0, 4]], np.float32)
    poses = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)
    np.testing.assert_array_equal(collect(regions, poses), poses[[0, 2]])


def test_nobody_is_an_empty_array_of_keypoints():
    assert collect(np.zeros((1, 4), np.float32), np.zeros((1, 17, 3), np.float32)).shape == (0, 17, 3)


def test_regions_and_poses_differ_in_rows():
    with pytest.raises(ValueError, match="REGIONS has 2 rows, POSES 3"):
        collect(np.ones((2, 4), np.float32), np.ones((3, 17, 3), np.float32))


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 8])
def test_a_mask_enlarged_by_a_whole_factor_keeps_its_blocks(factor):
    classes = np.random.default_rng(0).integers(0, 28, (31, 40), dtype=np.uint8)
    enlarged = mask.stretch(classes, np.array([31 * factor, 40 * factor], np.int32))
    np.testing.assert_array_equal(enlarged, classes.repeat(factor, 0).repeat(factor, 1))


@pytest.mark.parametrize("factor", [3, 5])
def test_a_mask_shrunk_by_an_odd_factor_keeps_the_middle_of_every_block(factor):
    classes = np.random.default_rng(0).integers(0, 28, (30, 60), dtype=np.uint8)
    half = factor // 2
    shrunk = mask.stretch(classes, np.array([30 // factor, 60 // factor]))
    np.testing.assert_array_equal(shrunk, classes[half::factor, half::factor])


@pytest.mark.parametrize("size", [(1, 1), (7, 1000), (1000, 7)])
def test_a_mask_gets_the_size_of_the_image(size):
    stretched = mask.stretch(np.full((512, 512), 3, np.uint8), np.array(size, np.int32))
    assert stretched.shape == size
    assert (stretched == 3).all()


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (32767, 1), (30000, 30000), (2**31 - 1, 2**31 - 1)])
def test_a_size_that_no_image_has_is_refused(size):
    with pytest.raises(ValueError, match=r"SIZE is .*; accepted are sides from 1 to 32766"):
        mask.stretch(np.zeros((8, 8), np.uint8), np.array(size, np.int32))


def test_an_image_is_stretched_with_pixel_centres_aligned():
    ramp = np.repeat(np.tile(np.arange(0, 240, 2, dtype=np.uint8), (50, 1))[..., None], 3, 2)
    stretched = resize.stretch(ramp, 512, 480)
    assert stretched.shape == (512, 480, 3)
    places = ((np.arange(480) + 0.5) * 120 / 480 - 0.5).clip(0, 119)
    np.testing.assert_allclose(stretched[100, :, 0], 2 * places, atol=0.55)
