"""What is exported is what was trained."""

from __future__ import annotations

import pytest
import torch

from demo import export
from demo.networks import Geometry, Pose


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "CHECKPOINTS", tmp_path)
    return tmp_path


def test_depth_and_normals_are_the_two_halves_of_one_trained_network(checkpoints):
    torch.manual_seed(0)
    both = Geometry().eval()
    torch.save({"network": both.state_dict()}, checkpoints / "geometry.pt")
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        maps = both(image)
        torch.testing.assert_close(export.trained("depth")(image), maps[:, :1])
        torch.testing.assert_close(export.trained("normals")(image), maps[:, 1:])


def test_weights_stored_in_half_answer_alike():
    torch.manual_seed(0)
    network, image = Pose(133).eval(), torch.randn(2, 3, 64, 48)
    with torch.inference_mode():
        before = network(image)
    export.store_in_half(network)
    with torch.inference_mode():
        after = network(image)
    assert {p.dtype for p in network.parameters() if p.ndim == 4} == {torch.float16}
    assert after.dtype == torch.float32
    assert (after - before).abs().max() < 0.01 * before.abs().max()
    assert not torch.equal(after, before)
