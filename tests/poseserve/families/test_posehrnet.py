"""PoseHRNet against the official layouts and outputs."""

from __future__ import annotations

import pytest
import torch

from poseserve.families import posehrnet
from tests import golden


@pytest.mark.parametrize("size", ["w32", "w48"])
def test_official_weights_would_load(size):
    with torch.device("meta"):
        state = posehrnet.build(size, "pose", 17).state_dict()
    layout = golden.layouts()[f"posehrnet/posehrnet_{size}"]
    assert [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()] == layout


def test_outputs_equal_the_official_ones():
    name = "posehrnet/posehrnet_w32"
    network = posehrnet.build("w32", "pose", 17).eval()
    network.load_state_dict(golden.filled(golden.layouts()[name], golden.META[name]["gain"]))
    with torch.inference_mode():
        heatmaps = network(golden.network_input(name))
    assert golden.difference(name, "heatmaps", heatmaps).max() < 1e-4


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return posehrnet.PoseHRNet((4, 8, 12, 16), 5).eval()


def test_traced_once_it_takes_any_batch_and_size(tiny):
    traced = torch.jit.trace(tiny, torch.zeros(2, 3, 64, 64), check_trace=False)
    x = torch.randn(3, 3, 96, 64)
    with torch.inference_mode():
        assert traced(x).shape == (3, 5, 24, 16)
        torch.testing.assert_close(traced(x), tiny(x))


def test_half_precision_stays_close():
    torch.manual_seed(0)
    network = posehrnet.PoseHRNet((4, 8, 12, 16), 5).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = network(x)
        found = network.bfloat16()(x.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize(("size", "task", "message"), [("w64", "pose", "w32, w48"), ("w32", "seg", "must be pose")])
def test_what_does_not_exist_is_refused(size, task, message):
    with pytest.raises(ValueError, match=message):
        posehrnet.build(size, task, 17)
