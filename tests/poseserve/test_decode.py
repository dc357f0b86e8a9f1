"""Decoding against reference outputs, and on maps that hold nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseserve.decode import decode_udp, to_image

GOLDEN = Path(__file__).parents[1] / "data" / "decode.golden.npz"  # made by the official Sapiens post-processing


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN)


@pytest.fixture(params=["eager", "script"])
def decode(request):
    return decode_udp if request.param == "eager" else torch.jit.script(decode_udp)


def test_keypoints_and_scores_equal_the_reference(golden, decode):
    peaks = decode(torch.from_numpy(golden["heatmaps"])[None])[0].numpy()
    alive = golden["heatmaps"].max((1, 2)) > 0
    assert alive.sum() == 16
    found = peaks[alive, :2] / [47, 63] * [192, 256]
    np.testing.assert_allclose(found, golden["sapiens/keypoints_input"][alive], atol=1e-4)
    np.testing.assert_array_equal(peaks[alive, 2], golden["sapiens/scores"][alive])


def test_image_coordinates_equal_the_reference(golden):
    peaks = decode_udp(torch.from_numpy(golden["heatmaps"])[None])
    region = np.concatenate([golden["sapiens/bbox_center"], golden["sapiens/bbox_scale"]])
    found = to_image(peaks, torch.from_numpy(region)[None].float(), 64, 48)[0, :16, :2].numpy()
    np.testing.assert_allclose(found, golden["sapiens/keypoints_image"][:16], atol=1e-4)


@pytest.mark.parametrize("maps", [torch.zeros(1, 2, 64, 48), -torch.ones(1, 2, 64, 48)], ids=["zero", "negative"])
def test_a_dead_map_scores_nothing(decode, maps):
    assert decode(maps)[..., 2].eq(0).all()
    assert decode(maps).isfinite().all()


def test_noise_moves_no_peak_far(decode):
    maps = torch.randn(4, 50, 64, 48, generator=torch.Generator().manual_seed(0)) * 3
    peaks = decode(maps)
    index = maps.flatten(2).argmax(2)
    offset = peaks[..., :2] - torch.stack([index % 48, index // 48], 2)
    assert peaks.isfinite().all()
    assert offset.abs().max() <= 2


@pytest.mark.parametrize("x", [6.0, 20.3, 40.75])
@pytest.mark.parametrize("y", [7.5, 33.1, 56.9])
def test_a_gaussian_is_found_where_it_is(decode, x, y):
    gx = torch.exp(-0.5 * ((torch.arange(48) - x) / 2) ** 2)
    gy = torch.exp(-0.5 * ((torch.arange(64) - y) / 2) ** 2)
    peak = decode((gy[:, None] * gx)[None, None])[0, 0]
    assert abs(peak[0] - x) < 0.01
    assert abs(peak[1] - y) < 0.01
