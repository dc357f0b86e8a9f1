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


class CentredFlipTest(FlipTested):
    """The same for MoveNet's heads [B, 1 + 5 K, h, w] (movenet.py): in the mirror image, whose cells begin where the
    image's end, dx is 1 - dx."""

    order: Tensor
    sign: Tensor

    def __init__(self, network: nn.Module, mirrored: Sequence[int]) -> None:
        super().__init__()
        self.network, keypoints = network, len(mirrored)
        pairs = [2 * index + axis for index in mirrored for axis in (0, 1)]
        heads = ([0], mirrored, pairs, pairs)
        starts = (0, 1, 1 + keypoints, 1 + 3 * keypoints)
        self.register_buffer(
            "order", torch.tensor([s + n for s, head in zip(starts, heads, strict=True) for n in head])
        )
        sign = torch.tensor([1.0] * (1 + keypoints) + [1.0, -1.0] * (2 * keypoints))
        self.register_buffer("sign", sign.view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        back = self.network(x.flip(3)).flip(3)[:, self.order]
        return (self.network(x) + back * self.sign + (1 - self.sign) / 2) / 2
