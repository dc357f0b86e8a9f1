"""From heatmaps to keypoints, in torch, so that it can live inside an exported network.

Of finite maps every `decode_*` makes finite numbers, and no score below 0. Positions are in pixels of the map
(`decode_simdr`: of the network's input); `to_image` takes them to the image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def decode_udp(heatmaps: Tensor, max_offset: float = 2.0, mirror: bool = False) -> Tensor:
    """Sub-pixel peaks of UDP heatmaps: f32 [B, K, h, w] -> f32 [B, K, 3], x and y in heatmap pixels, score.

    The score is the raw maximum, not below 0; a map without a positive value scores 0 at its arg max. One Newton step
    on the log of the blurred map (DARK: Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose
    Estimation", CVPR 2020, equation 7), at most `max_offset` pixels on each axis: beyond that the peak is noise, and
    the arg max stands. The blur sees zeros outside the map and its result is scaled to the old maximum, as in the
    Sapiens post-processing; with `mirror` it sees the map's mirror image and nothing is scaled, as in ViTPose's.
    """
    batch, joints, height, width = heatmaps.shape
    maps = heatmaps.float()
    score, index = maps.flatten(0, 1).flatten(1).max(1)
    column = index % width
    row = torch.div(index, width, rounding_mode="floor")

    blurred = _blur(maps, mirror).flatten(0, 1).flatten(1)
    # The 3 x 3 neighbourhood of every peak; at a border the map repeats its last row or column.
    three = torch.arange(-1, 2, device=heatmaps.device)
    rows = (row.view(-1, 1, 1) + three.view(3, 1)).clamp(0, height - 1)
    columns = (column.view(-1, 1, 1) + three).clamp(0, width - 1)
    near = blurred.gather(1, (rows * width + columns).flatten(1))
    if not mirror:
        near = near * (score / blurred.amax(1).clamp(min=1e-12)).view(-1, 1)
    n = near.clamp(1e-3, 50.0).log().unbind(1)

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


def _blur(maps: Tensor, mirror: bool, kernel: int = 11, sigma: float = 2.0) -> Tensor:
    """Gaussian blur, [B, K, h, w]; sigma is what OpenCV derives from an 11 x 11 kernel.

    Maps are channels, each blurred by itself: as images of one channel they take a CPU five times as long.
    """
    half, joints = kernel // 2, int(maps.shape[1])  # a number in a trace too: ONNX needs to know the kernel
    taps = (-0.5 * ((torch.arange(kernel, device=maps.device) - half) / sigma) ** 2).exp()
    taps = (taps / taps.sum()).to(maps.dtype).expand(joints, 1, 1, kernel)
    maps = F.pad(maps, [half, half, half, half], mode="reflect" if mirror else "constant")
    return F.conv2d(F.conv2d(maps, taps, groups=joints), taps.transpose(2, 3), groups=joints)


def decode_quarter(heatmaps: Tensor) -> Tensor:
    """Peaks of heatmaps: f32 [B, K, h, w] -> f32 [B, K, 3], x and y in heatmap pixels, score.

    The arg max, moved on each axis by a quarter of a pixel towards the larger neighbour (Newell et al., "Stacked
    Hourglass Networks for Human Pose Estimation", ECCV 2016) where 1 < x < w - 1 and 1 < y < h - 1, as HRNet is
    evaluated. The score is the raw maximum, not below 0; a map without a positive value scores 0 at its arg max.
    """
    width, height = heatmaps.shape[3], heatmaps.shape[2]
    flat = heatmaps.float().flatten(2)
    score, index = flat.max(2, keepdim=True)
    x = index % width
    y = torch.div(index, width, rounding_mode="floor")
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1) & (score > 0)
    centre = torch.where(inside, index, torch.full_like(index, width + 1))
    dx = flat.gather(2, centre + 1) - flat.gather(2, centre - 1)
    dy = flat.gather(2, centre + width) - flat.gather(2, centre - width)
    shift = torch.cat([dx, dy], 2).sign() * inside * 0.25
    return torch.cat([torch.cat([x, y], 2) + shift, score.clamp(min=0)], 2)


def decode_simdr(x: Tensor, y: Tensor, split: int = 2) -> Tensor:
    """Positions from logits over bins: f32 [B, K, split * W] and [B, K, split * H] -> f32 [B, K, 3], x and y in pixels
    of the network's input, score 0..1.

    Bin b is pixel b / split. On each axis the arg max moves to the vertex of the parabola through it and its two
    neighbours in the log of the softmax: at most half a bin, and exact for a Gaussian of any width. It is DARK's Newton
    step (see decode_udp) in one dimension.

    A softmax maximum says how narrow the bins are, not how sure the network is. The score is what a heatmap would show
    at that position: the expectation of HRNet's target, a Gaussian of 8 input pixels around it, the product of both
    axes; about 0.002 for constant logits.
    """
    px, sx = _bin_peak(x.float(), 8.0 * split)
    py, sy = _bin_peak(y.float(), 8.0 * split)
    return torch.cat([px / split, py / split, sx * sy], 2)


def _bin_peak(logits: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Position and score [B, K, 1] of logits [B, K, N], in bins."""
    last = logits.shape[2] - 1
    top, index = logits.max(2, keepdim=True)
    # How far the peak stands above its neighbours; the cap keeps the arithmetic finite.
    left = (top - logits.gather(2, (index - 1).clamp(min=0))).clamp(max=1e6)
    right = (top - logits.gather(2, (index + 1).clamp(max=last))).clamp(max=1e6)
    shift = 0.5 * (left - right) / (left + right).clamp(min=1e-12)
    position = index + shift * ((index > 0) & (index < last))
    bins = torch.arange(last + 1, device=logits.device)
    weight = (-0.5 * ((bins - position) / sigma) ** 2).exp()
    return position, (logits.softmax(2) * weight).sum(2, keepdim=True)


def decode_centred(centre: Tensor, heatmaps: Tensor, ways: Tensor, offsets: Tensor) -> Tensor:
    """The person in the middle, f32 [B, K, 3], x and y in cells, score 0..1, as MoveNet's graph does it.

    centre [B, 1, h, w], heatmaps [B, K, h, w]: logits. ways, offsets [B, 2 K, h, w], dy and dx of every keypoint in
    cells. Of each map the arg max of its probability divided by a distance: for the centre from the middle, for a
    keypoint from where the way from the centre leads. A keypoint is at its offset from that cell, with the probability
    there as its score.
    """
    height, width = centre.shape[2], centre.shape[3]
    rows = torch.arange(height, device=centre.device).float().view(1, 1, height, 1)
    columns = torch.arange(width, device=centre.device).float().view(1, 1, 1, width)
    cells = _likely_and_near(centre, rows - height // 2, columns - width // 2)
    y, x = _reached(ways, cells)
    cells = _likely_and_near(heatmaps, rows - y.unsqueeze(3), columns - x.unsqueeze(3))
    y, x = _reached(offsets, cells)
    return torch.cat([x, y, heatmaps.flatten(2).gather(2, cells).sigmoid()], 2)


def _likely_and_near(logits: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    """Of each map [B, K, h, w] the index [B, K, 1] of the best cell: its probability divided by its distance, of which
    dy and dx are the parts, plus the graph's 1.8 cells."""
    return (logits.sigmoid() / ((dy * dy + dx * dx).sqrt() + 1.8)).flatten(2).argmax(2, keepdim=True)


def _reached(vectors: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """y and x [B, K, 1] where the vectors [B, 2 K, h, w] lead from those cells, [B, K, 1] or one for all [B, 1, 1]."""
    width = vectors.shape[3]
    pairs = vectors.reshape(vectors.shape[0], -1, 2, vectors.shape[2] * width)
    dy, dx = pairs.gather(3, cells.unsqueeze(2).expand(-1, pairs.shape[1], 2, 1)).unbind(2)
    return torch.div(cells, width, rounding_mode="floor") + dy, cells % width + dx


def to_image(peaks: Tensor, regions: Tensor, height: int, width: int, stride: int = 1) -> Tensor:
    """Positions in a map of `height` x `width` to image pixels: the inverse of the UDP crop.

    peaks f32 [B, K, 3]; regions f32 [B, 4] centre x, centre y, width, height. Stride 1: the corner pixels of map and
    crop coincide, as in UDP heatmaps, or the map is the crop itself. Else pixel p of the map is pixel stride * p of the
    crop, as in the heatmaps of networks from before UDP (HRNet: 4).
    """
    centre, size = regions[:, None, :2], regions[:, None, 2:]
    # The crop's last pixel, stride * width - 1, in pixels of the map.
    x = peaks[..., :1] / (width - 1 / stride) * size[..., :1]
    y = peaks[..., 1:2] / (height - 1 / stride) * size[..., 1:]
    return torch.cat([torch.cat([x, y], 2) + centre - size / 2, peaks[..., 2:]], 2)
