"""MoveNet, which finds the keypoints of the person in the middle of its input (Google, 2021): MobileNetV2, a feature
pyramid up to stride 4, and four heads after CenterNet (Zhou et al., "Objects as Points", 2019)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.errors import InputError
from poseserve.families import outputs
from poseserve.families.family import Family
from poseserve.families.flip import CentredFlipTest

SIZES = {"thunder": 1.75, "lightning": 1.0}  # how much wider than MobileNetV2
# Channels and stride of every block of MobileNetV2 (Sandler et al., "MobileNetV2", CVPR 2018, table 2).
BLOCKS = (
    *((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1)),
    *((96, 1), (96, 1), (96, 1), (160, 2), (160, 1), (160, 1), (320, 1)),
)
LAST = 1280
LEVELS = {9: 64, 5: 32, 2: 24}  # the blocks whose output the pyramid adds, and the channels that it has there
HEAD = 96


def build(size: str, task: str, keypoints: int, input_size: tuple[int, int]) -> nn.Module:
    """Size thunder or lightning, task pose: f32 [B, 3, H, W] of -1..1 -> raw [B, 1 + 5 K, H/4, W/4], see `MoveNet`.

    Raises InputError for others, and for an H or W that is no multiple of 32.
    """
    if size not in SIZES:
        raise InputError(f"movenet has no size {size!r}, must be one of {', '.join(SIZES)}")
    if task != "pose":
        raise InputError(f"movenet has no task {task!r}, must be pose")
    if any(side % 32 for side in input_size):
        raise InputError(f"movenet takes no {input_size[0]} x {input_size[1]} pixels: both must be multiples of 32")
    return MoveNet(SIZES[size], keypoints)


class MoveNet(nn.Module):
    """f32 [B, 3, H, W] -> [B, 1 + 5 K, H/4, W/4]: the heads of the centre (1), the keypoints' heatmaps (K), their way
    from the centre (2 K: dy, dx) and from a cell (2 K: dy, dx); logits, and distances in cells."""

    def __init__(self, wider: float, keypoints: int) -> None:
        super().__init__()
        width = channels(32, wider)
        self.stem = Same(3, width, 3, 2)
        self.blocks = nn.ModuleList()
        level_widths = {}
        for number, (count, stride) in enumerate(BLOCKS):
            level_widths[number] = channels(count, wider)
            self.blocks.append(Block(width, level_widths[number], stride, 6 if number else 1))
            width = level_widths[number]
        self.last = nn.Conv2d(width, LAST, 1)
        fine = list(LEVELS.values())
        self.laterals = nn.ModuleList([nn.Conv2d(LAST, fine[0], 1)])
        self.laterals.extend(nn.Conv2d(level_widths[number], width, 1) for number, width in LEVELS.items())
        self.merges = nn.ModuleList(Separable(*widths) for widths in zip(fine, [*fine[1:], fine[-1]], strict=True))
        self.heads = nn.ModuleList(
            nn.Sequential(Separable(fine[-1], HEAD), nn.Conv2d(HEAD, count, 1))
            for count in (1, keypoints, 2 * keypoints, 2 * keypoints)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(x))
        levels = {}
        for number, block in enumerate(self.blocks):
            x = levels[number] = block(x)
        x = self.laterals[0](F.relu6(self.last(x)))
        for number, lateral, merge in zip(LEVELS, self.laterals[1:], self.merges, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = merge(x + lateral(levels[number]))
        return torch.cat([head(x) for head in self.heads], 1)


def channels(count: int, wider: float) -> int:
    """`count` times `wider`, to the nearest multiple of 8."""
    return int(count * wider + 4) // 8 * 8


class Same(nn.Conv2d):
    """A convolution as TensorFlow pads it: the zeros of stride 2, one row and one column, all stand behind the map."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, [0, 1, 0, 1]) if self.stride[0] == 2 else x)


class Block(nn.Module):
    """The inverted residual of MobileNetV2: wider, each channel by itself, narrow again."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = expansion * inputs
        self.expand = nn.Conv2d(inputs, width, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Same(width, width, 3, stride, width)
        self.project = nn.Conv2d(width, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(F.relu6(self.depthwise(F.relu6(self.expand(x)))))
        return x + y if self.residual else y


class Separable(nn.Module):
    """Each channel by itself, then across channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, 1, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)))


def kernels() -> Iterator[tuple[str, str]]:
    """What each convolution's kernel is called in the official graph, and here."""
    graph = "StatefulPartitionedCall/"
    features = f"{graph}center_net_mobile_net_v2fpn_feature_extractor/model_1/"
    yield f"{features}model/Conv1/Conv2D_weights", "stem"
    for number in range(len(BLOCKS)):
        block = f"{features}model/{f'block_{number}' if number else 'expanded_conv'}"
        yield f"{block}_expand/Conv2D_weights", f"blocks.{number}.expand"
        yield f"{block}_depthwise/depthwise_weights", f"blocks.{number}.depthwise"
        yield f"{block}_project/Conv2D_weights", f"blocks.{number}.project"
    yield f"{features}model/Conv_1/Conv2D_weights", "last"
    # Keras numbers layers of a kind as they are made, the first one has no number.
    for number in range(len(LEVELS) + 1):
        yield f"{features}conv2d{f'_{number}' if number else ''}/Conv2D/ReadVariableOp", f"laterals.{number}"
    for number in range(len(LEVELS)):
        merge = f"{features}separable_conv2d{f'_{number}' if number else ''}/separable_conv2d"
        yield f"{merge}/ReadVariableOp", f"merges.{number}.depthwise"
        yield f"{merge}_weights", f"merges.{number}.pointwise"
    for number, head in enumerate(("center_0", "kpt_heatmap_0", "kpt_regress_0", "kpt_offset_0")):
        separable = f"{graph}{head}/separable_conv2d_{len(LEVELS) + number}/separable_conv2d/ReadVariableOp"
        yield separable, f"heads.{number}.0.depthwise"
        yield f"{separable}_1", f"heads.{number}.0.pointwise"
        yield f"{graph}{head}/conv2d_{len(LEVELS) + 1 + number}/Conv2D/ReadVariableOp", f"heads.{number}.1"


def own_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The official graph's weights under the names of `MoveNet`; others keep theirs."""
    names = {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in kernels() for kind in ("weight", "bias")}
    return {names.get(name, name): tensor for name, tensor in state.items()}


FAMILY = Family(
    outputs={"pose": lambda network: outputs.CentredHeatmaps(network.outputs)},
    build=lambda network: build(network.size, network.task, network.outputs, network.input_size),
    state=lambda state, network: own_state(state),
    flip=CentredFlipTest,
    mean=(127.5,) * 3,
    std=(127.5,) * 3,
)
