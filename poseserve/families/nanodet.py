"""NanoDet-g: a small one-stage detector of plain convolutions (RangiLyu, 2021), whose boxes are distributions of
distances (Li et al., "Generalized Focal Loss", NeurIPS 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.errors import InputError
from poseserve.families.boxes import around, best_rows, cells, check_classes
from poseserve.families.family import Family

STAGES = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (256, 3, 2))  # channels, blocks, stride; each doubles the channels
WIDTH = 128  # of pyramid and heads
CLASSES, BINS = 80, 11
VALUES = CLASSES + 4 * BINS  # that the network says of a cell
STRIDES = (8, 16, 32)
SLOPE = 0.1  # of the activation below 0


def build(size: str, task: str, input_size: tuple[int, int]) -> nn.Module:
    """Size g, task detector: RGB f32 [B, 3, H, W] as ImageNet is normalised -> raw [B, N, 80 + 4 * 11], see `NanoDet`.

    Raises InputError for others, and for an H or W that is no multiple of 32.
    """
    if size != "g":
        raise InputError(f"nanodet has no size {size!r}, must be g")
    if task != "detector":
        raise InputError(f"nanodet has no task {task!r}, must be detector")
    if any(side % STRIDES[-1] for side in input_size):
        raise InputError(f"nanodet takes no {input_size[0]} x {input_size[1]} pixels: both must be multiples of 32")
    return NanoDet()


class Decode(nn.Module):
    """Raw predictions of an image of `input_size` (H, W) -> f32 [B, 100, 5] x1, y1, x2, y2, score in input pixels, best
    first, score 0 = empty row. classes: those of COCO's 80 that are served; the best of them scores a box."""

    classes: Tensor
    bins: Tensor
    centres: Tensor
    strides: Tensor

    def __init__(self, classes: Sequence[int] = (0,), input_size: tuple[int, int] = (416, 416)) -> None:
        super().__init__()
        check_classes("nanodet", classes, CLASSES)
        self.height, self.width = input_size
        corners, strides = cells(input_size, STRIDES)
        self.register_buffer("classes", torch.tensor(classes))
        self.register_buffer("bins", torch.arange(float(BINS)))
        self.register_buffer("centres", corners + strides / 2)
        self.register_buffer("strides", strides)

    def forward(self, raw: Tensor) -> Tensor:
        boxes, scores = self.boxes(raw)
        return best_rows(boxes, scores, self.height, self.width)

    def boxes(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Box [B, N, 4] and score [B, N] of every cell."""
        raw = raw.float()
        bins = raw[..., -4 * self.bins.shape[0] :].reshape(raw.shape[0], raw.shape[1], 4, -1)
        distances = (bins.softmax(3) * self.bins).sum(3) * self.strides  # left, top, right, bottom
        return around(self.centres, distances), raw.index_select(2, self.classes).amax(2).sigmoid()


class NanoDet(nn.Module):
    """f32 [B, 3, H, W] -> raw [B, N, 80 + 4 * 11] of every cell at strides 8, 16 and 32, row by row: logits of the
    classes; of the distances left, top, right, bottom, in strides, logits over 0..10."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STAGES[0][0], 3, 2, 1)
        self.stages = nn.ModuleList(Stage(*stage) for stage in STAGES)
        self.laterals = nn.ModuleList(nn.Conv2d(2 * width, WIDTH, 1) for width, _, _ in STAGES[1:])
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTH, WIDTH, 3, 1, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(WIDTH, CLASSES + 4 * BINS, 1)
            )
            for _ in STRIDES
        )

    def forward(self, x: Tensor) -> Tensor:
        x = leaky(self.stem(x.flip(1)))  # the official weights expect BGR
        x = F.max_pool2d(x, 3, 2, 1)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        fine, middle, coarse = (lateral(x) for lateral, x in zip(self.laterals, levels[1:], strict=True))
        middle = middle + double(coarse)
        fine = fine + double(middle)
        middle = middle + F.avg_pool2d(fine, 2)  # bilinear, to half the size
        coarse = coarse + F.avg_pool2d(middle, 2)
        raw = [head(x) for head, x in zip(self.heads, (fine, middle, coarse), strict=True)]
        return torch.cat([x.flatten(2).transpose(1, 2) for x in raw], 1)


class Stage(nn.Module):
    """Half of what comes out went through the blocks, the other half past them (Wang et al., "CSPNet", 2019)."""

    def __init__(self, width: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, width, 3, stride, 1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.leave = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = leaky(self.enter(x))
        return torch.cat([leaky(self.leave(self.blocks(x))), x], 1)


class Block(nn.Module):
    """Two convolutions to half of the channels, the second after the first; the results of both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(n, width // 2, 3, 1, 1) for n in (width, width // 2))

    def forward(self, x: Tensor) -> Tensor:
        first = leaky(self.first(x))
        return torch.cat([leaky(self.second(first)), first], 1)


def leaky(x: Tensor) -> Tensor:
    """The activation of all convolutions but the laterals and the last."""
    return F.leaky_relu(x, SLOPE)


def double(x: Tensor) -> Tensor:
    """Twice the size, bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def own_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The official graph's weights under the names of `NanoDet`; others keep theirs.

    The graph numbers its kernels in the order in which the convolutions are declared here.
    """
    with torch.device("meta"):
        ours = [name for name, module in NanoDet().named_modules() if isinstance(module, nn.Conv2d)]
    theirs = ["PartitionedCall/split" + (f"_{number}" if number else "") for number in range(len(ours))]
    names = {f"{a}.{kind}": f"{b}.{kind}" for a, b in zip(theirs, ours, strict=True) for kind in ("weight", "bias")}
    return {names.get(name, name): tensor for name, tensor in state.items()}


FAMILY = Family(
    outputs={"detector": lambda network: Decode(network.class_indices, network.input_size)},
    build=lambda network: build(network.size, network.task, network.input_size),
    state=lambda state, network: own_state(state),
    options=("class_indices",),
)
