"""Regions and crops: hand-computed, and measured on smooth pictures whose places are known."""

import numpy as np
import pytest

from poseserve.in_process import step_module

cropping = step_module("crop_people", "crops")
HEIGHT, WIDTH = 256, 192
ASPECT = WIDTH / HEIGHT


def blob(height: int, width: int, x: float, y: float, sigma: float) -> np.ndarray:
    """A bright spot around a place in pixel centres, u8 [height, width, 3]."""
    rows, columns = (
        np.exp(-((np.arange(height) - y) ** 2) / 2 / sigma**2),
        np.exp(-((np.arange(width) - x) ** 2) / 2 / sigma**2),
    )
    return np.repeat((250 * np.outer(rows, columns)).round().astype(np.uint8)[..., None], 3, 2)


def centre_of_mass(pixels: np.ndarray) -> tuple[float, float]:
    weight = pixels[..., 0].astype(float)
    weight[weight < 3] = 0
    rows, columns = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]]
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


def udp(place: tuple[float, float], region: np.ndarray, height: int, width: int) -> list[float]:
    """The contract's formula."""
    (x, y), (cx, cy, w, h) = place, region
    return [(width - 1) / w * (x - cx + w / 2), (height - 1) / h * (y - cy + h / 2)]


@pytest.mark.parametrize(
    ("box", "region"),
    [
        ([10, 20, 110, 220], [60, 120, 187.5, 250]),  # tall: widened
        ([0, 0, 200, 100], [100, 50, 250, 250 / 0.75]),  # wide: heightened
        ([0, 0, 75, 100], [37.5, 50, 93.75, 125]),  # already 3 : 4
        ([-30, 5, 30, 6], [0, 5.5, 75, 100]),
    ],
)
def test_region_is_the_padded_box_in_the_aspect_of_the_crop(box, region):
    computed = cropping.regions(np.array([box], np.float32), ASPECT, 1.25)
    np.testing.assert_allclose(computed, [region], rtol=1e-12)
    assert computed.dtype == np.float64


@pytest.mark.parametrize("cut", cropping.CROP.values())
@pytest.mark.parametrize(("height", "width"), [(256, 192), (255, 191), (320, 240), (32, 24)])
@pytest.mark.parametrize(
    ("shape", "place", "box"),
    [
        ((480, 640), (300.37, 200.81), [220.5, 90.25, 380.75, 340.5]),
        ((481, 641), (300.37, 200.81), [150, 20, 420, 470]),
        ((333, 501), (60.6, 70.3), [-80, -60, 130, 200]),  # partly outside, top left
        ((500, 400), (340.1, 430.9), [250, 300, 480, 620]),  # partly outside, bottom right
        ((900, 700), (350.5, 420.25), [10, 5, 690, 890]),  # shrunk to a third
        ((200, 300), (150.2, 99.9), [120, 70, 180, 140]),  # enlarged
        ((60, 32766), (32700.3, 30.7), [32660, 5, 32740, 60]),  # at the end of the widest image
    ],
)
def test_every_place_lands_where_the_formula_says(shape, place, box, height, width, cut):
    people = cropping.regions(np.array([box]), width / height, 1.25)
    sigma = min(4, width / 24) * max(1, people[0, 2] / width)
    crops = cut(blob(*shape, *place, sigma), people, height, width)
    np.testing.assert_allclose(centre_of_mass(crops[0]), udp(place, people[0], height, width), atol=0.05)


def test_a_gradient_keeps_its_values():
    ramp = np.repeat(np.tile(np.arange(256, dtype=np.uint8), (300, 1))[..., None], 3, 2)
    people = np.array([[120.3, 150.2, 150.0, 200.0]])
    columns = 120.3 - 75 + np.arange(WIDTH) * 150 / (WIDTH - 1)
    crops = cropping.crop(ramp, people, HEIGHT, WIDTH)
    np.testing.assert_allclose(crops[0], np.broadcast_to(columns[:, None], crops[0].shape), atol=0.55)


@pytest.mark.parametrize("cut", cropping.CROP.values())
@pytest.mark.parametrize("times", [1.99, 2.0, 2.6, 3.99, 4.73])
@pytest.mark.parametrize("centre", [(63.3, 60.9), (60.0, 70.5)])
def test_a_gradient_keeps_its_values_where_it_shrinks(centre, times, cut):
    """Half a pixel of the image would be one level."""
    rows, columns = np.mgrid[0:128, 0:127]
    ramps = np.stack([2 * columns, 2 * rows, 254 - 2 * rows], 2).astype(np.uint8)
    (cx, cy), (width, height) = centre, (18, 24)
    w, h = times * (width - 1), times * (height - 1)
    (one,) = cut(ramps, np.array([[cx, cy, w, h]]), height, width).astype(float)
    x, y = cx - w / 2 + np.arange(width) * times, cy - h / 2 + np.arange(height) * times
    np.testing.assert_allclose(one[..., 0], np.broadcast_to(2 * x, (height, width)), atol=0.7)
    np.testing.assert_allclose(one[..., 1], np.broadcast_to(2 * y[:, None], (height, width)), atol=0.7)
    np.testing.assert_allclose(one[..., 2], np.broadcast_to(254 - 2 * y[:, None], (height, width)), atol=0.7)


def test_an_averaged_crop_skips_no_pixels():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::4] = 240
    people = np.array([[200.0, 200.0, 8 * 23, 8 * 31]])
    (averaged,), (bilinear,) = (cut(stripes, people, 32, 24) for cut in (cropping.crop_averaged, cropping.crop))
    np.testing.assert_array_equal(averaged, 60)
    np.testing.assert_array_equal(bilinear, 240)  # all that it looks at is a stripe


def test_a_crop_that_shrinks_by_less_than_two_is_not_averaged():
    noise = np.random.default_rng(0).integers(0, 255, (600, 500, 3), dtype=np.uint8)
    people = np.array([[240.3, 290.8, times * (WIDTH - 1), times * (HEIGHT - 1)] for times in (0.5, 1, 1.99, 2.01)])
    averaged, bilinear = (cut(noise, people, HEIGHT, WIDTH) for cut in cropping.CROP.values())
    np.testing.assert_array_equal(averaged[:3], bilinear[:3])
    assert (averaged[3] != bilinear[3]).any()


def test_an_averaged_crop_is_black_where_the_image_ends_and_only_there():
    """The image ends inside of blocks: 400 is no multiple of 7."""
    people = np.array([[0.0, 0, 7.5 * 23, 7.5 * 31], [399, 399, 7.5 * 23, 7.5 * 31], [300, 200, 7.5 * 23, 7.5 * 31]])
    first, last, inside = cropping.crop_averaged(np.full((400, 400, 3), 200, np.uint8), people, 32, 24)
    assert (first[17:, 13:] == last[:15, :11]).all()
    assert (first[17:, 13:] == 200).all()
    assert not np.concatenate(
        [first[:15].ravel(), first[:, :11].ravel(), last[18:].ravel(), last[:, 14:].ravel()]
    ).any()
    assert (inside == 200).all()


@pytest.mark.parametrize("cut", cropping.CROP.values())
def test_crop_of_the_same_size_is_a_copy(cut):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    people = np.array([[(WIDTH - 1) / 2, (HEIGHT - 1) / 2, WIDTH - 1, HEIGHT - 1]])
    np.testing.assert_array_equal(cut(noise, people, HEIGHT, WIDTH)[0], noise)


def test_outside_the_image_is_black():
    people = np.array([[0, 0, 191, 255.0]])
    (one,) = cropping.crop(np.full((400, 400, 3), 200, np.uint8), people, HEIGHT, WIDTH)
    assert not one[:127].any()
    assert not one[:, :95].any()
    assert (one[129:, 97:] == 200).all()


@pytest.mark.parametrize("cut", cropping.CROP.values())
def test_farthest_box_shows_the_image_as_one_speck(cut):
    people = cropping.regions(np.array([[-1e5, -1e5, 1e5, 1e5]]), ASPECT, 1.25)
    (one,) = cut(np.full((400, 400, 3), 255, np.uint8), people, HEIGHT, WIDTH)
    assert np.count_nonzero(one[..., 0]) <= 4


@pytest.mark.parametrize("cut", cropping.CROP.values())
def test_every_person_gets_a_row_and_nobody_a_black_one(cut):
    grey = np.full((300, 300, 3), 7, np.uint8)
    crops = cut(grey, np.array([[150, 150, 75, 100.0], [0, 0, 0, 0], [150, 150, 75, 100]]), HEIGHT, WIDTH)
    assert crops.shape == (3, HEIGHT, WIDTH, 3)
    assert crops.flags.c_contiguous
    assert (crops[[0, 2]] == 7).all()
    assert not crops[1].any()
