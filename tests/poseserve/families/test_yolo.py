"""Exports of the YOLO family: both layouts, and what is refused. The stand-in answers as they do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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
    """Rows of x1, y1, x2, y2, score, class, the best first, as exports with suppression inside answer."""

    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor([[4, 4, 9, 9, 0.9, 1], *[[2, 2, 7, 7, 0.5, 0]] * 29]))

    def forward(self, x: Tensor) -> Tensor:
        return self.rows.expand(x.shape[0], 30, 6)


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
    assert yolo.Decode("v8", (1,), INPUT)(raw)[0, 0, 4] == pytest.approx(0.7)


@pytest.mark.parametrize(("layout", "objectness"), [("v5", [0.5]), ("v8", [])])
def test_the_best_of_several_classes_scores_a_box(layout, objectness):
    raw = torch.zeros(1, 64, 8 + len(objectness))
    box = [30.0, 30, 20, 20, *objectness]
    raw[0, 7] = torch.tensor([*box, 0.9, 0.2, 0.8, 0.6])
    raw[0, 9] = torch.tensor([*box, 0.9, 0.0, 0.0, 0.0])  # of no class that is wanted
    decode = yolo.Decode(layout, (1, 3, 2), INPUT)
    scores = decode(raw if objectness else raw.transpose(1, 2))[0, :, 4]
    assert scores[:2].tolist() == pytest.approx([0.4 if objectness else 0.8, 0.0])


class Coarse(nn.Module):
    """Two predictions of one class."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, :2, :6]


class Logits(nn.Module):
    """Scores before the sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, :30, :6] * 8


@pytest.mark.parametrize(
    ("layout", "network", "words"),
    [
        ("v8", V5(), "8 boxes of 64 values"),
        ("v5", V8(), "7 boxes of 64 values"),
        ("v5", Logits(), "scores outside 0..1"),
        ("v5", Suppressed(), "numbers of classes where their scores should be"),
        ("v5", Coarse(), "2 boxes of 6 values"),
        ("v8", nn.Flatten(), "2 dimensions"),
        ("v8", nn.Flatten(2), "4096 boxes of 3 values"),
    ],
)
def test_another_layout_is_refused(exported, layout, network, words):
    form = rf"with {words}, layout {layout} is .* try another of v5, v8, or export without suppression"
    with pytest.raises(ValueError, match=form):
        yolo.load(exported(network), layout, INPUT)


@pytest.mark.parametrize(("size", "boxes"), [((416, 416), 2535), ((300, 300), 1917), ((96, 160), 60)])
def test_detectors_with_few_boxes_are_no_suppressed_ones(tmp_path, size, boxes):
    """Two grids, of 16 and 32 pixels with three boxes a cell; an SSD's; one box for each cell of 16 pixels."""
    file = tmp_path / "few.torchscript"
    torch.jit.trace(lambda x: x.flatten()[: boxes * 6].view(1, boxes, 6), torch.rand(1, 3, *size)).save(str(file))
    assert yolo.load(file, "v5", size)(torch.zeros(1, 3, *size)).shape == (1, boxes, 6)


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


class OneConvolution(nn.Module):
    """Layout v8, one class, one box in every cell of 8 pixels; `count` makes 0..7 from the images."""

    def __init__(self, count: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.count = nn.Conv2d(3, 3, 8, 8), count

    def forward(self, x: Tensor) -> Tensor:
        sides, scores = self.conv(x).sigmoid().split([2, 1], 1)
        columns = (self.count(x) * 8 + 4).expand(x.shape[0], 1, 8, 8)
        return torch.cat([columns, columns.transpose(2, 3), sides * 30, scores], 1).flatten(2)


def from_arange(x: Tensor) -> Tensor:
    return torch.arange(8, device=x.device)


def from_the_input(x: Tensor) -> Tensor:
    return x.new_ones(8).cumsum(0) - 1


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


class Keypoints(V8):
    """A detector that also tells where the corners are, in pixels."""

    def forward(self, x: Tensor) -> Tensor:
        boxes = super().forward(x)
        return torch.cat([boxes[:, :5], boxes[:, :4] * 2], 1)


def test_what_stands_behind_the_scores_is_passed_over(exported):
    loaded = contract(exported(Keypoints()), "v8")
    assert loaded(IMAGES)[:, 0, 4].numpy() == pytest.approx(0.9)
    with pytest.raises(ValueError, match="scores outside"):
        yolo.load(exported(Keypoints()), "v8", INPUT, (1,))


def test_an_export_that_was_not_frozen_is_served(exported, tmp_path):
    network = OneConvolution(from_the_input)
    eager = contract(exported(network), "v8")
    with torch.inference_mode():
        expected = eager(IMAGES)
    export(eager, (IMAGES[:1],), tmp_path / "model.pt")
    assert expected[..., 4].count_nonzero(1).min() > 8
    torch.testing.assert_close(torch.jit.load(tmp_path / "model.pt")(IMAGES), expected)


def test_an_export_that_is_bound_to_a_device_is_served_as_onnx(exported, tmp_path):
    file = exported(OneConvolution(from_arange))
    words = r"aten::arange is bound to cpu \(.*test_yolo.py.*from_arange\).* use --format onnx, whose files name none"
    with pytest.raises(ExportError, match=words):
        export(contract(file, "v8"), (IMAGES[:1],), tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()
    found = served(contract(file, "v8"), tmp_path)
    with torch.inference_mode():
        torch.testing.assert_close(found, contract(file, "v8")(IMAGES), rtol=1e-4, atol=1e-3)


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
