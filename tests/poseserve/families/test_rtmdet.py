"""RTMDet against the official layout, and its decoding. Its numbers are compared with mmdet's in tests/parity."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from poseserve.export.torchscript import refuse_device_literals
from poseserve.families import rtmdet
from tests import golden


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return rtmdet.RTMDet((8, 8, 16, 24, 32), (1, 2, 1, 1), 1).eval()


def test_official_weights_would_load():
    with torch.device("meta"):
        state = rtmdet.build("m", "detector", 1).state_dict()
    found = [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()]
    assert found == golden.layouts()["rtmdet/rtmdet_m"]


def test_every_level_has_the_same_convolutions_and_its_own_norms(tiny):
    head = tiny.bbox_head
    assert head.cls_convs[0][1].conv is head.cls_convs[2][1].conv
    assert head.cls_convs[0][1].bn is not head.cls_convs[2][1].bn


def test_traced_once_it_takes_any_batch_and_size(tiny):
    traced = torch.jit.trace(tiny, torch.zeros(2, 3, 64, 64), check_trace=False)
    refuse_device_literals(traced)
    x = torch.randn(3, 3, 96, 64)
    with torch.inference_mode():
        assert traced(x).shape == (3, 12 * 8 + 6 * 4 + 3 * 2, 5)
        torch.testing.assert_close(traced(x), tiny(x))


def test_the_official_weights_see_blue_first(tiny):
    blind = copy.deepcopy(tiny)
    image = torch.randn(1, 3, 64, 64)
    without_red = image.clone()
    without_red[:, 0] = 0  # the first channel of the input is red
    with torch.no_grad():
        blind.backbone.stem[0].conv.weight[:, 2] = 0  # the third channel of the weights is red
        assert blind(image).equal(blind(without_red))
        assert not tiny(image).equal(tiny(without_red))


@pytest.fixture(params=["eager", "script"])
def decode(request):
    module = rtmdet.Decode((128, 96))
    return module if request.param == "eager" else torch.jit.script(module)


@pytest.mark.parametrize(
    ("row", "stride", "corner"), [(13, 8, (8, 8)), (12 * 16 + 7, 16, (16, 16)), (12 * 16 + 6 * 8 + 4, 32, (32, 32))]
)
def test_distances_reach_from_the_cells_corner(decode, row, stride, corner):
    raw = torch.full((2, 12 * 16 + 6 * 8 + 3 * 4, 5), -9.0)
    raw[1, row] = torch.tensor([2.0, *(math.log(d) for d in (0.25, 0.5, 1.0, 1.5))])
    found = decode(raw)
    x, y = corner
    box = [x - 0.25 * stride, y - 0.5 * stride, x + stride, y + 1.5 * stride, 1 / (1 + math.exp(-2))]
    torch.testing.assert_close(found[1, 0], torch.tensor(box))
    assert found[0].eq(0).all()
    assert found[1, 1:].eq(0).all()


def test_a_wild_prediction_stays_inside_the_image(decode):
    raw = torch.full((1, 12 * 16 + 6 * 8 + 3 * 4, 5), 500.0)
    assert decode(raw)[0, 0].tolist() == [0, 0, 96, 128, 1]


@pytest.mark.parametrize(("size", "task", "message"), [("x", "detector", "must be m"), ("m", "pose", "detector")])
def test_what_does_not_exist_is_refused(size, task, message):
    with pytest.raises(ValueError, match=message):
        rtmdet.build(size, task, 1)
