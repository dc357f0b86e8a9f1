"""paste_masks: the inverse of the crop, between the pixels too, and whose pixel it is where crops overlap."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from demo.scene import render_scene
from poseserve.families.outputs import RankedClasses
from poseserve.in_process import step_module

paste = step_module("paste_masks", "paste").paste
encode = step_module("paste_masks", "png").encode
region = step_module("resize_image", "resize").region


def parts(mask: np.ndarray) -> np.ndarray:
    """Class ids [..., H, W] as parts of which the network is sure."""
    return np.stack([mask, np.zeros_like(mask), np.full_like(mask, 255)], -1)


def full(value: int, height: int = 64, width: int = 48) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


def pasted(mask: np.ndarray, regions: list, height: int, width: int) -> np.ndarray:
    return paste(parts(mask), np.array(regions, np.float32), height, width)[0]


def test_a_region_that_is_the_image_gives_the_mask_itself():
    mask = np.random.default_rng(0).integers(0, 28, (64, 48), dtype=np.uint8)
    region = [47 / 2, 63 / 2, 47, 63]  # its border pixels are those of the crop
    np.testing.assert_array_equal(pasted(mask[None], [region], 64, 48), mask)


def test_between_equally_good_classes_the_nearest_pixel_decides_up_to_the_last_row_and_column():
    ranked = parts(np.random.default_rng(4).integers(0, 28, (64, 48), dtype=np.uint8))
    ranked[..., 2] = 0  # every margin
    image, _ = paste(ranked[None], np.array([[47 / 2, 63 / 2, 47, 63]]), 64, 48)
    np.testing.assert_array_equal(image, ranked[..., 0])


def test_of_equally_near_pixels_the_upper_left_one_decides():
    ranked = parts(np.array([[1, 2], [3, 4]], np.uint8))
    ranked[..., 2] = 0
    image, _ = paste(ranked[None], np.array([[1.0, 1.0, 2.0, 2.0]]), 3, 3)
    np.testing.assert_array_equal(image, [[1, 1, 2], [1, 1, 2], [3, 3, 4]])


@pytest.mark.parametrize("region", [[100.0, 80.0, 90.0, 120.0], [3.5, 200.25, 47.1, 62.8], [10.0, 10.0, 300.0, 400.0]])
def test_every_pixel_gets_the_class_that_weighs_most_at_its_place_in_the_crop(region):
    """Against the crop's own formula: x_crop = (W - 1) / w * (x - cx + w / 2)."""
    mask = np.random.default_rng(1).integers(1, 28, (64, 48), dtype=np.uint8)
    image = pasted(mask[None], [region], 240, 200)
    cx, cy, w, h = region
    for y, x in np.random.default_rng(2).integers(0, (240, 200), (300, 2)):
        column, row = 47 / w * (x - cx + w / 2), 63 / h * (y - cy + h / 2)
        if not (-0.5 < column < 47.5 and -0.5 < row < 63.5):
            assert image[y, x] == 0
            continue
        weights = np.zeros(28)
        column, row = np.clip(column, 0, 47), np.clip(row, 0, 63)
        for i in {int(row), min(63, int(row) + 1)}:
            for j in {int(column), min(47, int(column) + 1)}:
                weights[mask[i, j]] += (1 - abs(row - i)) * (1 - abs(column - j))
        assert weights[image[y, x]] == pytest.approx(weights.max(), abs=1e-4)


@pytest.mark.parametrize(("seed", "size"), [(0, (720, 1280)), (9, (1201, 799)), (3, (333, 501))])
def test_the_mask_is_that_of_logits_interpolated_to_the_size_of_the_image(seed, size):
    """On at least 99.9 % of the pixels, for a network of half its input's resolution that sees the whole image."""
    truth = F.one_hot(torch.from_numpy(render_scene(seed, size).parts).long(), 28).permute(2, 0, 1)[None].float()
    share = F.avg_pool2d(F.interpolate(truth, size=(512, 384), mode="area"), 3, 1, 1, count_include_pad=False)
    assert agreement((share + 1e-4).log(), size) > 0.999


@pytest.mark.parametrize(("cell", "least"), [(64, 0.9965), (16, 0.995), (4, 0.97)])
def test_the_smaller_the_regions_of_a_class_the_more_pixels_differ_from_interpolated_logits(cell, least):
    """Random logits of 28 classes, one for each `cell` x `cell` of 512 x 384 values, smooth in between."""
    coarse = 4 * torch.randn(1, 28, 512 // cell, 384 // cell, generator=torch.Generator().manual_seed(0))
    logits = F.interpolate(coarse, size=(512, 384), mode="bicubic")
    assert least < agreement(logits, (720, 1280)) < 0.999


def agreement(logits: torch.Tensor, size: tuple[int, int]) -> float:
    """Share of pixels at which the pasted mask is that of logits interpolated to the size of the image."""
    expected = F.interpolate(logits, size=size, mode="bilinear").argmax(1)[0].numpy()
    whole = region(np.zeros((*size, 3), np.uint8), 1024, 768)
    found, _ = paste(RankedClasses()(logits, 1024, 768).numpy(), whole[None], *size)
    return float((found == expected).mean())


def test_overlapping_crops_meet_half_way():
    masks = np.stack([full(1), full(2)])
    regions = [[30.0, 50.0, 40.0, 60.0], [50.0, 50.0, 40.0, 60.0]]
    image, instance_ids = paste(parts(masks), np.array(regions), 100, 100)
    assert (image[50, 11:40] == 1).all()
    assert (image[50, 41:70] == 2).all()
    np.testing.assert_array_equal(instance_ids, image)


def test_background_belongs_to_nobody():
    mask = full(0)
    mask[:, 20:] = 9
    image, instance_ids = paste(
        parts(np.stack([full(0), mask])), np.array([[20.0, 30, 40, 60], [60, 30, 40, 60]]), 64, 100
    )
    assert set(np.unique(instance_ids)) == {0, 2}
    np.testing.assert_array_equal(instance_ids > 0, image == 9)


def test_a_small_crop_inside_a_large_one_is_seen():
    masks = np.stack([full(1), full(2)])
    regions = np.array([[50.0, 50.0, 90.0, 90.0], [20.0, 20.0, 12.0, 16.0]])
    for order in ([0, 1], [1, 0]):
        image = pasted(masks[order], regions[order], 100, 100)
        assert image[20, 20] == 2
        assert image[50, 50] == 1


@pytest.mark.parametrize("region", [[0.0, 0.0, 0.0, 0.0], [5.0, 5.0, 0.0, 9.0], [5.0, 5.0, np.nan, 9.0]])
def test_nobody_leaves_the_image_empty(region):
    image, instance_ids = paste(parts(full(7)[None]), np.array([region], np.float32), 20, 30)
    assert not image.any()
    assert not instance_ids.any()


def test_a_region_outside_the_image_is_cut():
    image = pasted(full(3)[None], [[-5.0, 10.0, 30.0, 40.0]], 20, 30)
    assert (image[:, :11] == 3).all()
    assert not image[:, 11:].any()
    assert not pasted(full(3)[None], [[-100.0, 10.0, 30.0, 40.0]], 20, 30).any()


def test_the_whole_image_is_covered_to_its_edges():
    whole = region(np.zeros((531, 977, 3), np.uint8), 64, 48)
    assert (pasted(full(3)[None], [whole], 531, 977) == 3).all()


def test_a_png_holds_the_mask():
    mask = np.random.default_rng(0).integers(0, 28, (37, 53), dtype=np.uint8)
    decoded = cv2.imdecode(np.frombuffer(encode(mask), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, mask)
