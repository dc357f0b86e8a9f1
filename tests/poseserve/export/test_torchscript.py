"""Exported files: faithful, free of devices, with batch norms folded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from poseserve.errors import ExportError
from poseserve.export.torchscript import export, refuse_device_literals
from poseserve.families.outputs import RankedClasses
from poseserve.networks.contracts import DetectorContract, ImageContract
from poseserve.networks.folding import fold_batch_norms
from poseserve.repository.installed import read_repository

IMAGES = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def parts(network: nn.Module) -> ImageContract:
    return ImageContract(network, RankedClasses())


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 28, 3, padding=1, bias=False), nn.BatchNorm2d(28), nn.ReLU())
    layers[1].running_mean.normal_()
    layers[1].running_var.uniform_(0.5, 2)
    return layers.eval()


def test_the_file_answers_as_the_network_does(network, tmp_path):
    expected = parts(network)(IMAGES)
    export(parts(network), (IMAGES,), tmp_path / "1" / "model.pt")
    loaded = torch.jit.load(str(tmp_path / "1" / "model.pt"))
    assert not loaded.training
    assert loaded(IMAGES).equal(expected)
    assert loaded(IMAGES[:1]).shape == (1, 8, 8, 3), "the batch is free"


def test_folding_changes_nothing_but_the_layers(network):
    x = torch.randn(2, 3, 8, 8)
    before = network(x)
    fold_batch_norms(network)
    torch.testing.assert_close(network(x), before)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def test_a_network_that_cannot_be_traced_faithfully_is_refused(tmp_path):
    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("ramp", torch.arange(28.0).view(1, 28, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            sign = 1.0 if x.mean() > 0 else -1.0  # tracing sees one image, and bakes that branch in
            return sign * self.ramp.expand(x.shape[0], 28, 4, 4)

    with pytest.warns(torch.jit.TracerWarning), pytest.raises(ExportError, match="differs"):
        export(parts(Moody()), (torch.stack([IMAGES[0] * 0, IMAGES[0] * 0 + 255]),), tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def test_of_a_detector_that_sees_nobody_the_network_is_compared(tmp_path):
    class Dice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.rand_like(x)

    class Blind(nn.Module):
        def forward(self, raw: Tensor) -> Tensor:
            return torch.zeros(raw.shape[0], 100, 5)

    with pytest.raises(ExportError, match="differs"):
        export(DetectorContract(Dice(), Blind()), (IMAGES,), tmp_path / "model.pt")


def test_a_graph_bound_to_a_device_is_refused():
    traced = torch.jit.trace(lambda x: x + torch.arange(3, device=x.device), torch.zeros(3))
    with pytest.raises(ExportError, match=r"aten::arange is bound to cpu \(.*test_torchscript\.py.*--format onnx"):
        refuse_device_literals(traced)


@pytest.mark.parametrize("name", ["demo_detector", "demo_pose", "demo_parts"])
def test_the_committed_networks_name_no_device_and_are_small(name):
    path = read_repository().model_file(name)
    refuse_device_literals(torch.jit.load(str(path)))
    assert path.stat().st_size < 4_000_000
