"""Checkpoints: every official container read alike, nothing in them run, and nothing foreign taken for a network."""

from __future__ import annotations

import builtins
import io
import os
import sys
import types
import zipfile

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from poseserve.errors import CheckpointError
from poseserve.weights.checkpoints import load_strict, read

# The legacy exporter and TorchScript say that they are deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.qkv, self.fc = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).chunk(3, 2)
        return x + self.fc((q @ k.transpose(1, 2)).softmax(2) @ v)


class Backbone(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, 4, 4)
        self.pos_embed = nn.Parameter(torch.randn(1, 13, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed.proj(x)
        tokens = x.flatten(2).transpose(1, 2) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.transpose(1, 2).reshape(x.shape)


class Pose(nn.Module):
    """ViTPose in small: all that its exporter treats in a way of its own."""

    def __init__(self, keypoints: int = 5, width: int = 8) -> None:
        super().__init__()
        self.backbone = Backbone(width)
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(width, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.final_layer = nn.Conv2d(4, keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.final_layer(self.deconv_layers(self.backbone(x)))


@pytest.fixture
def network() -> Pose:
    torch.manual_seed(0)
    network = Pose().eval()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and "norm1" not in name:  # the exporter stores equal norms once
            tensor.normal_().abs_()
    return network


IMAGES = torch.linspace(-1, 1, 2 * 3 * 16 * 12).view(2, 3, 16, 12)


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(found[name].equal(expected[name]) for name in expected)


# ---- containers


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda state: state, id="bare"),
        pytest.param(lambda state: {"meta": {"epoch": 3}, "state_dict": state, "optimizer": {"lr": 1}}, id="trainer"),
        pytest.param(lambda state: {"model": state}, id="model"),
        pytest.param(lambda state: {f"module.{name}": tensor for name, tensor in state.items()}, id="data parallel"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_give_their_state_dict(network, tmp_path, wrap, zipped):
    torch.save(wrap(network.state_dict()), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert same(read(tmp_path / "a.pth"), network.state_dict())


def test_safetensors(network, tmp_path):
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    assert same(read(tmp_path / "a.safetensors"), network.state_dict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torchscript(network, tmp_path, dtype):
    network.to(dtype)
    torch.jit.trace(network, IMAGES.to(dtype), check_trace=False).save(tmp_path / "a_torchscript.pt2")
    assert same(read(tmp_path / "a_torchscript.pt2"), network.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_torch_export_of_today(network, tmp_path, dtype):
    network.to(dtype)
    torch.export.save(torch.export.export(network, (IMAGES.to(dtype),)), tmp_path / "a_bfloat16.pt2")
    assert same(read(tmp_path / "a_bfloat16.pt2"), network.state_dict())


class Evil:
    """A pickle that would run `function(argument)`."""

    def __init__(self, function, argument: str) -> None:
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


def test_torch_export_of_2_3_leaves_the_example_inputs_alone(network, tmp_path):
    def pickled(content) -> bytes:
        torch.save(content, buffer := io.BytesIO())
        return buffer.getvalue()

    with zipfile.ZipFile(tmp_path / "a_bfloat16.pt2", "w") as archive:
        archive.writestr("version", "5.1")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", pickled(network.state_dict()))
        archive.writestr("serialized_constants.pt", pickled({}))
        archive.writestr("serialized_example_inputs.pt", pickled(Evil(os.system, f"touch {tmp_path}/ran")))
    assert same(read(tmp_path / "a_bfloat16.pt2"), network.state_dict())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("external", [False, True])
def test_onnx_gives_the_module_its_names_back(network, tmp_path, opset, external):
    file = tmp_path / "a.onnx"
    torch.onnx.export(network, (IMAGES,), file, input_names=["input_0"], opset_version=opset, dynamo=False)
    if external:
        onnx.save(onnx.load(file), file, save_as_external_data=True, location="a.data", size_threshold=0)
    state = read(file)
    expected = {name: t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert same(state, expected)

    filled = Pose().eval()
    load_strict(filled, state, "a.onnx")
    assert filled(IMAGES).equal(network(IMAGES))


# ---- safety


def test_objects_of_a_trainer_come_out_empty(network, tmp_path, monkeypatch):
    module = types.ModuleType("trainer")
    module.HistoryBuffer = type("HistoryBuffer", (), {"__module__": "trainer"})
    monkeypatch.setitem(sys.modules, "trainer", module)
    history = module.HistoryBuffer()
    history.values = [1, IMAGES.numpy()]
    torch.save({"state_dict": network.state_dict(), "message_hub": {"loss": history}}, tmp_path / "a.pth")
    monkeypatch.delitem(sys.modules, "trainer")
    assert same(read(tmp_path / "a.pth"), network.state_dict())


def test_code_in_a_pickle_is_refused(network, tmp_path):
    torch.save({"state_dict": network.state_dict(), "x": Evil(os.system, f"touch {tmp_path}/ran")}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="refused"):
        read(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


def test_a_function_that_the_unpickler_does_not_know_is_not_called(network, tmp_path):
    evil = Evil(builtins.exec, f"open({str(tmp_path / 'ran')!r}, 'w')")
    torch.save({"state_dict": network.state_dict(), "x": evil}, tmp_path / "a.pth")
    assert same(read(tmp_path / "a.pth"), network.state_dict())
    assert not (tmp_path / "ran").exists()


class Writer(nn.Module):
    """Scripted, it writes the file `path` when torch.jit.load restores it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state[0], state[1]
        torch.save(torch.zeros(1), self.path)


def test_code_in_torchscript_is_not_run(tmp_path):
    torch.jit.script(Writer(str(tmp_path / "ran"))).save(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()
    torch.jit.load(tmp_path / "a.pt")
    assert (tmp_path / "ran").exists(), "the file would have run"


# ---- files that are no checkpoint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "no checkpoint"),
        (b"PK\x03\x04" + bytes(99), "cut short"),
        (b"\x08\x08" + b"\xff" * 99, "damaged"),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\.pth: .*{message}.*poseserve fetch"):
        read(tmp_path / "a.pth")


def test_onnx_without_its_package_names_the_extra(network, tmp_path, monkeypatch):
    torch.onnx.export(network, (IMAGES,), tmp_path / "a.onnx", dynamo=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CheckpointError, match=r"pip install 'poseserve\[onnx\]'$"):
        read(tmp_path / "a.onnx")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["a.pth", "legacy.pth", "a.safetensors", "a.onnx"])
def test_a_file_that_is_cut_short_is_named(network, tmp_path, name):
    file = tmp_path / name
    if name.endswith(".pth"):
        torch.save(network.state_dict(), file, _use_new_zipfile_serialization=name == "a.pth")
    elif name == "a.onnx":
        torch.onnx.export(network, (IMAGES,), file, dynamo=False)
    else:
        save_file(network.state_dict(), file)
    content = file.read_bytes()
    for part in (0.05, 0.5, 0.95):
        file.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(CheckpointError, match=r"cut short.*poseserve fetch"):
            read(file)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(2)], torch.zeros(2), nn.ReLU()])
def test_a_pickle_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read(tmp_path / "a.pth")


def test_another_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photo.jpg", b"")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        read(tmp_path / "a.zip")


# ---- into the network


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_take_the_dtypes_of_the_network(network, device):
    with torch.device(device):
        target = Pose().eval()
        target.register_buffer("periods", torch.zeros(3, dtype=torch.bfloat16))
    state = {name: tensor.half() for name, tensor in network.state_dict().items()} | {"periods": torch.rand(3)}
    del state["deconv_layers.1.num_batches_tracked"]
    load_strict(target, state, "a.pth")
    assert target.periods.dtype is torch.bfloat16
    assert target.final_layer.weight.equal(network.final_layer.weight.half().float())
    assert target.deconv_layers[1].num_batches_tracked == 0
    torch.testing.assert_close(target(IMAGES), network(IMAGES), rtol=1e-2, atol=1e-2)


def test_encoders_load_with_and_without_their_prefix_and_training_parts(network):
    encoder = network.backbone.state_dict()
    prefixed = {f"backbone.{name}": tensor for name, tensor in encoder.items()}
    decoder = {"neck.mask_token": torch.zeros(1), "decoder_pos_embed": torch.zeros(1)}
    whole = nn.ModuleDict({"backbone": Backbone(8)})
    for target, state in ((Backbone(8), prefixed | decoder), (whole, encoder | decoder), (whole, prefixed)):
        load_strict(target, state, "a.pth")
        assert all(
            tensor.equal(encoder[name.removeprefix("backbone.")]) for name, tensor in target.state_dict().items()
        )


def test_a_neck_of_the_network_itself_is_compared():
    target = nn.ModuleDict({"neck": nn.Linear(2, 2)})
    with pytest.raises(CheckpointError, match=r"1 unexpected \(neck.extra\)"):
        load_strict(target, target.state_dict() | {"neck.extra": torch.zeros(1)}, "a.pth")


def test_another_keypoint_count_has_its_own_message(network):
    with pytest.raises(CheckpointError, match=r"a\.pth: the file has 5 outputs, this network expects 17"):
        load_strict(Pose(keypoints=17), network.state_dict(), "a.pth")


def test_differences_are_counted_and_the_first_ones_named(network):
    state = network.state_dict()
    del state["final_layer.bias"]
    state |= {f"extra.{i}": torch.zeros(1) for i in range(5)} | {"backbone.pos_embed": torch.zeros(1, 2, 8)}
    with pytest.raises(CheckpointError) as caught:
        load_strict(Pose(), state, "a.pth")
    assert str(caught.value) == (
        "a.pth does not fit this network: 1 missing (final_layer.bias); 5 unexpected (extra.0, extra.1, extra.2 and 2 "
        "more); 1 of another shape (backbone.pos_embed [1, 2, 8], must be [1, 13, 8]); "
        "choose the network that this file was made for"
    )


def test_another_size_or_family_is_recognised(network):
    for state in (Pose(width=16).state_dict(), {"stem.0.conv.weight": torch.zeros(1)}):
        with pytest.raises(CheckpointError, match="another family or size"):
            load_strict(network, state, "a.pth")
