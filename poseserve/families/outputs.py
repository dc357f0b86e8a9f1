"""What turns the raw output of a network into what the contract of its task promises (docs/contracts.md).

Of a pose network: `forward(raw, regions)`; of all others `forward(raw, height, width)`, the input size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.families.decode import decode_centred, decode_quarter, decode_simdr, decode_udp, to_image


class UdpHeatmaps(nn.Module):
    """Heatmaps [B, K, h, w] of networks trained with UDP -> f32 [B, K, 3] in image pixels.

    mirror: the blur of ViTPose's decoding, see decode_udp.
    """

    def __init__(self, mirror: bool = False) -> None:
        super().__init__()
        self.mirror = mirror

    def forward(self, raw: Tensor, regions: Tensor) -> Tensor:
        return to_image(decode_udp(raw, mirror=self.mirror), regions, raw.shape[2], raw.shape[3])


class StrideHeatmaps(nn.Module):
    """Heatmaps [B, K, H/4, W/4] of networks from before UDP (HRNet) -> f32 [B, K, 3] in image pixels."""

    def forward(self, raw: Tensor, regions: Tensor) -> Tensor:
        return to_image(decode_quarter(raw), regions, raw.shape[2], raw.shape[3], stride=4)


class SimdrBins(nn.Module):
    """SimDR's logits of x [B, K, 2W] and y [B, K, 2H] -> f32 [B, K, 3] in image pixels."""

    def forward(self, raw: tuple[Tensor, Tensor], regions: Tensor) -> Tensor:
        x, y = raw
        return to_image(decode_simdr(x, y), regions, y.shape[2] // 2, x.shape[2] // 2)


class CentredHeatmaps(nn.Module):
    """MoveNet's heads [B, 1 + 5 K, H/4, W/4] -> f32 [B, K, 3] in image pixels.

    A position is a share of the crop as TensorFlow resizes images, from edge to edge: the centre of the crop's first
    pixel is half a pixel, an eighth of a cell, behind its beginning.
    """

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.keypoints = keypoints

    def forward(self, raw: Tensor, regions: Tensor) -> Tensor:
        heads = [1, self.keypoints, 2 * self.keypoints, 2 * self.keypoints]
        centre, heatmaps, ways, offsets = raw.float().split(heads, 1)
        x, y, score = decode_centred(centre, heatmaps, ways, offsets).split(1, 2)
        peaks = torch.cat([x - 0.125, y - 0.125, score], 2)
        return to_image(peaks, regions, raw.shape[2], raw.shape[3], stride=4)


class RankedClasses(nn.Module):
    """Logits [B, classes, h, w] -> u8 [B, height, width, 3]: bilinear to full size, then of every pixel the best class,
    the second best, and the sixteenths of a logit by which the best one leads (the margin), at most 255.

    With them the border between two classes can be found between the pixels, without the logits of all classes.
    """

    def forward(self, raw: Tensor, height: int, width: int) -> Tensor:
        logits, classes = _resized(raw, height, width).topk(2, 1)
        margin = ((logits[:, :1] - logits[:, 1:]) * 16).round().clamp(0, 255)
        return torch.cat([classes.to(torch.uint8), margin.to(torch.uint8)], 1).permute(0, 2, 3, 1).contiguous()


class Depth(nn.Module):
    """[B, 1, h, w] -> f16 [B, height, width], relative depth: smaller is nearer, scale and shift are unknown."""

    def forward(self, raw: Tensor, height: int, width: int) -> Tensor:
        return _resized(raw, height, width)[:, 0].half()


class Normals(nn.Module):
    """[B, 3, h, w] -> unit vectors f16 [B, height, width, 3]."""

    def forward(self, raw: Tensor, height: int, width: int) -> Tensor:
        return F.normalize(_resized(raw, height, width), dim=1, eps=1e-5).permute(0, 2, 3, 1).half()


class Features(nn.Module):
    """[B, C, h, w] -> the same in f16."""

    def forward(self, raw: Tensor, height: int, width: int) -> Tensor:
        return raw.half()


class Pointmap(nn.Module):
    """Points [B, 3, h, w] and scale [B, 1] -> f32 [B, height, width, 3], metres from the camera."""

    def forward(self, raw: tuple[Tensor, Tensor], height: int, width: int) -> Tensor:
        points, scale = raw
        return (_resized(points, height, width) / scale.float().view(-1, 1, 1, 1)).permute(0, 2, 3, 1)


class Matting(nn.Module):
    """RGB times alpha, then alpha, 0..1, [B, 4, h, w] -> u8 [B, height, width, 4]."""

    def forward(self, raw: Tensor, height: int, width: int) -> Tensor:
        return (_resized(raw, height, width) * 255).round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)


def _resized(maps: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(maps.float(), size=[height, width], mode="bilinear", align_corners=False)
