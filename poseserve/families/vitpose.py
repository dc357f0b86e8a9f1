"""ViTPose (Xu et al., NeurIPS 2022) and ViTPose++ (Xu et al., TPAMI 2023): a plain vision transformer for keypoints.

Keys, order and shapes of the state dicts are those of the official single-task checkpoints; `split` makes one of a
multi-task checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poseserve.errors import InputError
from poseserve.families import outputs
from poseserve.families.family import Family
from poseserve.families.layers import PATCH, Attention, named

# width, blocks, attention heads
SIZES = {"s": (384, 12, 12), "b": (768, 12, 12), "l": (1024, 24, 16), "h": (1280, 32, 16)}
GRID = (16, 12)
# Keypoints of the data sets of a multi-task checkpoint, in the order of its experts.
EXPERTS = {"coco": 17, "aic": 14, "mpii": 16, "ap10k": 17, "apt36k": 17, "wholebody": 133}


class Block(nn.Module):
    """Pre-norm transformer block over [B, N, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = named(fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """f32 [B, 3, 256, 192] -> feature map [B, width, 16, 12]."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID[0] * GRID[1], width))
        self.patch_embed = named(proj=nn.Conv2d(3, width, PATCH, PATCH, padding=2))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.last_norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2)
        # The first position belonged to a class token that is gone; it was trained as an offset of all patches.
        tokens = tokens + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        return self.last_norm(self.blocks(tokens)).transpose(1, 2).unflatten(2, GRID)


def network(width: int, depth: int, heads: int, keypoints: int) -> nn.Module:
    """f32 [B, 3, 256, 192] -> heatmaps f32 [B, keypoints, 64, 48]."""
    deconvs: list[nn.Module] = []
    for channels in (width, 256):
        deconvs += [nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
    head = named(deconv_layers=nn.Sequential(*deconvs), final_layer=nn.Conv2d(256, keypoints, 1))
    return named(backbone=Encoder(width, depth, heads), keypoint_head=head)


def build(size: str, task: str, outputs: int) -> nn.Module:
    """The official network of that size for `outputs` keypoints: f32 [B, 3, 256, 192] -> heatmaps [B, outputs, 64, 48].

    ValueError names the accepted sizes and tasks.
    """
    if size not in SIZES or task != "pose":
        raise InputError(
            f"no ViTPose network {size!r} for {task!r}: sizes are {', '.join(SIZES)}, the only task is pose"
        )
    return network(*SIZES[size], outputs)


def split(state: dict[str, Tensor], dataset: str) -> dict[str, Tensor]:
    """The single-task state dict of `dataset` out of a multi-task one (ViTPose+).

    The last rows of every block's second linear layer are an expert of one data set; the data sets after the first have
    heads of their own. ValueError names the accepted data sets, or says that the state holds no experts.
    """
    if dataset not in EXPERTS:
        raise InputError(f"no expert for {dataset!r}: data sets are {', '.join(EXPERTS)}")
    expert = list(EXPERTS).index(dataset)
    if not any(f".mlp.experts.{expert}." in key for key in state):
        raise InputError(f"the checkpoint holds no expert {expert} ({dataset}): load a single-task one as it is")
    head = f"associate_keypoint_heads.{expert - 1}." if expert else "keypoint_head."
    single = {}
    for key, value in state.items():
        if key.startswith("backbone.") and ".experts." not in key:
            if ".mlp.fc2." in key:
                value = torch.cat([value, state[key.replace(".fc2.", f".experts.{expert}.")]])
            single[key] = value
        elif key.startswith(head):
            if "final_layer" in key:
                value = value[: EXPERTS[dataset]]
            single["keypoint_head." + key.removeprefix(head)] = value
    return single


def own_state(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """What of a file belongs to the network `name`, which ends in the name of its data set: one file may hold six."""
    if any(".mlp.experts." in key for key in state):
        return split(state, name.rpartition("-")[2])
    return state


FAMILY = Family(
    outputs={"pose": lambda network: outputs.UdpHeatmaps(mirror=True)},
    build=lambda network: build(network.size, network.task, network.outputs),
    state=lambda state, network: own_state(state, network.name),
)
