"""Flip tests: a network as the mean of its answers to an image and to its mirror image, at twice the cost."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FlipTested(nn.Module):
    """The base of them; their attribute `network` is the one that is asked twice."""


class FlipTest(FlipTested):
    """A network of maps [B, K, h, w] as the mean of its answers to an image and to its mirror image, at twice the cost.

    mirrored: the index of each keypoint or class in a mirrored image. lag: pixels that the mirror image's maps are
    moved by: 1 for HRNet, whose map's pixel p is the input's pixel 4 p, as in its authors' evaluation.
    """

    mirrored: Tensor

    def __init__(self, network: nn.Module, mirrored: Sequence[int], lag: int = 0) -> None:
        super().__init__()
        self.network, self.lag = network, lag
        self.register_buffer("mirrored", torch.tensor(mirrored))

    def forward(self, x: Tensor) -> Tensor:
        back = self.network(x.flip(3)).flip(3)[:, self.mirrored]
        if self.lag:
            back = torch.cat([back[..., : self.lag], back[..., : -self.lag]], 3)
        return (self.network(x) + back) / 2


class SimdrFlipTest(FlipTested):
    """The same for SimDR's logits of x [B, K, 2W] and y [B, K, 2H]: the mirror image of bin b of x is 2W - 2 - b."""

    mirrored: Tensor

    def __init__(self, network: nn.Module, mirrored: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mirrored", torch.tensor(mirrored))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns, rows = self.network(x)
        columns_back, rows_back = self.network(x.flip(3))
        columns_back = columns_back.flip(2)[:, self.mirrored]
        columns_back = torch.cat([columns_back[..., 1:], columns_back[..., -1:]], 2)
        return (columns + columns_back) / 2, (rows + rows_back[:, self.mirrored]) / 2
