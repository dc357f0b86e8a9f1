"""Sapiens, first generation (Khirodkar et al., "Sapiens: Foundation for Human Vision Models", ECCV 2024).

A plain vision transformer (Dosovitskiy et al., ICLR 2021) under a head of deconvolutions. Keys, order and shapes of the
state dicts are those of the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.errors import InputError
from poseserve.families import outputs
from poseserve.families.family import Family
from poseserve.families.layers import PATCH, Attention, convolutions, deconvolutions, named

# width, blocks, attention heads
SIZES = {"0.3b": (1024, 24, 16), "0.6b": (1280, 32, 16), "1b": (1536, 40, 24), "2b": (1920, 48, 32)}
# widths of the deconvolutions, widths of the 1x1 convolutions
HEADS = {
    "pose": ((768, 768), (768, 768)),
    "parts": ((768, 768, 768), (768, 768, 768)),
    "depth": ((384, 384, 384, 384), (384, 384)),
    "normals": ((768, 768, 768), (768, 768, 768)),
}
TASKS = (*HEADS, "features")
# Zeros around the image. Both paddings give the same grid and the same keys, so only the answer shows a wrong one.
PADDING = {"pose": 2, "parts": 0, "depth": 0, "normals": 2}


class Block(nn.Module):
    """Pre-norm transformer block over [B, N, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ln2 = nn.LayerNorm(width, eps=1e-6)
        inner = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU())
        self.ffn = named(layers=nn.Sequential(inner, nn.Linear(4 * width, width)))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))


class Encoder(nn.Module):
    """f32 [B, 3, H, W] -> feature map [B, width, H/16, W/16].

    grid: rows and columns of the position table. padding: pixels of zeros around the image. With a class token, as in
    the pretrained encoders, H and W may be any multiples of 16: the table is interpolated; without, they are 16 times
    the grid.
    """

    def __init__(
        self, width: int, depth: int, heads: int, grid: tuple[int, int], padding: int = 0, class_token: bool = False
    ) -> None:
        super().__init__()
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.pos_embed = nn.Parameter(torch.zeros(1, class_token + grid[0] * grid[1], width))
        self.patch_embed = named(projection=nn.Conv2d(3, width, PATCH, PATCH, padding))
        self.layers = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.ln1 = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed(images)
        tokens = self.encode(patches)
        if self.cls_token is not None:
            tokens = tokens[:, 1:]
        return tokens.transpose(1, 2).reshape_as(patches)

    def tokens(self, images: Tensor) -> Tensor:
        """f32 [B, 3, H, W] -> tokens [B, N, width], the class token first where there is one, then rows of patches."""
        return self.encode(self.patch_embed(images))

    def encode(self, patches: Tensor) -> Tensor:
        """Embedded patches [B, width, h, w] -> tokens [B, N, width]."""
        tokens = patches.flatten(2).transpose(1, 2)
        if self.cls_token is None:
            return self.ln1(self.layers(tokens + self.pos_embed))
        table = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, self.grid)
        table = F.interpolate(table, patches.shape[2:], mode="bicubic")  # exact where nothing changes
        tokens = tokens + table.flatten(2).transpose(1, 2)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(tokens.shape[0], -1, -1)
        return self.ln1(self.layers(torch.cat([first, tokens], 1)))


class DenseHead(nn.Module):
    """Feature map [B, channels, h, w] -> [B, outputs, s h, s w], s = 2 ** number of deconvolutions."""

    def __init__(self, channels: int, deconvs: Sequence[int], convs: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(convs[-1], outputs, 1)
        self.deconv_layers = deconvolutions(channels, deconvs)
        self.conv_layers = convolutions(deconvs[-1], convs)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv_seg(self.conv_layers(self.deconv_layers(features)))


def network(
    task: str,
    encoder: tuple[int, int, int],
    grid: tuple[int, int],
    deconvs: Sequence[int],
    convs: Sequence[int],
    outputs: int,
) -> nn.Module:
    """The network of a task with a head: f32 [B, 3, 16 rows, 16 columns] -> f32 [B, outputs, ...].

    encoder: width, blocks, attention heads. grid: rows, columns. deconvs, convs: widths of the head.
    """
    width = encoder[0]
    backbone = Encoder(*encoder, grid, PADDING[task])
    if task != "pose":
        return named(backbone=backbone, decode_head=DenseHead(width, deconvs, convs, outputs))
    head = named(
        deconv_layers=deconvolutions(width, deconvs),
        conv_layers=convolutions(deconvs[-1], convs),
        final_layer=nn.Conv2d(convs[-1], outputs, 1),
    )
    return named(backbone=backbone, head=head)


def build(size: str, task: str, outputs: int) -> nn.Module:
    """The official network of that size and task; `outputs` channels, which "features" ignores.

    f32 [B, 3, 1024, 768] -> pose: heatmaps [B, K, 256, 192]; parts: logits [B, 28, 512, 384]; depth, smaller is nearer:
    [B, 1, 1024, 768]; normals, not of unit length: [B, 3, 512, 384]. features: [B, 3, H, W], trained at 1024 x 1024 ->
    [B, width, H/16, W/16]. ValueError names the accepted sizes and tasks.
    """
    if size not in SIZES or task not in TASKS:
        raise InputError(
            f"no Sapiens network {size!r} for {task!r}: sizes are {', '.join(SIZES)}, tasks {', '.join(TASKS)}"
        )
    if task == "features":
        return Encoder(*SIZES[size], grid=(64, 64), class_token=True)
    return network(task, SIZES[size], (64, 48), *HEADS[task], outputs)


FAMILY = Family(
    outputs={
        "pose": lambda network: outputs.UdpHeatmaps(),
        "parts": lambda network: outputs.RankedClasses(),
        "depth": lambda network: outputs.Depth(),
        "normals": lambda network: outputs.Normals(),
        "features": lambda network: outputs.Features(),
    },
    build=lambda network: build(network.size, network.task, network.outputs),
)
