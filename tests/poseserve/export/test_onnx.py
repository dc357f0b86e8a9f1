"""Exported ONNX files: every family and every answer as in the eager contract, for any number of rows."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from poseserve.errors import ExportError
from poseserve.export.onnx import export_onnx
from poseserve.families import posehrnet, rtmdet, sapiens, sapiens2, vitpose
from poseserve.families.flip import FlipTest, SimdrFlipTest
from poseserve.families.outputs import (
    Depth,
    Features,
    Matting,
    Normals,
    Pointmap,
    RankedClasses,
    SimdrBins,
    StrideHeatmaps,
    UdpHeatmaps,
)
from poseserve.networks.contracts import DetectorContract, ImageContract, Normalise, PoseContract
from tests import golden

HEIGHT, WIDTH = 128, 64
GRID = (HEIGHT // 16, WIDTH // 16)
ENCODER = (96, 2, 4)  # width, blocks, attention heads
WIDTHS = (8, 8, 16, 16)  # of the four resolutions of an HRNet
FLIP = [0, 2, 1]


def filled(network: nn.Module) -> nn.Module:
    """With weights as in the golden data."""
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("periods")}
    network.load_state_dict({k: golden.fill(k, list(v.shape)) for k, v in state.items()}, strict=False)
    return network.eval()


def sapiens2_with_head(task: str, outputs: int) -> nn.Module:
    encoder = sapiens2.Encoder(*ENCODER, (HEIGHT, WIDTH), torch.float32)
    ups, convs, scale = (16, 8, 8, 8), (8,), ((8,), (8,))
    return sapiens2.named(
        backbone=encoder, decode_head=sapiens2.head(task, 96, encoder.grid, ups, convs, outputs, scale)
    )


class Cells(nn.Module):
    """Raw predictions as many as an RTMDet's: of every cell of 8 pixels, then of the first of them once more."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.conv(x).flatten(2).transpose(1, 2)
        return torch.cat([fine * 3, fine[:, :40] * 2], 1)


class Bins(nn.Module):
    """Logits of x and y from two convolutions that see the whole image, coarsely."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.y = (nn.Conv2d(3, 6 * bins, (HEIGHT // 8, WIDTH // 8)) for bins in (WIDTH, HEIGHT))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x[:, :, ::8, ::8]
        return self.x(x).view(-1, 3, 2 * WIDTH), self.y(x).view(-1, 3, 2 * HEIGHT)


def pose(network: nn.Module, decode: nn.Module) -> PoseContract:
    return PoseContract(filled(network), decode, 3, chunk=3)


def image(network: nn.Module, answer: nn.Module, chunk: int = 1) -> ImageContract:
    return ImageContract(filled(network), answer, chunk=chunk)


def patches(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, outputs, 4, 4))


CONTRACTS = {
    "sapiens pose": lambda: pose(sapiens.network("pose", ENCODER, GRID, (16, 16), (8,), 3), UdpHeatmaps()),
    "vitpose, flip test": lambda: pose(FlipTest(vitpose.network(*ENCODER, 3), FLIP), UdpHeatmaps(mirror=True)),
    "posehrnet": lambda: pose(posehrnet.PoseHRNet(WIDTHS, 3), StrideHeatmaps()),
    "quarters, flip test": lambda: pose(FlipTest(patches(3), FLIP, lag=1), StrideHeatmaps()),
    "simdr, flip test": lambda: pose(SimdrFlipTest(Bins(), FLIP), SimdrBins()),
    "sapiens2 pose": lambda: pose(sapiens2_with_head("pose", 3), UdpHeatmaps()),
    "detector": lambda: DetectorContract(filled(Cells()), rtmdet.Decode((HEIGHT, WIDTH)), chunk=2),
    "parts": lambda: image(sapiens.network("parts", ENCODER, GRID, (16, 8), (8,), 5), RankedClasses(), chunk=2),
    "depth": lambda: image(patches(1), Depth()),
    "normals": lambda: image(sapiens2_with_head("normals", 3), Normals()),
    "features": lambda: image(sapiens2.Encoder(*ENCODER, (HEIGHT, WIDTH), torch.float32), Features()),
    "sapiens features": lambda: image(sapiens.Encoder(*ENCODER, GRID, class_token=True), Features()),
    "features in 4K": lambda: image(
        sapiens2.Encoder(*ENCODER, (HEIGHT, WIDTH), torch.float32, tokenizer=1), Features()
    ),
    "pointmap": lambda: image(sapiens2_with_head("pointmap", 3), Pointmap()),
    "matting": lambda: image(sapiens2_with_head("matting", 4), Matting()),
}


def inputs(contract: nn.Module, rows: int, height: int = HEIGHT, width: int = WIDTH) -> tuple[Tensor, ...]:
    """Images, and regions of which the second is nobody's."""
    images = torch.from_numpy(golden.image(rows, height, width))
    if not isinstance(contract, PoseContract):
        return (images,)
    regions = torch.tensor([[50.0, 60.0, 96.0, 128.0]]) + 7 * torch.arange(float(rows))[:, None]
    regions[1:2, 3] = 0
    return images, regions


def session(path: Path, profile: bool = False) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = profile
    options.profile_file_prefix = str(path.with_name("profile"))
    return onnxruntime.InferenceSession(str(path), options)


def answer(served: onnxruntime.InferenceSession, tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.from_numpy(served.run(["OUTPUT__0"], {f"INPUT__{n}": x.numpy() for n, x in enumerate(tensors)})[0])


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_file_answers_as_the_contract_does_for_any_number_of_rows(name, tmp_path):
    contract = CONTRACTS[name]().eval()
    size = (256, 192) if name.startswith("vitpose") else (HEIGHT, WIDTH)
    export_onnx(contract, tuple(x[:1] for x in inputs(contract, 1, *size)), tmp_path / "1" / "model.onnx")
    served = session(tmp_path / "1" / "model.onnx")
    for rows in (1, 2, 7):
        tensors = inputs(contract, rows, *size)
        with torch.inference_mode():
            expected = contract(*tensors)
        found = answer(served, tensors)
        assert found.dtype == expected.dtype
        assert expected.count_nonzero() > 0
        agreeing = found.float().isclose(expected.float(), rtol=1e-3, atol=1e-2)
        assert agreeing.float().mean() > 0.999, "all but what a rounding decides"
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["model.onnx"]


def test_names_and_shapes_are_those_of_the_contract(tmp_path):
    contract = CONTRACTS["quarters, flip test"]()
    export_onnx(contract, inputs(contract, 1), tmp_path / "model.onnx")
    served = session(tmp_path / "model.onnx")
    assert [(x.name, x.type, x.shape) for x in (*served.get_inputs(), *served.get_outputs())] == [
        ("INPUT__0", "tensor(uint8)", ["batch", HEIGHT, WIDTH, 3]),
        ("INPUT__1", "tensor(float)", ["batch", 4]),
        ("OUTPUT__0", "tensor(float)", ["batch", 3, 3]),
    ]


@pytest.mark.parametrize(("people", "passes"), [(0, 0), (1, 1), (3, 1), (7, 3)])
def test_the_network_sees_chunks_of_somebody_only(people, passes, tmp_path):
    contract = pose(patches(3), StrideHeatmaps())
    export_onnx(contract, inputs(contract, 1), tmp_path / "model.onnx")
    served = session(tmp_path / "model.onnx", profile=True)
    images = inputs(contract, 9)[0]
    regions = torch.tensor([[50.0, 60.0, 96.0, 128.0]]).repeat(9, 1)
    regions[people:, 2:] = torch.tensor([[0.0, 0.0], [0.0, 9.0], [-1.0, 9.0], [float("nan"), 9.0]]).repeat(3, 1)[
        people:9
    ]
    found = answer(served, (images, regions))
    assert found[people:].eq(0).all()
    assert found[:people, :, 2].gt(0).any(1).all()
    events = json.loads(Path(served.end_profiling()).read_text())
    assert sum(event["args"].get("op_name") == "Conv" for event in events if event["cat"] == "Node") == passes


def test_half_precision_stays_close(tmp_path):
    contract = CONTRACTS["sapiens pose"]()
    contract.network.half()
    contract.normalise = Normalise(dtype=torch.float16)
    export_onnx(contract, inputs(contract, 1), tmp_path / "model.onnx")
    tensors = inputs(contract, 3)
    with torch.inference_mode():
        expected = contract(*tensors)
    torch.testing.assert_close(answer(session(tmp_path / "model.onnx"), tensors), expected, rtol=0.03, atol=0.5)


def test_weights_of_a_large_network_lie_beside_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("poseserve.export.onnx.MAX_BYTES", 100)
    contract = CONTRACTS["sapiens pose"]()
    export_onnx(contract, inputs(contract, 1), tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    tensors = inputs(contract, 2)
    with torch.inference_mode():
        torch.testing.assert_close(
            answer(session(tmp_path / "model.onnx"), tensors), contract(*tensors), atol=1e-2, rtol=0
        )


class Moody(nn.Module):
    """Two branches, of which a trace knows one."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x if self.calls == 1 else -x


class InBfloat16(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x.bfloat16() @ x.bfloat16().transpose(2, 3)).float()


class Special(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Moody(), "differs from the eager one: 0% of its numbers agree within 0.001, must be 90%"),
        (InBfloat16(), "ONNX Runtime cannot run the exported network: .*MatMul"),
        (Special(), "cannot be written as ONNX: .*bessel_j0"),
        (patches(3).bfloat16(), "network.0.bias is bfloat16, .* use fp16 or fp32"),
    ],
)
def test_what_would_not_serve_is_refused(network, message, tmp_path):
    contract = ImageContract(network, Depth())
    with pytest.raises(ExportError, match=f"(?s){message}"):
        export_onnx(contract, inputs(contract, 1), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
