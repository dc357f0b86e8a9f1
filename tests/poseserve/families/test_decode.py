"""Decoding against reference outputs, on maps that hold nothing, and all the way to a known point of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poseserve.families.decode import decode_quarter, decode_simdr, decode_udp, to_image

GOLDEN = Path(__file__).parents[2] / "data" / "decode.golden.npz"  # made by the families' official post-processing
NOISE = torch.randn(4, 50, 64, 48, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def heatmaps(golden):
    """17 maps, the last one negative everywhere."""
    assert golden["heatmaps"][16].max() < 0
    return torch.from_numpy(golden["heatmaps"])[None]


@pytest.fixture(params=["eager", "script"])
def functions(request):
    """The decoders by name, as they are and as TorchScript."""
    every = (decode_udp, decode_quarter, decode_simdr)
    return {f.__name__: f if request.param == "eager" else torch.jit.script(f) for f in every}


@pytest.fixture(params=["udp", "udp mirror", "quarter"])
def decode(request, functions):
    """Every decoder of heatmaps."""
    if request.param == "udp mirror":
        return lambda maps: functions["decode_udp"](maps, mirror=True)
    return functions[f"decode_{request.param}"]


def test_sapiens_keypoints_equal_the_reference(golden, heatmaps, functions):
    peaks = functions["decode_udp"](heatmaps)[0, :16].numpy()
    found = peaks[:, :2] / [47, 63] * [192, 256]
    np.testing.assert_allclose(found, golden["sapiens/keypoints_input"][:16], atol=1e-4)
    np.testing.assert_array_equal(peaks[:, 2], golden["sapiens/scores"][:16])


def test_vitpose_keypoints_equal_the_reference(golden, heatmaps, functions):
    peaks = functions["decode_udp"](heatmaps, mirror=True)[0, :16].numpy()
    size = golden["vitpose/crop_wh"]
    found = peaks[:, :2] * size / [47, 63] + size // 2 - size / 2
    np.testing.assert_allclose(found, golden["vitpose/keypoints_crop_xy"][:16], atol=1e-4)
    np.testing.assert_array_equal(peaks[:, 2], golden["vitpose/scores"][:16])


def test_posehrnet_keypoints_equal_the_reference(golden, heatmaps, functions):
    peaks = functions["decode_quarter"](heatmaps)[0, :16].numpy()
    np.testing.assert_array_equal(peaks[:, :2], golden["posehrnet/keypoints_heatmap"][:16])
    np.testing.assert_array_equal(peaks[:, 2], golden["sapiens/scores"][:16])


def test_simdr_positions_lie_in_the_bin_of_the_reference(golden, functions):
    logits = (torch.from_numpy(golden[f"simdr/pred_{axis}"])[None] for axis in "xy")
    found = functions["decode_simdr"](*logits)[0].numpy()
    np.testing.assert_allclose(found[:, :2], golden["simdr/keypoints_crop"], atol=0.25)  # half a bin


def test_image_coordinates_equal_the_reference(golden, heatmaps):
    region = np.concatenate([golden["sapiens/bbox_center"], golden["sapiens/bbox_scale"]])
    found = to_image(decode_udp(heatmaps), torch.from_numpy(region)[None].float(), 64, 48)[0, :16, :2].numpy()
    np.testing.assert_allclose(found, golden["sapiens/keypoints_image"][:16], atol=1e-4)


def test_a_dead_map_scores_nothing_at_its_arg_max(decode):
    maps = torch.stack([torch.zeros(64, 48), torch.full((64, 48), -1.0)])[None]
    maps[0, 1, 30, 20] = -0.5
    assert decode(maps).tolist() == [[[0, 0, 0], [20, 30, 0]]]


@pytest.mark.parametrize("value", [1e-30, 1.0, 3e38, -3e38])
def test_constant_and_extreme_maps_stay_on_the_map(decode, value):
    checks = torch.full((64, 48), value)
    checks[::2, ::2] *= -1
    peaks = decode(torch.stack([torch.full((64, 48), value), checks])[None])
    assert peaks.isfinite().all()
    assert peaks[..., :2].ge(-2).all()
    assert peaks[..., 0].le(49).all()


def test_noise_moves_no_peak_far(decode):
    peaks = decode(NOISE)
    index = NOISE.flatten(2).argmax(2)
    offset = peaks[..., :2] - torch.stack([index % 48, index // 48], 2)
    assert peaks.isfinite().all()
    assert offset.abs().max() <= 2


@pytest.mark.parametrize("value", [0.0, -5.0, 3e38])
def test_constant_logits_score_next_to_nothing(functions, value):
    x, y, score = functions["decode_simdr"](torch.full((1, 1, 384), value), torch.full((1, 1, 512), value))[0, 0]
    assert (x, y) == (0, 0)
    assert 0 <= score < 0.01


def test_extreme_logits_stay_finite(functions):
    logits = torch.full((1, 2, 384), -3e38)
    logits[0, 0, 100], logits[0, 1, -1] = 3e38, 3e38
    peaks = functions["decode_simdr"](logits, logits)
    assert peaks[0, :, 0].tolist() == [50, 191.5]
    torch.testing.assert_close(peaks[0, :, 2], torch.ones(2))


def test_the_simdr_score_falls_with_doubt_and_not_with_the_width_of_bins():
    def score(doubt: float, split: int) -> float:
        logits = -0.5 * ((torch.arange(split * 192) / split - 96.3) / doubt) ** 2
        return decode_simdr(logits[None, None], logits[None, None], split)[0, 0, 2].item()

    for doubt in (2.0, 8.0, 16.0):  # pixels of the input
        heatmap = 8**2 / (8**2 + doubt**2)  # maximum of a Gaussian of 8 pixels blurred by the doubt
        assert score(doubt, 2) == pytest.approx(heatmap, abs=0.01)
        assert score(doubt, 1) == pytest.approx(heatmap, abs=0.01)


REGION = torch.tensor([[410.0, 333.0, 187.5, 250.0]])
INPUT = torch.tensor([192.0, 256.0])


def crop_pixel(point: Tensor) -> Tensor:
    """Image pixel to pixel of the 192 x 256 crop, by the formula of docs/contracts.md."""
    return (INPUT - 1) / REGION[0, 2:] * (point - REGION[0, :2] + REGION[0, 2:] / 2)


def gaussian(length: int, centre: Tensor, sigma: float) -> Tensor:
    return (-0.5 * ((torch.arange(length) - centre) / sigma) ** 2).exp()


def heatmap(peak: Tensor) -> Tensor:
    return (gaussian(64, peak[1], 2)[:, None] * gaussian(48, peak[0], 2))[None, None]


def error(found: Tensor, point: Tensor) -> float:
    return (found[0, 0, :2] - point).abs().max().item()


POINTS = torch.tensor([[410.0, 333.0], [371.7, 280.2], [470.9, 421.4], [350.4, 247.0]])


@pytest.mark.parametrize("point", POINTS)
def test_udp_heatmaps_lead_back_to_the_point(functions, point):
    maps = heatmap(crop_pixel(point) / (INPUT - 1) * torch.tensor([47.0, 63.0]))
    assert error(to_image(functions["decode_udp"](maps), REGION, 64, 48), point) < 0.05


@pytest.mark.parametrize("point", POINTS)
def test_heatmaps_from_before_udp_lead_back_to_the_point(functions, point):
    maps = heatmap(crop_pixel(point) / 4)
    assert error(to_image(functions["decode_udp"](maps), REGION, 64, 48, stride=4), point) < 0.05


def test_a_quarter_of_a_pixel_leads_back_to_the_point(functions):
    peak = torch.tensor([20.25, 44.75])  # of the heatmap
    point = peak * 4 / (INPUT - 1) * REGION[0, 2:] + REGION[0, :2] - REGION[0, 2:] / 2
    assert error(to_image(functions["decode_quarter"](heatmap(peak)), REGION, 64, 48, stride=4), point) < 0.05


@pytest.mark.parametrize("point", POINTS)
def test_simdr_logits_lead_back_to_the_point(functions, point):
    pixel = crop_pixel(point)
    x, y = (gaussian(2 * n, 2 * p, 4).clamp(min=1e-6).log()[None, None] for n, p in ((192, pixel[0]), (256, pixel[1])))
    assert error(to_image(functions["decode_simdr"](x, y), REGION, 256, 192), point) < 0.05
