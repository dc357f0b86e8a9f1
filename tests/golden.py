"""Golden data of the official networks: layouts of their checkpoints, and outputs of networks filled by a rule.

No weights are stored: every tensor is drawn from a generator seeded by its own name (see tests/data/README.md).
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / "data"
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
META: dict[str, dict] = json.loads((DATA / "golden.json").read_text())


@cache
def layouts() -> dict[str, list]:
    """Name, as `vitpose/vitpose_s`, -> [key, shape, dtype] of every tensor in the order of the official state dict."""
    return json.loads(gzip.decompress((DATA / "layouts.json.gz").read_bytes()))


@cache
def _arrays() -> dict[str, np.ndarray]:
    with np.load(DATA / "golden.npz") as file:
        return dict(file)


def array(name: str) -> np.ndarray:
    """An array of golden.npz."""
    return _arrays()[name]


def keypoints(name: str) -> np.ndarray:
    """What that variant sees in its golden images, f32 [B, K, 3] x, y, score, each image being one region."""
    with np.load(DATA / "keypoints.golden.npz") as file:
        return file[name]


def fill(key: str, shape: list[int], gain: float = 1.0, bias_gain: float = 1.0) -> Tensor:
    """The value of the tensor `key`, f32; int64 zero for num_batches_tracked."""
    leaf, dims = key.rsplit(".", 1)[-1], len(shape)
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    z = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape, dtype=np.float32)
    if leaf == "running_mean":
        z *= np.float32(0.1)
    elif leaf == "running_var":
        z = 1 + np.float32(0.1) * np.abs(z)
    elif dims >= 2 and ("pos_embed" in leaf or "token" in leaf or leaf == "w_cls"):
        z *= np.float32(0.02)
    elif dims == 4 and "deconv_layers" in key:
        z *= np.float32(gain / math.sqrt(shape[0] * shape[2] * shape[3] / 4))
    elif dims >= 2:
        z *= np.float32(gain / math.sqrt(math.prod(shape[1:])))
    elif leaf in ("weight", "gamma"):
        z = 1 + np.float32(0.1) * z
    else:
        z *= np.float32(0.1 * bias_gain)
    return torch.from_numpy(z)


def filled(layout: list, gain: float = 1.0, bias_gain: float = 1.0) -> dict[str, Tensor]:
    """A state dict of that layout; rotary periods are not in it: the network computes them."""
    return {k: fill(k, s, gain, bias_gain) for k, s, _ in layout if not k.endswith("rope_embed.periods")}


def image(batch: int, height: int, width: int) -> np.ndarray:
    """The golden input: u8 RGB [B, H, W, 3], coarse blocks of 32 pixels under fine ones of 4."""
    rng = np.random.Generator(np.random.PCG64(1234))
    coarse = rng.integers(0, 256, (batch, height // 32, width // 32, 3), dtype=np.int64)
    fine = rng.integers(0, 256, (batch, height // 4, width // 4, 3), dtype=np.int64)
    up = lambda cells, n: cells.repeat(n, 1).repeat(n, 2)  # noqa: E731
    return ((2 * up(coarse, 32) + up(fine, 4)) // 3).astype(np.uint8)


def network_input(name: str) -> Tensor:
    """The normalised golden input of that variant, f32 [B, 3, H, W]."""
    about = META[name]["input"]
    batch, _, height, width = about["shape"]
    pixels = image(batch, height, width)
    assert zlib.crc32(pixels.tobytes()) == about["image_crc32"]
    return ((torch.from_numpy(pixels).float() - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def difference(name: str, output: str, found: Tensor) -> Tensor:
    """Differences at the 256 stored places of that output; its shape must be the golden one."""
    expected = META[name]["outputs"][output]["shape"]
    assert list(found.shape) == expected, f"{output}: {list(found.shape)}, must be {expected}"
    places = torch.from_numpy(array(f"{name}/out/{output}/idx")).long()
    return (found.detach().float().flatten()[places] - torch.from_numpy(array(f"{name}/out/{output}/val"))).abs()
