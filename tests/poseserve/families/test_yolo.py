"""Exports of the YOLO family: both layouts, and what is refused. The stand-in answers as they do."""

from __future__ import annotations

import warnings
from dataclasses import replace

import onnx
import onnx.version_converter
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from poseserve.catalogue import CATALOGUE
from poseserve.deployment import Deployment
from poseserve.errors import ExportError
from poseserve.export.onnx import export_onnx
from poseserve.export.torchscript import export
from poseserve.families import yolo
from poseserve.networks import build
from poseserve.networks.contracts import DetectorContract, Normalise

INPUT = (64, 64)


class V5(nn.Module):
    """64 predictions of 3 classes; number 7 is a person whose box is as wide as the image is bright."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        raw = torch.zeros_like(x[:, 0, :, :8])
        raw[:, 7] = x.new_ones(8) * 0.9
        raw[:, 7, :4] = x.new_ones(4) * 30
        raw[:, 7, 2] = x.mean((1, 2, 3)) * 40
        return (raw,)


class V8(nn.Module):
    """The same without objectness, the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.v5 = V5()

    def forward(self, x: Tensor) -> Tensor:
        raw = self.v5(x)[0]
        return torch.cat([raw[..., :4], raw[..., 5:]], 2).transpose(1, 2)


class Suppressed(nn.Module):
    """Rows of x1, y1, x2, y2, score, class, as exports with suppression inside answer."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, :30, :6]


@pytest.fixture
def exported(tmp_path):
    def save(network: nn.Module):
        torch.jit.trace(network, torch.zeros(1, 3, *INPUT)).save(str(tmp_path / "yolo.torchscript"))
        return tmp_path / "yolo.torchscript"

    return save


@pytest.mark.parametrize(("layout", "network", "score"), [("v5", V5(), 0.81), ("v8", V8(), 0.9)])
def test_people_are_found_through_the_whole_contract(exported, tmp_path, layout, network, score):
    loaded = yolo.load(exported(network), layout, INPUT)
    contract = DetectorContract(loaded, yolo.Decode(layout, input_size=INPUT), Normalise((0.0,) * 3, (255.0,) * 3))
    images = torch.full((3, *INPUT, 3), 255, dtype=torch.uint8)
    images[1] //= 2
    export(contract, (images,), tmp_path / "model.pt")
    found = torch.jit.load(str(tmp_path / "model.pt"))(images)
    torch.testing.assert_close(found[0, 0], torch.tensor([10, 15, 50, 45, score]))
    torch.testing.assert_close(found[1, 0, 2] - found[1, 0, 0], torch.tensor(127 / 255 * 40))
    assert found[:, 1:].eq(0).all()


def test_another_class_may_be_the_person():
    raw = torch.zeros(1, 6, 64)
    raw[0, :, 7] = torch.tensor([30.0, 30, 20, 20, 0.1, 0.7])
    assert yolo.Decode("v8", person=1, input_size=INPUT)(raw)[0, 0, 4] == pytest.approx(0.7)


@pytest.mark.parametrize(("layout", "network"), [("v8", V5()), ("v5", V8()), ("v5", Suppressed())])
def test_another_layout_is_refused(exported, layout, network):
    with pytest.raises(ValueError, match=f"layout {layout} is .* try another of v5, v8, or export without suppression"):
        yolo.load(exported(network), layout, INPUT)


def test_a_file_that_is_no_export_is_refused(tmp_path):
    (tmp_path / "yolo.pt").write_bytes(b"weights")
    with pytest.raises(ValueError, match=r"yolo\.pt is no TorchScript or ONNX file"):
        yolo.load(tmp_path / "yolo.pt", "v8")


def test_an_unknown_layout_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'v4', must be one of v5, v8"):
        yolo.load(tmp_path / "yolo.pt", "v4")


class Crowd(nn.Module):
    """64 predictions that depend on the image and overlap each other, for the suppression."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 7, 8, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.conv(x).flatten(2).softmax(2).cumsum(2)
        return torch.cat([maps[:, :4] * 40, maps[:, 4:]], 1).transpose(1, 2), maps


class TurnedCrowd(Crowd):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[0].transpose(1, 2)


IMAGES = torch.randint(256, (5, *INPUT, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def exported_onnx(tmp_path):
    def save(network: nn.Module, batch: int | None = 1, opset: int = 17, size: tuple[int, int] = INPUT):
        axes = {"images": {0: "batch"}} if batch is None else None
        dtype = next(network.parameters(), torch.empty(0)).dtype
        path, x = tmp_path / "yolo.onnx", torch.zeros(batch or 1, 3, *size, dtype=dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter is deprecated
            torch.onnx.export(
                network, (x,), path, dynamo=False, opset_version=opset, input_names=["images"], dynamic_axes=axes
            )
        return path

    return save


def contract(path, layout: str) -> nn.Module:
    network = replace(CATALOGUE["rtmdet-m"], name="my-yolo", family="yolo", size=layout, input_size=INPUT)
    return build.load(network, path, Deployment(format="onnx"))


def served(contract: nn.Module, folder) -> Tensor:
    export_onnx(contract, (IMAGES[:1],), folder / "model.onnx")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    return torch.from_numpy(session.run(["OUTPUT__0"], {"INPUT__0": IMAGES.numpy()})[0])


@pytest.mark.parametrize("batch", [1, None])
@pytest.mark.parametrize(("layout", "network"), [("v5", Crowd()), ("v8", TurnedCrowd())])
def test_an_onnx_export_serves_any_number_of_images(exported_onnx, tmp_path, layout, network, batch):
    found = served(contract(exported_onnx(network, batch), layout), tmp_path)
    planes = IMAGES.permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        raw = network(planes) if layout == "v8" else network(planes)[0]
        torch.testing.assert_close(found, yolo.Decode(layout, input_size=INPUT)(raw), rtol=1e-4, atol=1e-3)
    assert (found[..., 4] > 0).sum(1).min() > 1


def test_a_torchscript_export_can_be_served_as_onnx(exported, tmp_path):
    found = served(contract(exported(V8()), "v8"), tmp_path)
    assert found[:, 0, 4].numpy() == pytest.approx(0.9)


def test_an_onnx_export_in_half_precision_is_served(exported_onnx, tmp_path):
    found = served(contract(exported_onnx(Crowd().half()), "v5"), tmp_path)
    assert found.dtype == torch.float32
    assert (found[..., 4] > 0).sum(1).min() > 1


@pytest.mark.parametrize(("opset", "became"), [(12, 17), (20, 20), (22, 22)])
def test_onnx_exports_of_other_opsets_are_served(exported_onnx, tmp_path, opset, became):
    path = exported_onnx(Crowd(), opset=min(opset, 20))
    onnx.save(onnx.version_converter.convert_version(onnx.load(path), opset), path)
    eager = contract(path, "v5")
    torch.testing.assert_close(served(eager, tmp_path), eager(IMAGES))
    assert [x.version for x in onnx.load(tmp_path / "model.onnx").opset_import] == [became]


def test_an_opset_that_cannot_be_converted_is_refused(exported_onnx, tmp_path):
    eager = contract(exported_onnx(V8()), "v8")
    eager.network.model.opset_import[0].version = 99
    with pytest.raises(ExportError, match=r"opset 99 cannot be made part .* again, with opset 17"):
        served(eager, tmp_path)


def test_an_onnx_export_does_not_become_torchscript(exported_onnx, tmp_path):
    with pytest.raises(ValueError, match=r"yolo\.onnx is ONNX .* --format onnx"):
        export(contract(exported_onnx(V8()), "v8"), (IMAGES[:1],), tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def test_onnx_exports_for_other_input_are_refused(exported_onnx, tmp_path):
    with pytest.raises(ValueError, match=r"takes .*\[2, 3, 64, 64\].* for one image, or any number"):
        yolo.load(exported_onnx(V8(), batch=2), "v8", INPUT)
    with pytest.raises(ValueError, match="does not answer an image of 64 x 64 pixels"):
        yolo.load(exported_onnx(V8(), size=(96, 96)), "v8", INPUT)
    (tmp_path / "yolo.onnx").write_bytes(b"\x08broken")
    with pytest.raises(ValueError, match=r"ONNX Runtime cannot load .*yolo"):
        yolo.load(tmp_path / "yolo.onnx", "v8", INPUT)
