"""Single-stage detectors of mmdet whose boxes are distances from points (RTMDet of every size, FCOS), from config and
checkpoint. Building one needs mmdet (the extra `mmdet`); the exported file does not."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from poseserve.errors import InputError, PoseserveError, concerning
from poseserve.families.boxes import around, best_rows, check_classes
from poseserve.families.family import Family, Opened
from poseserve.weights import checkpoints

if TYPE_CHECKING:
    from poseserve.catalogue import Network


def load(
    config: Path,
    checkpoint: Path | None = None,
    classes: Sequence[int] = (0,),
    input_size: tuple[int, int] = (640, 640),
) -> Opened:
    """The detector of that config, with the config's own normalisation.

    checkpoint: its weights, read without running code of the file; without it they are random. classes: indices of
    those that are served. Raises PoseserveError without mmdet, ValueError for a detector of another kind or without one
    of them, CheckpointError.
    """
    model: Any = official(config)  # mmdet has no types
    if checkpoint is not None:
        checkpoints.load_strict(model, checkpoints.read(checkpoint), checkpoint.name)
    prepare = model.data_preprocessor
    # mmdet reads images as BGR: without the conversion, the weights and their means are in that order.
    bgr = not prepare._channel_conversion
    mean, std = (values.flatten().flip(0) if bgr else values.flatten() for values in (prepare.mean, prepare.std))
    network = SingleStage(model, bgr, classes, input_size).eval()
    return Opened(network, Rows(input_size), tuple(mean.tolist()), tuple(std.tolist()))


def official(config: Path) -> nn.Module:
    """mmdet's own detector, in eval mode with random weights."""
    try:
        # mmcv-lite lacks mmcv's compiled operators, and mmdet imports their names; these detectors call none of them.
        if "mmcv._ext" not in sys.modules and importlib.util.find_spec("mmcv._ext") is None:
            sys.modules["mmcv._ext"] = _NoOperators("mmcv._ext")
        from mmdet.registry import MODELS
        from mmengine.config import Config
        from mmengine.registry import init_default_scope
    except ImportError as error:
        raise PoseserveError(f"mmdet is not installed ({error}): pip install 'poseserve[mmdet]'") from error
    init_default_scope("mmdet")
    with concerning(config):
        read = Config.fromfile(config)
    return MODELS.build(read.model).eval()


class _NoOperators(types.ModuleType):
    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class SingleStage(nn.Module):
    """Normalised RGB f32 [B, 3, H, W] -> f32 [B, N, 5] x1, y1, x2, y2 in input pixels and score of every point."""

    points: Tensor
    classes: Tensor

    def __init__(self, model: Any, bgr: bool, classes: Sequence[int], input_size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.bgr = model, bgr
        self.register_buffer("classes", torch.tensor(classes))
        head: Any = getattr(model, "bbox_head", None)
        supported = (
            type(getattr(head, "bbox_coder", None)).__name__ == "DistancePointBBoxCoder" and head.use_sigmoid_cls
        )
        if supported:
            with torch.inference_mode():
                scores, distances = model(torch.zeros(1, 3, *input_size), mode="tensor")[:2]
            supported = distances[0].shape[1] == 4
        if not supported:
            raise InputError(
                f"{type(model).__name__} is not supported: a detector's head must predict sigmoid scores and four "
                "distances from points, as those of RTMDet and FCOS do"
            )
        check_classes("the detector", classes, scores[0].shape[1])
        sizes = [level.shape[2:] for level in scores]
        self.register_buffer("points", torch.cat(head.prior_generator.grid_priors(sizes, device="cpu")))

    def forward(self, x: Tensor) -> Tensor:
        classes, distances, *factors = self.model(x.flip(1) if self.bgr else x, mode="tensor")
        scores = rows(classes).index_select(2, self.classes).amax(2).float().sigmoid()
        for factor in factors:  # centreness
            scores = scores * rows(factor)[..., 0].float().sigmoid()
        return torch.cat([around(self.points, rows(distances).float()), scores.unsqueeze(2)], 2)


class Rows(nn.Module):
    """f32 [B, N, 5] -> f32 [B, 100, 5], best first, score 0 = empty row."""

    def __init__(self, input_size: tuple[int, int]) -> None:
        super().__init__()
        self.height, self.width = input_size

    def forward(self, raw: Tensor) -> Tensor:
        return best_rows(raw[..., :4], raw[..., 4], self.height, self.width)


def rows(levels: list[Tensor]) -> Tensor:
    """Maps [B, C, h, w] of every level -> [B, N, C]."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)


def opened(network: Network, checkpoint: Path, config: Path | None) -> Opened:
    """The detector of that config with the weights in `checkpoint`. Raises as `load` does, and without a config."""
    if config is None:
        raise InputError(f"{network.name}: a detector of mmdet needs --config FILE")
    return load(config, checkpoint, network.class_indices, network.input_size)


FAMILY = Family(
    outputs={"detector": lambda network: Rows(network.input_size)},
    open=opened,
    input_size=(640, 640),
    options=("class_indices", "config"),
)
