"""Files that should keep the contract of their task: a dry run says what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from poseserve.catalogue import Network
from poseserve.deployment import Deployment
from poseserve.errors import DiskFullError, ExportError
from poseserve.export import as_is
from poseserve.networks.own import own_network
from poseserve.weights import disk
from tests.poseserve import toys

SIZE = (64, 48)
CROPS, REGIONS = torch.zeros(1, *SIZE, 3, dtype=torch.uint8), torch.tensor([[24.0, 32, 48, 64]])


def network(task: str, **about: str | int) -> Network:
    return own_network(task, "contract", task=task, input_size=SIZE, **about)[0]


POSE, DETECTOR, PARTS = (
    network("pose", keypoints="coco_17"),
    network("detector"),
    network("parts", classes="sapiens_28"),
)


class Pose(nn.Module):
    """17 keypoints in the middle of the crop, as bright as it is, of which `change` makes what differs."""

    def __init__(self, change: Callable[[Tensor], object] = lambda answer: answer) -> None:
        super().__init__()
        self.change = change

    def forward(self, crops: Tensor, regions: Tensor) -> object:
        bright = crops.float().mean((1, 2, 3)) / 255
        points = torch.stack([regions[:, 0], regions[:, 1], bright], 1).unsqueeze(1).repeat(1, 17, 1)
        return self.change(points * ((regions[:, 2] > 0) & (regions[:, 3] > 0)).float().view(-1, 1, 1))


class Blind(nn.Module):
    """The same row for every image."""

    answer: Tensor

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.register_buffer("answer", answer[None])

    def forward(self, images: Tensor) -> Tensor:
        return self.answer.repeat(images.shape[0], *[1] * (self.answer.dim() - 1))


def rows(*real: list[float]) -> Tensor:
    """A detector's, the rest of them empty."""
    return nn.functional.pad(torch.tensor(real), [0, 0, 0, 100 - len(real)])


def take(network: Network, file: Path, most: int = 100, **options: object) -> Path:
    """The file as it is installed."""
    placed = file.parent / "placed" / "1" / f"model{file.suffix}"
    as_is.take(network, file, Deployment(**options), most, placed)
    return placed


def pose_file(folder: Path, change: Callable[[Tensor], object] = lambda answer: answer) -> Path:
    return toys.torchscript(Pose(change), folder / "pose.pt", CROPS, REGIONS)


def test_the_file_is_copied_as_it_is(tmp_path):
    file = pose_file(tmp_path)
    assert take(POSE, file).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda answer: answer.double(), r"17 rows with torch\.float64 .*must be torch\.float32 \[17, 17, 3\]"),
        (lambda answer: answer[:, :16], r"torch\.float32 \[17, 16, 3\], must be torch\.float32 \[17, 17, 3\]"),
        (lambda answer: answer[:1], r"\[1, 17, 3\], must be torch\.float32 \[17, 17, 3\]"),
        (lambda answer: (answer, answer), "it answers a tuple, must be one tensor"),
        (lambda answer: answer / 0, "it answers numbers that are not finite"),
        (lambda answer: answer.view(1, 17, 3), r"it does not answer 17 rows: .*shape '\[1, 17, 3\]' is invalid"),
        (lambda answer: answer.flip(0), "row 0 of a batch of 17 as that row alone"),
        (lambda answer: answer * (answer.cumsum(0) < 24 * 16.5), "row 16 of a batch of 17 as that row alone"),
        (lambda answer: answer + 1, "a region without area with other numbers than zeros"),
    ],
)
def test_of_a_pose_network_what_differs_is_said(tmp_path, change, words):
    with pytest.raises(ValueError, match=rf"pose\.pt: .*{words}"):
        take(POSE, pose_file(tmp_path, change))


def test_no_more_rows_are_tried_than_triton_will_send(tmp_path):
    assert take(POSE, pose_file(tmp_path, lambda answer: answer.view(1, 17, 3)), most=1).is_file()


def test_a_network_that_takes_other_inputs_is_refused(tmp_path):
    file = toys.torchscript(Blind(torch.zeros(17, 3)), tmp_path / "blind.pt", CROPS)
    words = r"forward\(\) takes Tensor, must take INPUT__0 UINT8 \[64, 48, 3\], INPUT__1 FP32 \[4\]"
    with pytest.raises(ValueError, match=words):
        take(POSE, file)


def test_a_graph_that_is_bound_to_a_device_is_refused(tmp_path):
    file = pose_file(tmp_path, lambda answer: answer + torch.arange(3, device=answer.device))
    with pytest.raises(ExportError, match=r"aten::arange is bound to cpu"):
        take(POSE, file)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (rows([1.0, 2, 3, 4, 1.5]), r"scores from 0 to 1\.5, must be 0 to 1"),
        (rows([1.0, 2, 3, 4, 0.5], [1.0, 2, 3, 4, 0.6]), "not in order of their scores"),
        (rows([9.0, 2, 3, 4, 0.5]), r"the box \[9\.0, 2\.0, 3\.0, 4\.0\], must be x1, y1, x2, y2 with an area"),
        (torch.zeros(50, 5), r"\[8, 50, 5\], must be torch\.float32 \[8, 100, 5\]"),
    ],
)
def test_of_a_detector_what_differs_is_said(tmp_path, answer, words):
    file = toys.torchscript(Blind(answer), tmp_path / "blind.pt", CROPS)
    with pytest.raises(ValueError, match=words):
        take(DETECTOR, file, most=8)


def test_rows_of_a_detector_may_be_empty(tmp_path):
    for answer in (rows([1.0, 2, 3, 4, 0.5], [1.0, 2, 3, 4, 0.5]), torch.zeros(100, 5)):
        assert take(DETECTOR, toys.torchscript(Blind(answer), tmp_path / "blind.pt", CROPS)).is_file()


@pytest.mark.parametrize(
    ("served", "dtype", "shape"),
    [
        (PARTS, torch.uint8, (*SIZE, 3)),
        (network("depth"), torch.float16, SIZE),
        (network("normals"), torch.float16, (*SIZE, 3)),
        (network("features", channels=5), torch.float16, (5, 4, 3)),
        (network("pointmap"), torch.float32, (*SIZE, 3)),
        (network("matting"), torch.uint8, (*SIZE, 4)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_maps_have_the_type_and_the_shape_of_their_task(tmp_path, served, dtype, shape):
    assert take(served, toys.torchscript(Blind(torch.ones(shape, dtype=dtype)), tmp_path / "right.pt", CROPS)).is_file()
    for wrong in (torch.ones(shape, dtype=torch.float64), torch.ones((*shape[:-1], 7), dtype=dtype)):
        file = toys.torchscript(Blind(wrong), tmp_path / "wrong.pt", CROPS)
        with pytest.raises(ValueError, match=r"wrong\.pt: .* must be "):
            take(served, file, most=2)


def test_a_class_that_the_set_does_not_have_is_refused(tmp_path):
    answer = torch.zeros(*SIZE, 3, dtype=torch.uint8)
    answer[5, 5] = torch.tensor([3, 28, 200])
    with pytest.raises(ValueError, match="it answers class 28, must be 0 to 27"):
        take(PARTS, toys.torchscript(Blind(answer), tmp_path / "parts.pt", CROPS), most=2)


NAMES = ["INPUT__0", "INPUT__1", "OUTPUT__0"]


def pose_onnx(folder: Path, names: list[str] | None = None) -> Path:
    return toys.onnx_file(Pose(), folder / "pose.onnx", names or NAMES, [17, 3], CROPS, REGIONS)


@pytest.mark.parametrize("options", [{"format": "onnx"}, {"format": "openvino", "precision": "bf16"}])
def test_an_onnx_file_is_copied_as_it_is(tmp_path, options):
    file = pose_onnx(tmp_path)
    assert take(POSE, file, **options).read_bytes() == file.read_bytes()


def test_an_onnx_file_may_take_images_of_any_size(tmp_path):
    file = pose_onnx(tmp_path)
    model = onnx.load(file)
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        dimension.dim_param = "any"
    onnx.save(model, file)
    assert take(POSE, file, format="onnx").is_file()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["images", *NAMES[1:]], r"it takes images UINT8 .* must be INPUT__0 UINT8 \[-1, 64, 48, 3\], INPUT__1"),
        ([*NAMES[:2], "points"], r"it answers points .* must be OUTPUT__0 FP32 \[-1, 17, 3\]"),
    ],
)
def test_of_an_onnx_file_names_that_differ_are_said(tmp_path, names, words):
    with pytest.raises(ValueError, match=words):
        take(POSE, pose_onnx(tmp_path, names), format="onnx")


def test_an_onnx_file_says_what_it_answers(tmp_path):
    """Triton refuses a network whose answer might have another shape, whatever shape it has in the end."""
    somehow = Pose(lambda answer: answer[:, answer[0, :, 0] > -1e9])
    file = toys.onnx_file(somehow, tmp_path / "pose.onnx", NAMES, [], CROPS, REGIONS)
    with pytest.raises(ValueError, match=r"FP32 \[-1, -1, 3\], must be OUTPUT__0 FP32 \[-1, 17, 3\]; -1 is any"):
        take(POSE, file, format="onnx")


def test_an_onnx_file_of_another_type_or_batch_is_refused(tmp_path):
    file = pose_onnx(tmp_path)
    model = onnx.load(file)
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, file)
    with pytest.raises(ValueError, match=r"INPUT__1 FP32 \[1, 4\], must be .* INPUT__1 FP32 \[-1, 4\]"):
        take(POSE, file, format="onnx")
    file = toys.onnx_file(Blind(torch.zeros(100, 5)), tmp_path / "float.onnx", NAMES[::2], [100, 5], CROPS.float())
    with pytest.raises(ValueError, match=r"takes INPUT__0 FP32 .* must be INPUT__0 UINT8"):
        take(DETECTOR, file, format="onnx")


def test_weights_beside_an_onnx_file_are_copied_with_it(tmp_path):
    file = toys.onnx_file(Blind(rows([1.0, 2, 3, 4, 0.5])), tmp_path / "rows.onnx", NAMES[::2], [100, 5], CROPS)
    model = onnx.load(file)
    onnx.save_model(model, file, save_as_external_data=True, location="rows.weights", size_threshold=0)
    placed = take(DETECTOR, file, format="onnx")
    assert sorted(path.name for path in placed.parent.iterdir()) == ["model.onnx", "rows.weights"]
    (tmp_path / "rows.weights").unlink()
    with pytest.raises(ValueError, match=r"rows\.onnx: .*rows\.weights"):
        take(DETECTOR, file, format="onnx")


def test_weights_anywhere_else_are_refused(tmp_path):
    file = toys.onnx_file(Blind(rows([1.0, 2, 3, 4, 0.5])), tmp_path / "rows.onnx", NAMES[::2], [100, 5], CROPS)
    model = onnx.load(file)
    (tmp_path / "more").mkdir()
    onnx.save_model(model, file, save_as_external_data=True, location="more/rows.weights", size_threshold=0)
    with pytest.raises(ValueError, match=r"holds its weights in more/rows\.weights, must be files beside it"):
        take(DETECTOR, file, format="onnx")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "onnx"}, r"pose\.pt is TorchScript and is served as it is: give --format torchscript"),
        ({"precision": "fp16"}, "in its own precision"),
        ({"flip_test": True}, "no other flip test than its own"),
    ],
)
def test_what_would_need_another_file_is_refused(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        take(POSE, pose_file(tmp_path), **options)


def test_an_onnx_file_is_not_served_as_torchscript(tmp_path):
    with pytest.raises(ValueError, match=r"pose\.onnx is ONNX .* give --format onnx or openvino"):
        take(POSE, pose_onnx(tmp_path))


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"PK\x03\x04 no archive", {}, "torch cannot load it"),
        (b"\x08 no graph", {"format": "onnx"}, "no ONNX that can be read"),
        (None, {}, "No such file"),
    ],
)
def test_files_that_are_no_networks_are_refused(tmp_path, content, options, words):
    file = tmp_path / "network.bin"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"network\.bin: .*{words}"):
        take(POSE, file, **options)


def test_a_full_disk_is_noticed_before_the_copy(tmp_path, monkeypatch):
    file = pose_file(tmp_path)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("", (), {"free": 100}))
    with pytest.raises(DiskFullError):
        take(POSE, file)
    assert not (tmp_path / "placed").exists()
