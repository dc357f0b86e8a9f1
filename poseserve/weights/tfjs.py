"""Weights of a TensorFlow.js graph model: a .json with the graph, beside it the .bin files with the numbers.

Convolutions are all that the networks here have weights in. Their kernels come out as torch lays them out, under the
names that they have in the graph.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poseserve.errors import CheckpointError

DTYPES = ("float32", "int32")
CONVOLUTIONS = ("Conv2D", "_FusedConv2D")
DEPTHWISE = ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative")
FUSED: list[list[str]] = [[], ["BiasAdd"], ["BiasAdd", "Relu"], ["BiasAdd", "Relu6"]]
# What holds no trained weights: layout, resizing, activations, and the arithmetic before and after the network.
WEIGHTLESS = {
    *("Const", "Placeholder", "Identity", "Cast", "Pack", "Unpack", "Reshape", "ExpandDims", "Squeeze", "Transpose"),
    *("Pad", "PadV2", "MaxPool", "ResizeBilinear", "ConcatV2", "SplitV", "SparseToDense", "GatherNd", "ArgMax"),
    *("LeakyRelu", "Sigmoid", "Add", "AddV2", "Sub", "Mul", "RealDiv", "FloorDiv", "Sqrt", "SquaredDifference"),
}


def read(path: Path) -> dict[str, Tensor]:
    """Of every convolution `<name of its kernel>.weight`, f32 [out, in / groups, h, w], and `.bias`, f32 [out], if any.

    Raises CheckpointError for another kind of JSON, a missing or wrong .bin, and whatever in the graph could hold
    weights that this reader does not understand.
    """
    model = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(model, dict) or model.get("format") != "graph-model":
        raise CheckpointError(f"{path}: JSON, but no graph model of TensorFlow.js")
    constants = {name: array for group in model["weightsManifest"] for name, array in _constants(path, group)}
    nodes = model["modelTopology"]["node"]
    added = {node["input"][0]: node["input"][1] for node in nodes if node["op"] == "Add"}
    state: dict[str, Tensor] = {}
    for node in nodes:
        if node["op"] in (*CONVOLUTIONS, *DEPTHWISE):
            kernel, *rest = node["input"][1:]
            _check_convolution(path, node)
            state[f"{kernel}.weight"] = _kernel(constants[kernel], node["op"] in DEPTHWISE)
            bias = rest[0] if rest else added.get(node["name"])
            if bias is not None:
                state[f"{kernel}.bias"] = torch.from_numpy(constants[bias].astype(np.float32))
        elif node["op"] not in WEIGHTLESS:
            raise CheckpointError(f"{path}: the operation {node['op']} ({node['name']}) is not understood")
    return state


def _constants(path: Path, group: Mapping[str, Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and value of each constant of a group, whose files hold them one after the other."""
    data = b"".join(_beside(path, name).read_bytes() for name in group["paths"])
    begin = 0
    for about in group["weights"]:
        stored = about.get("quantization", about)
        if about["dtype"] not in DTYPES or stored["dtype"] not in (*DTYPES, "float16") or "scale" in stored:
            raise CheckpointError(
                f"{path}: {about['name']} is {about['dtype']} stored as {stored['dtype']}, "
                f"must be {' or '.join(DTYPES)} as it is, or float16"
            )
        dtype = np.dtype(stored["dtype"]).newbyteorder("<")
        end = begin + dtype.itemsize * math.prod(about["shape"])
        yield about["name"], np.frombuffer(data[begin:end], dtype).reshape(about["shape"])
        begin = end
    if begin != len(data):
        raise CheckpointError(f"{path}: {', '.join(group['paths'])} has {len(data):,} bytes, must have {begin:,}")


def _beside(path: Path, name: str) -> Path:
    file = path.with_name(Path(name).name)
    if file.name != name or not file.is_file():
        raise CheckpointError(f"{path} needs its weights, {name}, in the same folder")
    return file


def _check_convolution(path: Path, node: Mapping[str, Any]) -> None:
    """Refuse what a convolution of the families does not do."""
    attributes = node["attr"]
    layout = _text(attributes["data_format"]["s"])
    dilations = attributes.get("dilations", {"list": {"i": []}})["list"]["i"]
    fused = [_text(name) for name in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
    if layout != "NHWC" or any(int(number) != 1 for number in dilations) or fused not in FUSED:
        raise CheckpointError(
            f"{path}: the convolution {node['name']} ({layout}, dilations {dilations}, fused {fused}) is not understood"
        )


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def _kernel(kernel: NDArray[Any], depthwise: bool) -> Tensor:
    """[h, w, in, out] -> [out, in, h, w]; of a depthwise convolution [h, w, channels, times] -> [channels * times, 1,
    h, w]."""
    tensor = torch.from_numpy(kernel.astype(np.float32))
    if depthwise:
        return tensor.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1).contiguous()
    return tensor.permute(3, 2, 0, 1).contiguous()
