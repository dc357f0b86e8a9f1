"""RTMDet: a one-stage detector of large depth-wise kernels (Lyu et al., "RTMDet: An Empirical Study of Designing
Real-Time Object Detectors", 2022). Attributes carry the names of the official checkpoints."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.errors import InputError
from poseserve.families.boxes import around, best_rows, cells
from poseserve.families.family import Family

WIDTHS = {"m": (48, 96, 192, 384, 768)}  # of the stem and the four stages
BLOCKS = {"m": (2, 4, 4, 2)}  # of each stage; half of the first in the neck
STRIDES = (8, 16, 32)


def build(size: str, task: str, outputs: int) -> nn.Module:
    """Size m, task detector, `outputs` classes of which the first is the person.

    Normalised RGB f32 [B, 3, H, W], H and W multiples of 32 -> raw predictions [B, N, outputs + 4] of every cell at
    strides 8, 16 and 32, row by row: logits of the classes; logarithms of the distances left, top, right, bottom from
    the cell's corner in strides. `Decode` turns them into boxes.
    """
    if size not in WIDTHS:
        raise InputError(f"rtmdet has no size {size!r}, must be {', '.join(WIDTHS)}")
    if task != "detector":
        raise InputError(f"rtmdet has no task {task!r}, must be detector")
    return RTMDet(WIDTHS[size], BLOCKS[size], outputs)


class Decode(nn.Module):
    """Raw predictions of an image of `input_size` (H, W) -> f32 [B, 100, 5] x1, y1, x2, y2, score in input pixels, best
    first, score 0 = empty row."""

    corners: Tensor
    strides: Tensor

    def __init__(self, input_size: tuple[int, int] = (640, 640)) -> None:
        super().__init__()
        self.height, self.width = input_size
        corners, strides = cells(input_size, STRIDES)
        self.register_buffer("corners", corners)
        self.register_buffer("strides", strides)

    def forward(self, raw: Tensor) -> Tensor:
        boxes, scores = self.boxes(raw)
        return best_rows(boxes, scores, self.height, self.width)

    def boxes(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Box [B, N, 4] and score [B, N] of every cell."""
        raw = raw.float()
        distances = raw[..., -4:].exp() * self.strides
        return around(self.corners, distances), raw[..., 0].sigmoid()


class RTMDet(nn.Module):
    """Backbone, neck and head; see `build`."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.backbone = CSPNeXt(widths, blocks)
        self.neck = Neck(widths[2:], blocks[0])
        self.bbox_head = Head(widths[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.bbox_head(self.neck(self.backbone(x.flip(1))))  # the official weights expect BGR


class ConvModule(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.bn(self.conv(x)))


class Separable(nn.Module):
    """A 5 x 5 convolution of each channel by itself, then one across channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(width, width, 5, groups=width)
        self.pointwise_conv = ConvModule(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class Block(nn.Module):
    """A 3 x 3 and a separable convolution, with the input added where `residual`."""

    def __init__(self, width: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = ConvModule(width, width, 3)
        self.conv2 = Separable(width)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return x + y if self.residual else y


class Attention(nn.Module):
    """Scales every channel by what its mean over the image says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.fc(F.adaptive_avg_pool2d(x, 1)))


class CSP(nn.Module):
    """Half of the channels goes through the blocks, half around them (Wang et al., "CSPNet", CVPRW 2020)."""

    def __init__(self, inputs: int, outputs: int, blocks: int, residual: bool = False, attention: bool = False) -> None:
        super().__init__()
        half = outputs // 2
        self.main_conv = ConvModule(inputs, half, 1)
        self.short_conv = ConvModule(inputs, half, 1)
        self.final_conv = ConvModule(outputs, outputs, 1)
        self.blocks = nn.Sequential(*(Block(half, residual) for _ in range(blocks)))
        self.attention = Attention(outputs) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], 1)
        return self.final_conv(self.attention(y))


class SPP(nn.Module):
    """Maxima over 5, 9 and 13 cells beside the features themselves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvModule(width, width // 2, 1)
        self.conv2 = ConvModule(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(F.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13))], 1))


class CSPNeXt(nn.Module):
    """f32 [B, 3, H, W] -> features at strides 8, 16 and 32."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        stem, one, two, three, four = widths
        self.stem = nn.Sequential(
            ConvModule(3, stem // 2, 3, 2), ConvModule(stem // 2, stem // 2, 3), ConvModule(stem // 2, stem, 3)
        )
        self.stage1 = nn.Sequential(ConvModule(stem, one, 3, 2), CSP(one, one, blocks[0], True, True))
        self.stage2 = nn.Sequential(ConvModule(one, two, 3, 2), CSP(two, two, blocks[1], True, True))
        self.stage3 = nn.Sequential(ConvModule(two, three, 3, 2), CSP(three, three, blocks[2], True, True))
        self.stage4 = nn.Sequential(
            ConvModule(three, four, 3, 2), SPP(four), CSP(four, four, blocks[3], attention=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.stage2(self.stage1(self.stem(x)))
        middle = self.stage3(fine)
        return [fine, middle, self.stage4(middle)]


class Neck(nn.Module):
    """Coarse features to fine ones and back (Liu et al., "Path Aggregation Network", CVPR 2018); one width after it."""

    def __init__(self, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.reduce_layers = nn.ModuleList([ConvModule(coarse, middle, 1), ConvModule(middle, fine, 1)])
        self.top_down_blocks = nn.ModuleList([CSP(2 * middle, middle, blocks), CSP(2 * fine, fine, blocks)])
        self.downsamples = nn.ModuleList([ConvModule(fine, fine, 3, 2), ConvModule(middle, middle, 3, 2)])
        self.bottom_up_blocks = nn.ModuleList([CSP(2 * fine, middle, blocks), CSP(2 * middle, coarse, blocks)])
        self.out_convs = nn.ModuleList(ConvModule(width, fine, 3) for width in widths)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = levels
        coarse = self.reduce_layers[0](coarse)
        middle = self.reduce_layers[1](self.top_down_blocks[0](torch.cat([double(coarse), middle], 1)))
        fine = self.top_down_blocks[1](torch.cat([double(middle), fine], 1))
        middle = self.bottom_up_blocks[0](torch.cat([self.downsamples[0](fine), middle], 1))
        coarse = self.bottom_up_blocks[1](torch.cat([self.downsamples[1](middle), coarse], 1))
        return [conv(x) for conv, x in zip(self.out_convs, (fine, middle, coarse), strict=True)]


class Head(nn.Module):
    """Two convolutions for the classes, two for the distances: the same at every stride, each with its own norms."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.cls_convs, self.reg_convs = towers(width), towers(width)
        self.rtm_cls = nn.ModuleList(nn.Conv2d(width, classes, 1) for _ in STRIDES)
        self.rtm_reg = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in STRIDES)

    def forward(self, levels: list[Tensor]) -> Tensor:
        raw = [
            torch.cat([self.rtm_cls[i](self.cls_convs[i](x)), self.rtm_reg[i](self.reg_convs[i](x))], 1)
            for i, x in enumerate(levels)
        ]
        return torch.cat([x.flatten(2).transpose(1, 2) for x in raw], 1)


def towers(width: int) -> nn.ModuleList:
    """The convolutions of the head for every stride, which share their weights but not their norms."""
    levels = [nn.Sequential(ConvModule(width, width, 3), ConvModule(width, width, 3)) for _ in STRIDES]
    for level in levels[1:]:
        for module, first in zip(level, levels[0], strict=True):
            module.conv = first.conv
    return nn.ModuleList(levels)


def double(x: Tensor) -> Tensor:
    """Twice the size, nearest neighbour."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


FAMILY = Family(
    outputs={"detector": lambda network: Decode(network.input_size)},
    build=lambda network: build(network.size, network.task, network.outputs),
)
