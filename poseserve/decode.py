"""From heatmaps to keypoints, in torch, so that it can live inside an exported network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def decode_udp(heatmaps: Tensor, max_offset: float = 2.0) -> Tensor:
    """Sub-pixel peaks of UDP heatmaps: f32 [B, K, h, w] -> f32 [B, K, 3], x and y in heatmap pixels, score.

    The score is the raw maximum, not below 0; a map without a positive value scores 0 at its arg max. One Newton step
    on the log of the blurred map (DARK: Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose
    Estimation", CVPR 2020, equation 7; blur and clip bounds as in the Sapiens post-processing), at most `max_offset`
    pixels on each axis: beyond that the peak is noise, and the arg max stands.
    """
    batch, joints, height, width = heatmaps.shape
    maps = heatmaps.float().reshape(batch * joints, 1, height, width)
    flat = maps.flatten(1)
    score, index = flat.max(1)
    column = index % width
    row = torch.div(index, width, rounding_mode="floor")

    blurred = _blur(maps)
    gain = (score / blurred.flatten(1).amax(1).clamp(min=1e-12)).view(-1, 1, 1, 1)
    logs = F.pad((blurred * gain).clamp(1e-3, 50.0).log(), (1, 1, 1, 1), mode="replicate")
    # The 3 x 3 neighbourhood of every peak, whose top left corner in the padded map has the peak's row and column.
    three = torch.arange(3, device=heatmaps.device)
    cells = ((row * (width + 2) + column).view(-1, 1, 1) + three.view(3, 1) * (width + 2) + three).flatten(1)
    n = logs.flatten(1).gather(1, cells).unbind(1)

    dx, dy = (n[5] - n[3]) / 2, (n[7] - n[1]) / 2
    eps = 1.1920929e-7
    dxx, dyy = n[5] - 2 * n[4] + n[3] + eps, n[7] - 2 * n[4] + n[1] + eps
    dxy = (n[8] - n[5] - n[7] + 2 * n[4] - n[3] - n[1] + n[0]) / 2
    determinant = dxx * dyy - dxy * dxy
    shift_x = (dxy * dy - dyy * dx) / determinant
    shift_y = (dxy * dx - dxx * dy) / determinant
    sane = (shift_x.abs() <= max_offset) & (shift_y.abs() <= max_offset) & (score > 0)  # false for NaN too
    zero = torch.zeros_like(shift_x)
    x = column + torch.where(sane, shift_x, zero)
    y = row + torch.where(sane, shift_y, zero)
    return torch.stack([x, y, score.clamp(min=0)], 1).view(batch, joints, 3)


def _blur(maps: Tensor, kernel: int = 11, sigma: float = 2.0) -> Tensor:
    """Gaussian blur with zeros outside, [N, 1, h, w]; sigma is what OpenCV derives from an 11 x 11 kernel."""
    half = kernel // 2
    taps = (-0.5 * ((torch.arange(kernel, device=maps.device) - half) / sigma) ** 2).exp()
    taps = (taps / taps.sum()).to(maps.dtype)
    maps = F.conv2d(maps, taps.view(1, 1, 1, -1), padding=[0, half])
    return F.conv2d(maps, taps.view(1, 1, -1, 1), padding=[half, 0])


def to_image(peaks: Tensor, regions: Tensor, height: int, width: int) -> Tensor:
    """Heatmap pixels to image pixels: the inverse of the UDP crop.

    peaks f32 [B, K, 3] of maps of `height` x `width`; regions f32 [B, 4] centre x, centre y, width, height.
    """
    centre, size = regions[:, None, :2], regions[:, None, 2:]
    x = peaks[..., :1] / (width - 1) * size[..., :1]
    y = peaks[..., 1:2] / (height - 1) * size[..., 1:]
    return torch.cat([torch.cat([x, y], 2) + centre - size / 2, peaks[..., 2:]], 2)
