"""The small steps after the networks."""

import numpy as np
import pytest

from poseserve.defaults import MAX_PIXELS, MAX_SIDE
from poseserve.in_process import step_module

maps = step_module("resize_maps", "maps")
oks = step_module("collect_people", "oks")
poses = step_module("collect_people", "poses")
resize = step_module("resize_image", "resize")


def test_only_regions_with_area_are_people():
    regions = np.array([[5, 5, 2, 3], [0, 0, 0, 0], [1, 1, 4, 4], [1, 1, 0, 4]], np.float32)
    found = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)
    np.testing.assert_array_equal(poses.collect(regions, found), found[[0, 2]])


def test_nobody_is_an_empty_array_of_keypoints():
    assert poses.collect(np.zeros((1, 4), np.float32), np.zeros((1, 17, 3), np.float32)).shape == (0, 17, 3)


def test_regions_and_poses_differ_in_rows():
    with pytest.raises(ValueError, match="REGIONS has 2 rows, POSES 3"):
        poses.collect(np.ones((2, 4), np.float32), np.ones((3, 17, 3), np.float32))


def test_a_pose_is_scored_by_its_box_and_its_sure_keypoints():
    keypoints = np.zeros((3, 4, 3), np.float32)
    keypoints[0, :, 2] = [0.9, 0.5, 0.2, 0.1]  # the last two do not count
    keypoints[1, :, 2] = 0.1
    keypoints[2, :, 2] = 1
    scores = poses.pose_scores(np.array([0.5, 0.9, 0.8], np.float32), keypoints)
    np.testing.assert_allclose(scores, [0.5 * 0.7, 0, 0.8], rtol=1e-6)
    assert scores.dtype == np.float32


def test_similarity_is_cocos():
    """exp(-d^2 / (2 s^2 k^2)) with s^2 the area and k twice the sigma, here 2 and 0 pixels apart."""
    keypoints = np.array([[[10, 10, 1], [20, 20, 1]], [[12, 10, 1], [20, 20, 1]]], np.float32)
    alike = oks.similarity(keypoints, np.array([100.0, 300.0]), np.array([0.05, 0.1]))
    assert alike[0, 1] == pytest.approx((np.exp(-4 / (2 * 200 * 0.1**2)) + 1) / 2)
    np.testing.assert_allclose(np.diag(alike), 1)


def test_of_two_alike_the_better_stays():
    alike = np.array([[1, 0.95, 0.2], [0.95, 1, 0.95], [0.2, 0.95, 1]])
    assert oks.select(alike, np.array([0.5, 0.9, 0.4]), 0.9).tolist() == [1]
    assert oks.select(alike, np.array([0.9, 0.5, 0.4]), 0.9).tolist() == [0, 2]
    assert oks.select(alike, np.array([0.9, 0.5, 0.4]), 1.0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [-0.1, 1.1, "x", None, True, float("nan")])
def test_a_similarity_that_cannot_be_is_refused(value):
    with pytest.raises(ValueError, match=r"parameter oks_nms is .*; accepted is a number from 0 to 1"):
        oks.parse_oks_nms({"oks_nms": value}, 0.85)
    assert oks.parse_oks_nms({"oks_nms": "0.9"}, 0.85) == 0.9
    assert oks.parse_oks_nms({}, 0.85) == 0.85


def test_people_are_compared_by_the_sigmas_of_as_many_keypoints_and_the_areas_of_their_regions():
    keypoints = np.array([[[10, 10, 1], [20, 20, 1]], [[12, 10, 1], [20, 20, 1]]], np.float32)
    regions, scores = np.array([[15, 15, 10, 20]] * 2, np.float32), np.array([0.5, 0.9], np.float32)
    alike = (np.exp(-4 / (8 * 0.1**2 * 200)) + 1) / 2
    sigmas = {2: [0.1, 0.5], 3: [9.0, 9.0, 9.0]}
    keep = lambda most, sigmas=sigmas: oks.keep(keypoints, regions, scores, sigmas, most).tolist()  # noqa: E731
    assert keep(alike - 1e-6) == [1]
    assert keep(alike + 1e-6) == keep(1.0) == [0, 1]
    usual = (np.exp(-4 / (8 * oks.USUAL_SIGMA**2 * 200)) + 1) / 2
    assert (keep(usual - 1e-6, {}), keep(usual + 1e-6, {})) == ([1], [0, 1])


def test_nobody_is_like_nobody():
    nobody = np.zeros((0, 17, 3), np.float32), np.zeros((1, 4), np.float32), np.zeros(0, np.float32)
    assert oks.keep(*nobody, {}, 0.5).tolist() == []


def test_a_map_is_stretched_with_pixel_centres_aligned():
    ramp = np.tile(np.arange(120, dtype=np.float16), (50, 1))
    stretched = maps.stretch(ramp, 75, 480)
    assert stretched.dtype == np.float16
    places = ((np.arange(480) + 0.5) * 120 / 480 - 0.5).clip(0, 119)
    np.testing.assert_allclose(stretched, np.tile(places, (75, 1)), atol=0.05)


def test_normals_stay_unit_vectors():
    vectors = np.zeros((4, 4, 3), np.float16)
    vectors[:, :2, 0] = vectors[:, 2:, 2] = 1
    stretched = maps.stretch_normals(vectors, 16, 16).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(stretched, axis=2), 1, atol=2e-3)
    np.testing.assert_allclose(stretched[8, 7], np.array([5, 0, 3]) / 34**0.5, atol=2e-3)


def test_what_is_nobody_is_not_a_number():
    mask = np.array([[0, 3], [7, 0]], np.uint8)
    depth = maps.of_people(np.ones((2, 2), np.float16), mask)
    np.testing.assert_array_equal(np.isnan(depth), mask == 0)
    assert np.isnan(maps.of_people(np.ones((2, 2, 3), np.float16), mask * 0)).all()
    with pytest.raises(ValueError, match=r"SIZE is \[2, 2\], MASK \[1, 2\]"):
        maps.of_people(np.ones((2, 2), np.float16), mask[:1])


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (32767, 1), (30000, 30000), (2**31 - 1, 2**31 - 1)])
def test_a_size_that_no_image_has_is_refused(size):
    with pytest.raises(ValueError, match=r"SIZE is .*; accepted are sides from 1 to 32766"):
        maps.checked_size(np.array(size, np.int32), MAX_PIXELS, MAX_SIDE)


def test_an_image_is_stretched_with_pixel_centres_aligned():
    ramp = np.repeat(np.tile(np.arange(0, 240, 2, dtype=np.uint8), (50, 1))[..., None], 3, 2)
    stretched = resize.stretch(ramp, 512, 480)
    assert stretched.shape == (512, 480, 3)
    places = ((np.arange(480) + 0.5) * 120 / 480 - 0.5).clip(0, 119)
    np.testing.assert_allclose(stretched[100, :, 0], 2 * places, atol=0.55)


def test_an_averaged_image_is_the_mean_of_what_its_pixels_cover():
    stripes = np.zeros((40, 60, 3), np.uint8)
    stripes[:, ::3] = 240
    np.testing.assert_array_equal(resize.average(stripes, 10, 20), np.full((10, 20, 3), 80))


def test_an_averaged_image_is_bicubic_where_it_grows():
    ramp = np.repeat(np.tile(np.arange(0, 240, 2, dtype=np.uint8), (50, 1))[..., None], 3, 2)
    enlarged = resize.average(ramp, 60, 480)
    places = (np.arange(480) + 0.5) * 120 / 480 - 0.5
    np.testing.assert_allclose(enlarged[30, 8:-8, 0], 2 * places[8:-8], atol=0.55)
    edge = np.repeat(np.array([[0, 0, 200, 200]], np.uint8)[..., None], 3, 2)
    assert resize.average(edge, 1, 16).max() > 200  # bilinear stays between its neighbours


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1080, 1920), (296, 0, 432, 768)),  # wide
        ((3000, 1000), (0, 213, 1024, 341)),  # tall, one column of black more on the right
        ((400, 710), (296, 0, 432, 767)),  # rounded down, as the authors do
        ((256, 192), (0, 0, 1024, 768)),  # enlarged
        ((1, 32766), (511, 0, 1, 768)),  # less than a row
    ],
)
def test_a_padded_image_keeps_its_aspect_in_the_middle_of_black(size, expected):
    pixels = np.full((*size, 3), 200, np.uint8)
    top, left, height, width = resize.bounds(pixels, 1024, 768)
    assert (top, left, height, width) == expected
    shown = np.zeros((1024, 768, 3), np.uint8)
    shown[top : top + height, left : left + width] = 200
    np.testing.assert_array_equal(resize.pad(pixels, 1024, 768), shown)


@pytest.mark.parametrize("size", [(90, 160), (171, 70), (301, 300)])
def test_a_padded_image_comes_back_where_it_was(size):
    ramp = np.linspace(20, 230, size[1])[None, :, None] + np.linspace(-15, 15, size[0])[:, None, None]
    pixels = np.repeat(ramp.round().astype(np.uint8), 3, 2)
    shown = maps.cut(resize.pad(pixels, 256, 192), resize.bounds(pixels, 256, 192))
    back = maps.stretch(shown.astype(np.float32), *size)
    np.testing.assert_allclose(back[2:-2, 2:-2], pixels[2:-2, 2:-2], atol=1)


@pytest.mark.parametrize("bounds", [(-1, 0, 4, 4), (0, 0, 0, 4), (5, 0, 4, 4), (0, 2, 4, 5), (2**31 - 1, 0, 1, 1)])
def test_bounds_outside_the_map_are_refused(bounds):
    with pytest.raises(ValueError, match=r"BOUNDS is .*; accepted are .* of a part of the map, which is 8 x 6"):
        maps.cut(np.zeros((8, 6)), np.array(bounds, np.int32))
