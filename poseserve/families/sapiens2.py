"""Sapiens2, the second generation of Sapiens: rotary positions, register tokens, RMS norms, grouped queries.

Keys, order and shapes of the state dicts are those of the official checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.errors import InputError
from poseserve.families import outputs
from poseserve.families.family import Family
from poseserve.families.layers import PATCH, InstanceNorm, attend, convolutions, deconvolutions, named

# width, blocks, attention heads
SIZES = {
    "0.1b": (768, 12, 12),
    "0.4b": (1024, 24, 16),
    "0.8b": (1280, 32, 16),
    "1b": (1536, 40, 24),
    "1b_4k": (1536, 40, 24),
    "5b": (2432, 56, 32),
}
# Widths of the deconvolutions or upsampling blocks, widths of the convolutions: of most sizes, then the exceptions.
HEADS = {
    "pose": ((1024, 768), (512, 512, 256)),
    "parts": ((512, 256, 128, 64), (64, 64)),
    "normals": ((768, 512, 256, 128), (64, 32, 16)),
    "pointmap": ((1536, 768, 512, 256), (64, 32, 16)),
    "matting": ((768, 512, 256, 128), (64, 32, 16)),
}
OTHER_HEADS = {
    ("1b", "pose"): ((1536, 1024), (768, 512, 256)),
    ("5b", "normals"): ((1536, 768, 512, 256), (128, 64, 32)),
    ("5b", "pointmap"): ((1536, 768, 768, 768), (128, 64, 32)),
}
# Widths of the strided convolutions, widths of the linear layers.
SCALE_HEAD = ((1536, 512, 128), (512, 128))
# Official names of the last convolution.
LAST = {
    "pose": "conv_pose",
    "parts": "conv_seg",
    "normals": "conv_normal",
    "matting": "conv_matting",
}
TASKS = (*HEADS, "features")
REGISTERS = 8
PREFIX = 1 + REGISTERS  # class token and registers, before the patches
WINDOW = 4  # patches on each side of a window that the 4K tokenizer makes one token


class RMSNorm(nn.Module):
    """Divide by the root mean square over the last dimension (Zhang and Sennrich, NeurIPS 2019), in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        return (y * (y.square().mean(-1, keepdim=True) + 1e-6).rsqrt()).to(x.dtype) * self.weight


class Scale(nn.Module):
    """A learned factor for every channel (LayerScale: Touvron et al., ICCV 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Rotary(nn.Module):
    """Tables of axial rotary positions (Su et al., "RoFormer", 2021; Heo et al., ECCV 2024): cos, sin, each [N, head].

    Each axis runs from -1 to 1 over the grid; the angle is 2 pi coordinate / period, first those of the row, then those
    of the column. The prefix tokens are not rotated. The published networks were trained with every operation rounded
    to bfloat16, so `dtype` is the arithmetic of the tables as well as of the rotation, whatever the network's own.
    """

    periods: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(self, head: int, grid: tuple[int, int], dtype: torch.dtype) -> None:
        super().__init__()
        self.grid, self.dtype = grid, dtype
        # On the CPU, so that a network built on the meta device has its tables and every device the same ones.
        steps = 2 * torch.arange(head // 4, dtype=dtype, device="cpu") / (head // 2)
        self.register_buffer("periods", 100**steps)
        self.register_buffer("cos", None, persistent=False)
        self.register_buffer("sin", None, persistent=False)
        self.tabulate()

    def tabulate(self) -> None:
        """Compute the tables from the periods."""
        periods = self.periods.to("cpu", self.dtype)
        sides = ((torch.arange(n, dtype=self.dtype, device="cpu") + 0.5) / n * 2 - 1 for n in self.grid)
        rows, columns = (2 * math.pi * side[:, None] / periods for side in sides)
        height, width = self.grid
        angles = torch.cat([rows.repeat_interleave(width, 0), columns.repeat(height, 1)], 1).repeat(1, 2)
        angles = F.pad(angles, (0, 0, PREFIX, 0))
        self.cos, self.sin = angles.cos().to(self.periods.device), angles.sin().to(self.periods.device)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.tabulate()  # a checkpoint's own periods count

    def forward(self) -> tuple[Tensor, Tensor]:
        return self.cos.to(self.dtype), self.sin.to(self.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + head / 2) of x [B, heads, N, head], in the arithmetic of the tables' dtype."""
    y = x.to(cos.dtype)
    first, second = y.chunk(2, -1)
    return (y * cos + torch.cat([-second, first], -1) * sin).to(x.dtype)


class Attention(nn.Module):
    """Self-attention over [B, N, width]; heads // kv_heads queries share a key (Ainslie et al., EMNLP 2023).

    `plain`, in the 4K tokenizer: no norm of queries and keys and no scale of the result.
    """

    def __init__(self, width: int, heads: int, kv_heads: int, plain: bool = False) -> None:
        super().__init__()
        self.head, self.shared = width // heads, heads // kv_heads
        self.wq = nn.Linear(width, width)
        self.wk = nn.Linear(width, kv_heads * self.head)
        self.wv = nn.Linear(width, kv_heads * self.head)
        self.q_norm = nn.Identity() if plain else RMSNorm(self.head)
        self.k_norm = nn.Identity() if plain else RMSNorm(self.head)
        self.proj = nn.Linear(width, width)
        self.gamma = nn.Identity() if plain else Scale(width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        q, k, v = (w(x).unflatten(2, (-1, self.head)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        if self.shared > 1:
            k, v = k.repeat_interleave(self.shared, 1), v.repeat_interleave(self.shared, 1)
        x = attend(q, k, v, self.head).transpose(1, 2).flatten(2)
        return self.gamma(self.proj(x))


class FeedForward(nn.Module):
    """SwiGLU (Shazeer, "GLU Variants Improve Transformer", 2020) over [B, N, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 8 * width)
        self.w3 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(gate) * value)


class Block(nn.Module):
    """Pre-norm transformer block over [B, N, width]."""

    def __init__(self, width: int, heads: int, kv_heads: int, plain: bool = False) -> None:
        super().__init__()
        self.ln1 = RMSNorm(width)
        self.attn = Attention(width, heads, kv_heads, plain)
        self.ln2 = RMSNorm(width)
        self.ffn = FeedForward(width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        x = x + self.attn(self.ln1(x), rotation)
        return x + self.ffn(self.ln2(x))


class Tokenizer(nn.Module):
    """One token for every window of 4 x 4 patches: [B, width, 4 h, 4 w] -> [B, h w, width]."""

    def __init__(self, width: int, depth: int, heads: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.windows = grid[0] * grid[1]
        self.local_pos_embed = nn.Parameter(torch.zeros(1, 1 + WINDOW**2, width))
        self.w_cls = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.Sequential(*(Block(width, heads, heads, plain=True) for _ in range(depth)))

    def forward(self, patches: Tensor) -> Tensor:
        x = patches.unflatten(3, (-1, WINDOW)).unflatten(2, (-1, WINDOW))
        x = x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(0, 2)
        x = torch.cat([self.w_cls.expand(x.shape[0], -1, -1), x], 1) + self.local_pos_embed
        return self.blocks(x)[:, 0].unflatten(0, (-1, self.windows))


class Encoder(nn.Module):
    """f32 [B, 3, *input_size] -> feature map [B, width, *grid].

    rotary: dtype of the rotary arithmetic, bfloat16 as published or float32. tokenizer: blocks of the 4K tokenizer,
    0 for none; with one the grid is input_size / 64, else input_size / 16.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        input_size: tuple[int, int] = (1024, 768),
        rotary: torch.dtype = torch.bfloat16,
        tokenizer: int = 0,
    ) -> None:
        super().__init__()
        cell = PATCH * WINDOW if tokenizer else PATCH
        if input_size[0] % cell or input_size[1] % cell:
            raise InputError(f"input size {input_size}: height and width must be multiples of {cell}")
        self.grid = (input_size[0] // cell, input_size[1] // cell)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.storage_tokens = nn.Parameter(torch.zeros(1, REGISTERS, width))
        self.patch_embed = named(projection=nn.Conv2d(3, width, PATCH, PATCH))
        self.rope_embed = Rotary(width // heads, self.grid, rotary)
        self.tokenizer = Tokenizer(width, tokenizer, heads, self.grid) if tokenizer else None
        # All but the first and the last eight blocks share each key between two queries.
        self.blocks = nn.ModuleList(
            Block(width, heads, heads // 2 if 8 <= i < depth - 8 else heads) for i in range(depth)
        )
        self.ln1 = RMSNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        return self.tokens(images)[:, PREFIX:].transpose(1, 2).unflatten(2, self.grid)

    def tokens(self, images: Tensor) -> Tensor:
        """f32 [B, 3, *input_size] -> [B, N, width]: class token, 8 registers, rows of patches."""
        patches = self.patch_embed(images)
        x = patches.flatten(2).transpose(1, 2) if self.tokenizer is None else self.tokenizer(patches)
        prefix = torch.cat([self.cls_token, self.storage_tokens], 1).expand(x.shape[0], -1, -1)
        x = torch.cat([prefix, x], 1)
        rotation = self.rope_embed()
        for block in self.blocks:
            x = block(x, rotation)
        return self.ln1(x)


class PointmapHead(nn.Module):
    """Feature map [B, channels, *grid] -> points [B, outputs, 16 h, 16 w] and scale [B, 1]; metric = points / scale.

    scale: widths of the 1x1 convolutions of stride 2, widths of the linear layers of the scale's own branch.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        ups: Sequence[int],
        convs: Sequence[int],
        outputs: int,
        scale: tuple[Sequence[int], Sequence[int]],
    ) -> None:
        super().__init__()
        self.input_conv, self.upsample_blocks, self.conv_layers = upsampling(channels, ups, convs)
        scale_convs, linears = scale
        stride = 2 ** len(scale_convs)
        cells = math.ceil(grid[0] / stride) * math.ceil(grid[1] / stride)
        self.scale_conv_layers = convolutions(channels, scale_convs, stride=2)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise([scale_convs[-1] * cells, *linears]):
            layers += [nn.Linear(before, after), nn.SiLU()]
        self.scale_final_layer = nn.Sequential(*layers, nn.Linear(linears[-1], 1))
        self.conv_pointmap = nn.Conv2d(convs[-1], outputs, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        points = self.conv_layers(self.upsample_blocks(self.input_conv(features)))
        return self.conv_pointmap(points), self.scale_final_layer(self.scale_conv_layers(features))


def upsampling(
    channels: int, ups: Sequence[int], convs: Sequence[int]
) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
    """A convolution, blocks that double height and width by pixel shuffle (Shi et al., CVPR 2016), convolutions."""
    blocks = nn.Sequential(
        *(
            nn.Sequential(
                nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2), InstanceNorm(after), nn.SiLU()
            )
            for before, after in pairwise([channels, *ups])
        )
    )
    return convolutions(channels, [channels], 3), blocks, convolutions(ups[-1], convs, 3)


def head(
    task: str,
    channels: int,
    grid: tuple[int, int],
    ups: Sequence[int],
    convs: Sequence[int],
    outputs: int,
    scale: tuple[Sequence[int], Sequence[int]] = SCALE_HEAD,
) -> nn.Module:
    """The head of a task on a feature map [B, channels, *grid]; ups, convs, scale: its widths, as in the tables."""
    if task == "pointmap":
        return PointmapHead(channels, grid, ups, convs, outputs, scale)
    parts: dict[str, nn.Module]
    if task in ("pose", "parts"):
        parts = {"deconv_layers": deconvolutions(channels, ups), "conv_layers": convolutions(ups[-1], convs)}
    else:
        layers = upsampling(channels, ups, convs)
        parts = dict(zip(("input_conv", "upsample_blocks", "conv_layers"), layers, strict=True))
    parts[LAST[task]] = nn.Conv2d(convs[-1], outputs, 1)
    if task == "matting":
        parts["sigmoid"] = nn.Sigmoid()
    return named(**parts)


def build(size: str, task: str, outputs: int, rotary: torch.dtype = torch.bfloat16) -> nn.Module:
    """The official network of that size and task; `outputs` channels, which "features" ignores.

    f32 [B, 3, 1024, 768] -> pose: heatmaps [B, 308, 256, 192]; parts: logits [B, 29, 1024, 768]; normals, not of unit
    length: [B, 3, 1024, 768]; pointmap: points [B, 3, 1024, 768] and scale [B, 1]; matting: [B, 4, 1024, 768], RGB
    times alpha, then alpha, 0..1; features: [B, width, 64, 48]. Size 1b_4k takes
    [B, 3, 4096, 3072]. rotary: dtype of the rotary arithmetic, bfloat16 as published or float32. ValueError names what
    is accepted.
    """
    if size not in SIZES or task not in TASKS:
        raise InputError(
            f"no Sapiens2 network {size!r} for {task!r}: sizes are {', '.join(SIZES)}, tasks {', '.join(TASKS)}"
        )
    if task == "features":
        large = size == "1b_4k"
        return Encoder(*SIZES[size], (4096, 3072) if large else (1024, 768), rotary, tokenizer=4 if large else 0)
    if size in ("0.1b", "1b_4k") or (task == "matting" and size != "1b"):
        raise InputError(
            f"no Sapiens2 network {size!r} for {task!r}: 0.1b and 1b_4k have features only, matting is 1b only"
        )
    encoder = Encoder(*SIZES[size], rotary=rotary)
    widths = OTHER_HEADS.get((size, task), HEADS[task])
    return named(backbone=encoder, decode_head=head(task, SIZES[size][0], encoder.grid, *widths, outputs))


FAMILY = Family(
    outputs={
        "pose": lambda network: outputs.UdpHeatmaps(),
        "parts": lambda network: outputs.RankedClasses(),
        "normals": lambda network: outputs.Normals(),
        "pointmap": lambda network: outputs.Pointmap(),
        "matting": lambda network: outputs.Matting(),
        "features": lambda network: outputs.Features(),
    },
    build=lambda network: build(network.size, network.task, network.outputs),
    build_portable=lambda network: build(network.size, network.task, network.outputs, rotary=torch.float32),
)
