"""SimDR: each coordinate as a classification over bins of half a pixel (Li et al., "SimCC: A Simple Coordinate
Classification Perspective for Human Pose Estimation", ECCV 2022), on an HRNet."""

from __future__ import annotations

from torch import Tensor, nn

from poseserve.families import outputs
from poseserve.families.family import Family
from poseserve.families.flip import SimdrFlipTest
from poseserve.families.posehrnet import HRNet, widths

SPLIT = 2  # bins per pixel of the input


def build(size: str, task: str, outputs: int, input_size: tuple[int, int] = (256, 192)) -> nn.Module:
    """Size w32 or w48, task pose: f32 [B, 3, H, W] -> logits of x [B, outputs, 2W] and of y [B, outputs, 2H].

    The layers that make the logits know `input_size` (H, W, multiples of 32): a network takes no other.
    """
    return SimDR(widths("simdr", size, task), outputs, input_size)


class SimDR(nn.Module):
    """HRNet, whose maps become logits of bins along x and along y; see `build`."""

    def __init__(self, widths: tuple[int, ...], outputs: int, input_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = input_size
        cells = (height // 4) * (width // 4)
        self.backbone = HRNet(widths)
        self.final_layer = nn.Conv2d(widths[0], outputs, 1)
        self.mlp_head_x = nn.Linear(cells, SPLIT * width)
        self.mlp_head_y = nn.Linear(cells, SPLIT * height)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.final_layer(self.backbone(x)).flatten(2)
        return self.mlp_head_x(maps), self.mlp_head_y(maps)


FAMILY = Family(
    outputs={"pose": lambda network: outputs.SimdrBins()},
    build=lambda network: build(network.size, network.task, network.outputs, network.input_size),
    flip=SimdrFlipTest,
)
