"""Graph models of TensorFlow.js: read as they are, refused where they hold what is not understood."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from poseserve.errors import CheckpointError
from poseserve.weights.checkpoints import read

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32)
DEPTHWISE = RNG.normal(size=(3, 3, 6, 2)).astype(np.float16)
BIAS = RNG.normal(size=6).astype(np.float32)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def node(op: str, name: str, *inputs: str, fused: tuple[str, ...] = (), **attributes: Any) -> dict[str, Any]:
    attr = {"data_format": {"s": encoded("NHWC")}, "fused_ops": {"list": {"s": [encoded(x) for x in fused]}}}
    return {"op": op, "name": name, "input": list(inputs), "attr": attr | attributes}


@pytest.fixture
def model() -> dict[str, Any]:
    """A convolution with its bias fused, a depthwise one in half precision, one whose bias is added after it."""
    weights = [
        {"name": "first/kernel", "shape": [3, 3, 4, 6], "dtype": "float32"},
        {"name": "first/bias", "shape": [6], "dtype": "float32"},
        {
            "name": "second/kernel",
            "shape": [3, 3, 6, 2],
            "dtype": "float32",
            "quantization": {"dtype": "float16", "original_dtype": "float32"},
        },
        {"name": "shape", "shape": [2], "dtype": "int32"},
    ]
    nodes = [
        node("Placeholder", "image"),
        *(node("Const", about["name"]) for about in weights),
        node("_FusedConv2D", "first", "image", "first/kernel", "first/bias", fused=("BiasAdd", "Relu6")),
        node("DepthwiseConv2dNative", "second", "first", "second/kernel"),
        node("Conv2D", "third", "image", "first/kernel"),
        node("Add", "sum", "third", "first/bias"),
        node("Reshape", "answer", "sum", "shape"),
    ]
    return {
        "format": "graph-model",
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": weights}],
    }


@pytest.fixture
def written(model, tmp_path):
    def write(data: bytes | None = None) -> Path:
        if data is None:
            data = KERNEL.tobytes() + BIAS.tobytes() + DEPTHWISE.tobytes() + np.array([1, 2], np.int32).tobytes()
        (tmp_path / "a.bin").write_bytes(data[:100])  # a weight may begin in one file and end in the next
        (tmp_path / "b.bin").write_bytes(data[100:])
        path = tmp_path / "model.json"
        path.write_text(json.dumps(model))
        return path

    return write


def test_kernels_are_laid_out_as_torch_has_them(written):
    state = read(written())
    assert list(state) == ["first/kernel.weight", "first/kernel.bias", "second/kernel.weight"]
    torch.testing.assert_close(state["first/kernel.weight"][5, 3], torch.from_numpy(KERNEL[:, :, 3, 5]))
    assert state["first/kernel.bias"].tolist() == BIAS.tolist()

    x = RNG.normal(size=(5, 5, 6)).astype(np.float32)
    found = F.conv2d(torch.from_numpy(x).permute(2, 0, 1)[None], state["second/kernel.weight"], groups=6)[0]
    expected = np.zeros((3, 3, 12))  # channel c times m of the input goes to 2 c + m
    for row, column in np.ndindex(3, 3):
        patch = x[row : row + 3, column : column + 3, :, None] * DEPTHWISE.astype(np.float32)
        expected[row, column] = patch.sum((0, 1)).ravel()
    np.testing.assert_allclose(found.permute(1, 2, 0), expected, atol=1e-5)


def test_a_bias_that_is_added_after_the_convolution_belongs_to_it(model, written):
    nodes = model["modelTopology"]["node"]
    model["modelTopology"]["node"] = [n for n in nodes if n["name"] != "first"]
    assert read(written())["first/kernel.bias"].tolist() == BIAS.tolist()


def layers_model(model):
    model["format"] = "layers-model"


def dense(model):
    model["modelTopology"]["node"].append(node("MatMul", "dense", "answer", "first/kernel"))


def dilated(model):
    model["modelTopology"]["node"][-4]["attr"]["dilations"] = {"list": {"i": ["1", "2", "2", "1"]}}


def planes_first(model):
    model["modelTopology"]["node"][-3]["attr"]["data_format"] = {"s": encoded("NCHW")}


def swish(model):
    model["modelTopology"]["node"][-5]["attr"]["fused_ops"]["list"]["s"].append(encoded("Prelu"))


def bytes_with_a_scale(model):
    about = {"dtype": "uint8", "scale": 0.1, "min": -1.0}
    model["weightsManifest"][0]["weights"][0]["quantization"] = about


def text(model):
    model["weightsManifest"][0]["weights"][0]["dtype"] = "string"


def elsewhere(model):
    model["weightsManifest"][0]["paths"] = ["../a.bin"]


def missing(model):
    model["weightsManifest"][0]["paths"] = ["a.bin", "c.bin"]


def too_many(model):
    model["weightsManifest"][0]["weights"].pop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (layers_model, "JSON, but no graph model of TensorFlow.js"),
        (dense, r"the operation MatMul \(dense\) is not understood"),
        (dilated, r"convolution second \(NHWC, dilations \['1', '2', '2', '1'\], fused \[\]\) is not understood"),
        (planes_first, r"convolution third \(NCHW"),
        (swish, r"convolution first .*Prelu"),
        (bytes_with_a_scale, "first/kernel is float32 stored as uint8, must be float32 or int32 as it is, or float16"),
        (text, "first/kernel is string"),
        (elsewhere, r"needs its weights, ../a.bin, in the same folder"),
        (missing, "needs its weights, c.bin, in the same folder"),
        (too_many, "a.bin, b.bin has 1,112 bytes, must have 1,104"),
    ],
)
def test_what_is_not_understood_is_refused(model, written, change, message):
    change(model)
    with pytest.raises(CheckpointError, match=message):
        read(written())


def test_weights_that_are_cut_short(written):
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        read(written(KERNEL.tobytes()))


def test_other_json_is_told_from_safetensors(tmp_path):
    path = tmp_path / "model.json"
    for content, message in (("{}", "no graph model"), ('{\n  "a": [', "damaged or cut short")):
        path.write_text(content)
        with pytest.raises(CheckpointError, match=message):
            read(path)


def test_safetensors_whose_length_reads_like_json_are_safetensors(tmp_path):
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(ord("{"))
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.float32(2).tobytes())
    assert path.read_bytes().startswith(b"{")
    assert read(path)["w"].item() == 2
