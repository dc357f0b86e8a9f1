"""Small ONNX models in folders as Triton reads them, and a network small enough to export to one."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import torch
from torch import nn

DIFFERENCE = "(float[n, 2] x, float[n, 2] y) => (float[n, 2] d, float[n, 2] s) { d = Sub(x, y) s = Add(x, y) }"
NEGATIVE = "(float[n, 2] x) => (float[n, 2] y) { y = Neg(x) }"
# The answer to every row is how many rows the network saw at once.
COMPANY = """(float[n, 2] x) => (float[n, 2] y) {
    rows = Shape <start = 0, end = 1> (x) count = Cast <to = 1> (rows) zero = Sub(x, x) y = Add(zero, count) }"""
X = 'input { name: "x" data_type: TYPE_FP32 dims: 2 } '
Y = 'output { name: "y" data_type: TYPE_FP32 dims: 2 } '
OF_DIFFERENCE = X + X.replace('"x"', '"y"') + Y.replace('"y"', '"s"') + Y.replace('"y"', '"d"')


def write_graph(repository: Path, config: str, graph: str | None, file: str = "model.onnx") -> Path:
    """A model's folder; returns the path of its file, which there is only with a graph.

    The configuration's first string is the name.
    """
    name = config.split('"')[1]
    path = repository / name / "1" / file
    path.parent.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config, encoding="utf-8")
    if graph is not None:
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> graph {graph}')
        onnx.save_model(model, str(path))
    return path


def copies(types: dict[str, str]) -> tuple[str, str]:
    """The tensors of a configuration, `input_T` and `output_T` of every type of Triton's, and the graph that copies
    them. types: Triton's name of a type -> that of ONNX's text form."""
    sides = ("input", "output")
    tensors = [f'{side} {{ name: "{side}_{t}" data_type: TYPE_{t} dims: -1 }}' for side in sides for t in types]
    inputs, outputs = (", ".join(f"{t}[n_{n}] {side}_{n}" for n, t in types.items()) for side in sides)
    nodes = " ".join(f"output_{t} = Identity(input_{t})" for t in types)
    return " ".join(tensors), f"({inputs}) => ({outputs}) {{ {nodes} }}"


class Corners(nn.Module):
    """Three heatmaps, [B, 3, 8, 6] from [B, 3, 32, 24]: the means of cells of 4 pixels, of each colour."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, 4)
