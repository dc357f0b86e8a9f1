"""Networks of somebody's own, small enough to know their answers: what is bright is somebody."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn


class Cells(nn.Module):
    """A detector as YOLO's exports are: RGB 0..1 [B, 3, S, S] -> one box for each cell of one grid, then of one half as
    fine; their scores are how bright they are. One convolution with weights.

    objectness: layout v5 in place of v8, with a class that is always sure.
    """

    boxes: Tensor

    def __init__(self, side: int, stride: int, objectness: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, stride, stride, bias=False)
        nn.init.constant_(self.conv.weight, 1 / (3 * stride**2))
        self.objectness = objectness
        grids = []
        for cell in (stride, 2 * stride):
            centres = torch.arange(side // cell) * cell + cell / 2
            y, x = torch.meshgrid(centres, centres, indexing="ij")
            grids.append(torch.stack([x, y, torch.full_like(x, cell), torch.full_like(x, cell)]).flatten(1))
        self.register_buffer("boxes", torch.cat(grids, 1))

    def forward(self, x: Tensor) -> Tensor:
        fine = self.conv(x)
        scores = torch.cat([fine.flatten(2), nn.functional.avg_pool2d(fine, 2).flatten(2)], 2)
        boxes = self.boxes.expand(x.shape[0], -1, -1)
        if not self.objectness:
            return torch.cat([boxes, scores], 1)
        return torch.cat([boxes, scores, torch.full_like(scores, 0.9)], 1).transpose(1, 2)


class Bounds(nn.Module):
    """In the contract of a detector: one box around all that is bright."""

    def forward(self, images: Tensor) -> Tensor:
        bright = (images > 127).all(3)
        columns, rows = bright.any(1).float(), bright.any(2).float()
        height, width = images.shape[1], images.shape[2]
        x1, y1 = columns.argmax(1), rows.argmax(1)
        x2, y2 = width - columns.flip(1).argmax(1), height - rows.flip(1).argmax(1)
        somebody = columns.amax(1)
        found = torch.stack([x1.float(), y1.float(), x2.float(), y2.float(), 0.75 * somebody], 1)
        return nn.functional.pad((found * somebody.unsqueeze(1)).unsqueeze(1), [0, 0, 0, 99])


class Centre(nn.Module):
    """In the contract of a pose network: one keypoint, in the middle of what is bright; its score is 0.5."""

    def forward(self, crops: Tensor, regions: Tensor) -> Tensor:
        bright = (crops > 127).all(3).float()
        height, width = crops.shape[1], crops.shape[2]
        x = (bright.sum(1) * torch.ones_like(bright[:, 0]).cumsum(1)).sum(1) / bright.sum((1, 2)).clamp(min=1) - 1
        y = (bright.sum(2) * torch.ones_like(bright[:, :, 0]).cumsum(1)).sum(1) / bright.sum((1, 2)).clamp(min=1) - 1
        cx, cy, w, h = regions.unbind(1)
        points = torch.stack([cx - w / 2 + x * w / (width - 1), cy - h / 2 + y * h / (height - 1), 0.5 + 0 * x], 1)
        return (points * ((w > 0) & (h > 0)).float().unsqueeze(1)).unsqueeze(1)


def torchscript(network: nn.Module, path: Path, *example: Tensor) -> Path:
    """The network traced, and not frozen."""
    torch.jit.trace(network.eval(), example, check_trace=False).save(str(path))
    return path


def onnx_file(network: nn.Module, path: Path, names: list[str], output: list[int], *example: Tensor) -> Path:
    """The network in ONNX. names: of inputs and output, whose first dimension is free; output: its others, if known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated
        torch.onnx.export(
            network.eval(),
            example,
            path,
            dynamo=False,
            opset_version=17,
            input_names=names[:-1],
            output_names=names[-1:],
            dynamic_axes={name: {0: "rows"} for name in names},
        )
    model = onnx.load(path)
    for dimension, size in zip(model.graph.output[0].type.tensor_type.shape.dim[1:], output, strict=False):
        dimension.dim_value = size
    onnx.save(model, path)
    return path
