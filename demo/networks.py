"""The demo networks: one small trunk and their heads. Inputs are normalised images f32 [B, 3, H, W]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS, BLOCKS = (32, 64, 96, 88), (1, 2, 2, 1)
FEATURES = 48


def conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU: [B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """What two convolutions add to their input, [B, width, H, W] -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(width, width)
        norm = nn.BatchNorm2d(width)
        nn.init.zeros_(norm.weight)  # a new block changes nothing (Goyal et al., arXiv 1706.02677, 5.1)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), norm)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Trunk(nn.Module):
    """Encoder to stride 32 and back: [B, 3, H, W] -> features [B, 48, H/4, W/4]."""

    def __init__(self, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__()
        self.stem = conv(3, 16, 2)
        self.stages = nn.ModuleList()
        self.merges = nn.ModuleList()
        inputs = 16
        for width, count in zip(WIDTHS, blocks, strict=True):
            self.stages.append(nn.Sequential(conv(inputs, width, 2), *(Residual(width) for _ in range(count))))
            inputs = width
        for low, high in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True):
            self.merges.append(conv(low, high, kernel=1))
        self.smooth = nn.ModuleList([conv(96, 96), conv(64, 64), conv(32, FEATURES)])

    def forward(self, x: Tensor) -> Tensor:
        return self.above(self.stem(x))

    def above(self, stem: Tensor) -> Tensor:
        """What `forward` gives, from the output of the stem [B, 16, H/2, W/2]."""
        levels = [stem]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        y = levels[-1]
        for i, (merge, smooth) in enumerate(zip(self.merges, self.smooth, strict=True)):
            skip = levels[-2 - i]
            y = smooth(skip + F.interpolate(merge(y), size=skip.shape[-2:], mode="nearest"))
        return y


class Detector(nn.Module):
    """[B, 3, 640, 640] -> [B, 5, 80, 80]: logit of "a person's box is centred here", log of the distances
    left, top, right, bottom in cells of 8 pixels. One peak per person needs no anchors (Zhou et al., "Objects as
    Points", 2019; distances as in Tian et al., "FCOS", 2019)."""

    STRIDE = 8

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        last = nn.Conv2d(FEATURES, 5, 1)
        last.bias = nn.Parameter(torch.tensor([-4.0, 1.5, 1.5, 1.5, 1.5]))  # few people, of middling size
        self.head = nn.Sequential(conv(FEATURES, FEATURES), last)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(F.avg_pool2d(x, 2)))


class Pose(nn.Module):
    """[B, 3, 256, 192] -> heatmaps [B, K, 64, 48]."""

    def __init__(self, keypoints: int = 17) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Sequential(conv(FEATURES, 32), nn.Conv2d(32, keypoints, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x))


class Parts(nn.Module):
    """[B, 3, 320, 240] -> logits [B, 28, 160, 120]: most of what is wrong in a mask lies at its edges."""

    WIDTH, BLOCKS = 32, (2, 4, 4, 3)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(self.BLOCKS)
        self.fine = conv(16, self.WIDTH, kernel=1)
        self.coarse = conv(FEATURES, self.WIDTH, kernel=1)
        self.head = nn.Sequential(Residual(self.WIDTH), conv(self.WIDTH, self.WIDTH), nn.Conv2d(self.WIDTH, 28, 1))

    def forward(self, x: Tensor) -> Tensor:
        stem = self.trunk.stem(x)
        coarse = self.coarse(self.trunk.above(stem))
        return self.head(self.fine(stem) + F.interpolate(coarse, size=stem.shape[-2:], mode="bilinear"))


class Geometry(nn.Module):
    """[B, 3, 384, 384] -> [B, 1 or 3 for each task, 192, 192]: relative depth, normals of any length.

    Both are trained on one trunk; a network of one task takes from the other's weights what it needs.
    """

    WIDTH, CHANNELS = 24, {"depth": 1, "normals": 3}

    def __init__(self, tasks: Sequence[str] = tuple(CHANNELS)) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.fine = conv(16, self.WIDTH, kernel=1)
        self.coarse = conv(FEATURES, self.WIDTH, kernel=1)
        self.heads = nn.ModuleDict(
            {t: nn.Sequential(conv(self.WIDTH, self.WIDTH), nn.Conv2d(self.WIDTH, self.CHANNELS[t], 1)) for t in tasks}
        )

    def forward(self, x: Tensor) -> Tensor:
        stem = self.trunk.stem(x)
        coarse = self.coarse(self.trunk.above(stem))
        both = self.fine(stem) + F.interpolate(coarse, size=stem.shape[-2:], mode="bilinear")
        return torch.cat([head(both) for head in self.heads.values()], 1)


class CentrePeaks(nn.Module):
    """The detector's raw output [B, 5, 80, 80] -> f32 [B, 100, 5]: its 100 best local maxima as boxes."""

    def forward(self, raw: Tensor) -> Tensor:
        width = raw.shape[3]
        raw = raw.float()
        score = raw[:, :1].sigmoid()
        peak = score == F.max_pool2d(score, 3, 1, 1)
        top, index = torch.where(peak, score, torch.zeros_like(score)).flatten(1).topk(100)
        x = (index % width + 0.5).unsqueeze(2)
        y = (torch.div(index, width, rounding_mode="floor") + 0.5).unsqueeze(2)
        sides = raw[:, 1:].clamp(max=5.0).exp().flatten(2).transpose(1, 2)
        left, above, right, below = sides.gather(1, index.unsqueeze(2).expand(-1, -1, 4)).split(1, 2)
        boxes = torch.cat([x - left, y - above, x + right, y + below], 2) * 8.0
        top = torch.where(top > 0.05, top, torch.zeros_like(top))
        return torch.cat([boxes * (top > 0).unsqueeze(2), top.unsqueeze(2)], 2)
