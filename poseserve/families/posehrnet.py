"""PoseHRNet: four resolutions side by side that exchange features (Sun et al., "Deep High-Resolution Representation
Learning for Human Pose Estimation", CVPR 2019). Attributes carry the names of the official checkpoints."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.errors import InputError
from poseserve.families import outputs
from poseserve.families.family import Family
from poseserve.families.flip import FlipTest

WIDTHS = {"w32": (32, 64, 128, 256), "w48": (48, 96, 192, 384)}
MODULES = (1, 4, 3)  # exchange modules of stages 2, 3 and 4


def build(size: str, task: str, outputs: int) -> nn.Module:
    """Size w32 or w48, task pose: f32 [B, 3, H, W] -> heatmaps [B, outputs, H/4, W/4]; H and W multiples of 32."""
    return PoseHRNet(widths("posehrnet", size, task), outputs)


def widths(family: str, size: str, task: str) -> tuple[int, ...]:
    """Channels of each resolution, finest first; ValueError for a size or a task that `family` lacks."""
    if size not in WIDTHS:
        raise InputError(f"{family} has no size {size!r}, must be one of {', '.join(WIDTHS)}")
    if task != "pose":
        raise InputError(f"{family} has no task {task!r}, must be pose")
    return WIDTHS[size]


class PoseHRNet(nn.Module):
    """HRNet with one heatmap for each keypoint: f32 [B, 3, H, W] -> [B, outputs, H/4, W/4]."""

    def __init__(self, widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.backbone = HRNet(widths)
        self.final_layer = nn.Conv2d(widths[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.final_layer(self.backbone(x))


class HRNet(nn.Module):
    """f32 [B, 3, H, W] -> features of the finest resolution [B, widths[0], H/4, W/4]."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(3, 64, 3, 2)
        self.conv2, self.bn2 = conv_bn(64, 64, 3, 2)
        self.layer1 = nn.Sequential(Bottleneck(64), *(Bottleneck(256) for _ in range(3)))
        first = nn.Sequential(*conv_bn(256, widths[0], 3), nn.ReLU())
        self.transition1 = nn.ModuleList([first, descend(256, widths[1])])
        self.stage2 = stage(widths[:2], MODULES[0])
        self.transition2 = nn.ModuleList([nn.Identity(), nn.Identity(), descend(*widths[1:3])])
        self.stage3 = stage(widths[:3], MODULES[1])
        self.transition3 = nn.ModuleList([*(nn.Identity() for _ in range(3)), descend(*widths[2:4])])
        self.stage4 = stage(widths, MODULES[2], last=True)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        levels = self.stage2([grow(x) for grow in self.transition1])
        levels = self.stage3([*levels, self.transition2[-1](levels[-1])])
        return self.stage4([*levels, self.transition3[-1](levels[-1])])[0]


class Bottleneck(nn.Module):
    """Residual block of three convolutions, [B, inputs, h, w] -> [B, 4 * width, h, w]."""

    def __init__(self, inputs: int, width: int = 64) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = conv_bn(inputs, width, 1)
        self.conv2, self.bn2 = conv_bn(width, width, 3)
        self.conv3, self.bn3 = conv_bn(width, outputs, 1)
        self.downsample = nn.Identity() if inputs == outputs else nn.Sequential(*conv_bn(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Basic(nn.Module):
    """Residual block of two 3 x 3 convolutions, [B, width, h, w]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(width, width, 3)
        self.conv2, self.bn2 = conv_bn(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class Exchange(nn.Module):
    """Four blocks at every resolution; then each of the first `targets` resolutions is the sum of all of them."""

    def __init__(self, widths: tuple[int, ...], targets: int) -> None:
        super().__init__()
        count = len(widths)
        self.branches = nn.ModuleList(nn.Sequential(*(Basic(width) for _ in range(4))) for width in widths)
        self.fuse_layers = nn.ModuleList(
            Fuse(path(widths, source, target) for source in range(count)) for target in range(targets)
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        levels = [branch(x) for branch, x in zip(self.branches, levels, strict=True)]
        return [fuse(levels) for fuse in self.fuse_layers]


class Fuse(nn.ModuleList):
    """The sum of all resolutions, each brought to the same one by its path."""

    def forward(self, levels: list[Tensor]) -> Tensor:
        return F.relu(reduce(torch.add, [path(x) for path, x in zip(self, levels, strict=True)]))


def stage(widths: tuple[int, ...], modules: int, last: bool = False) -> nn.Sequential:
    """Exchange modules in a row; after the last stage only the finest resolution is wanted."""
    count = len(widths)
    return nn.Sequential(*(Exchange(widths, 1 if last and i == modules - 1 else count) for i in range(modules)))


def path(widths: tuple[int, ...], source: int, target: int) -> nn.Module:
    """From resolution `source` to `target`, where each next resolution is half the one before."""
    if source == target:
        return nn.Identity()
    if source > target:
        grow = nn.Upsample(scale_factor=float(2 ** (source - target)), mode="nearest")
        return nn.Sequential(*conv_bn(widths[source], widths[target], 1), grow)
    steps = [
        nn.Sequential(*conv_bn(widths[source], widths[source], 3, 2), nn.ReLU()) for _ in range(source + 1, target)
    ]
    return nn.Sequential(*steps, nn.Sequential(*conv_bn(widths[source], widths[target], 3, 2)))


def descend(inputs: int, outputs: int) -> nn.Sequential:
    """A new resolution: half of the one that it comes from."""
    return nn.Sequential(nn.Sequential(*conv_bn(inputs, outputs, 3, 2), nn.ReLU()))


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution without bias and its batch norm, padded to keep the size at stride 1."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)


FAMILY = Family(
    outputs={"pose": lambda network: outputs.StrideHeatmaps()},
    build=lambda network: build(network.size, network.task, network.outputs),
    flip=lambda network, mirrored: FlipTest(network, mirrored, lag=1),
)
