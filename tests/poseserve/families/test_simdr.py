"""SimDR against the official layouts and outputs."""

from __future__ import annotations

import pytest
import torch

from poseserve.families import simdr
from tests import golden


@pytest.mark.parametrize("size", ["w32", "w48"])
def test_official_weights_would_load(size):
    with torch.device("meta"):
        state = simdr.build(size, "pose", 17).state_dict()
    layout = golden.layouts()[f"simdr/simdr_{size}"]
    assert [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()] == layout


def test_outputs_equal_the_official_ones():
    name = "simdr/simdr_w32"
    network = simdr.build("w32", "pose", 17).eval()
    network.load_state_dict(golden.filled(golden.layouts()[name], golden.META[name]["gain"]))
    with torch.inference_mode():
        x, y = network(golden.network_input(name))
    assert golden.difference(name, "pred_x", x).max() < 1e-4
    assert golden.difference(name, "pred_y", y).max() < 1e-4


def test_another_input_size_has_its_own_bins():
    with torch.device("meta"):
        x, y = simdr.build("w32", "pose", 17, (384, 288))(torch.zeros(2, 3, 384, 288))
    assert x.shape == (2, 17, 576)
    assert y.shape == (2, 17, 768)


def test_a_family_names_itself_when_it_refuses():
    with pytest.raises(ValueError, match="simdr has no size 'w18', must be one of w32, w48"):
        simdr.build("w18", "pose", 17)
