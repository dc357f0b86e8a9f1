"""Parts that several transformer families share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 16  # pixels on each side of a patch, in every family


def named(**parts: nn.Module) -> nn.Sequential:
    """A sequence whose parts carry names."""
    return nn.Sequential(OrderedDict(parts))


def deconvolutions(channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Each width doubles height and width: transposed 4x4 convolution, InstanceNorm, SiLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise([channels, *widths]):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.InstanceNorm2d(after), nn.SiLU()]
    return nn.Sequential(*layers)


def convolutions(
    channels: int,
    widths: Sequence[int],
    kernel: int = 1,
    stride: int = 1,
    norm: Callable[[int], nn.Module] = nn.InstanceNorm2d,
) -> nn.Sequential:
    """Each width: convolution, norm, SiLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise([channels, *widths]):
        layers += [nn.Conv2d(before, after, kernel, stride, kernel // 2), norm(after), nn.SiLU()]
    return nn.Sequential(*layers)


class Attention(nn.Module):
    """Self-attention over [B, N, width], query, key and value in one projection (Vaswani et al., NeurIPS 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.split = (3, heads, width // heads)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, self.split).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
