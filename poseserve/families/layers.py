"""Parts that several transformer families share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 16  # pixels on each side of a patch, in every family


def named(**parts: nn.Module) -> nn.Sequential:
    """A sequence whose parts carry names."""
    return nn.Sequential(OrderedDict(parts))


class InstanceNorm(nn.InstanceNorm2d):
    """nn.InstanceNorm2d without parameters, whose statistics are float32 in half precision too: on a CPU torch rounds
    them."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.bfloat16:  # the same without a copy in float32; ONNX could not say it, but has no bfloat16
            return F.layer_norm(x, x.shape[2:], eps=self.eps)
        return super().forward(x.float()).to(x.dtype)


def deconvolutions(channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Each width doubles height and width: transposed 4x4 convolution, InstanceNorm, SiLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise([channels, *widths]):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), InstanceNorm(after), nn.SiLU()]
    return nn.Sequential(*layers)


def convolutions(channels: int, widths: Sequence[int], kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Each width: convolution, InstanceNorm, SiLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise([channels, *widths]):
        layers += [nn.Conv2d(before, after, kernel, stride, kernel // 2), InstanceNorm(after), nn.SiLU()]
    return nn.Sequential(*layers)


def attend(q: Tensor, k: Tensor, v: Tensor, head: int) -> Tensor:
    """Scaled dot product attention over [B, heads, N, head].

    cuDNN's kernels take multiples of 8 only: zeros fill up other heads (Sapiens-2B: 60, Sapiens2-5B: 76).
    """
    if head % 8 == 0:
        return F.scaled_dot_product_attention(q, k, v)
    q, k, v = (F.pad(x, (0, -head % 8)) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=head**-0.5)[..., :head]


class Attention(nn.Module):
    """Self-attention over [B, N, width], query, key and value in one projection (Vaswani et al., NeurIPS 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.split = (3, heads, width // heads)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, self.split).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(attend(q, k, v, self.split[2]).transpose(1, 2).flatten(2))
