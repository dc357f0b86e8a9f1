"""The contracts of docs/contracts.md around bare networks: uint8 in, numbers of the image out.

A bare network takes normalised [B, 3, H, W] and answers as its authors defined it; the module beside it turns that raw
answer into what the contract promises. Every contract works through its batch in chunks, so memory stays flat however
many people the batch holds, and writes into none of its inputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.families.decode import decode_quarter, decode_simdr, decode_udp, to_image
from poseserve.networks.batch_sizes import CPU_ROWS, GPU_ROWS

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Normalise(nn.Module):
    """u8 [B, H, W, 3] -> [B, 3, H, W] of `dtype`, (x - mean) / std per channel, on the 0..255 scale."""

    mean: Tensor
    std: Tensor
    kind: Tensor

    def __init__(
        self,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.register_buffer("kind", torch.empty(0, dtype=dtype))

    def forward(self, images: Tensor) -> Tensor:
        return ((images.permute(0, 3, 1, 2).float() - self.mean) / self.std).to(self.kind.dtype)


class FlipTest(nn.Module):
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


class SimdrFlipTest(nn.Module):
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


class DetectorContract(nn.Module):
    """u8 [B, 640, 640, 3] -> f32 [B, 100, 5]; `decode` turns the network's raw output into those rows."""

    def __init__(
        self, network: nn.Module, decode: nn.Module, normalise: nn.Module | None = None, chunk: int = 4
    ) -> None:
        super().__init__()
        self.normalise, self.network, self.decode, self.chunk = normalise or Normalise(), network, decode, chunk

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.decode(self.network(self.normalise(part))) for part in images.split(self.chunk)])


# Pose


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


class PoseContract(nn.Module):
    """u8 [B, H, W, 3] crops and f32 [B, 4] regions -> f32 [B, K, 3] keypoints in image pixels.

    decode: one of the modules above. Regions without area are nobody: their rows are zero and the network never sees
    them. chunk: rows that the network sees at once on a GPU, cpu_chunk on the CPU, whose caches hold fewer.
    """

    def __init__(
        self,
        network: nn.Module,
        decode: nn.Module,
        keypoints: int,
        normalise: nn.Module | None = None,
        chunk: int = GPU_ROWS,
        cpu_chunk: int = CPU_ROWS,
    ) -> None:
        super().__init__()
        self.normalise, self.network, self.decode = normalise or Normalise(), network, decode
        self.keypoints, self.chunk, self.cpu_chunk = keypoints, chunk, cpu_chunk

    def forward(self, crops: Tensor, regions: Tensor) -> Tensor:
        people = torch.zeros(crops.shape[0], self.keypoints, 3, device=regions.device)
        somebody = torch.nonzero((regions[:, 2] > 0) & (regions[:, 3] > 0)).squeeze(1)
        if somebody.numel() > 0:
            for rows in somebody.split(self.chunk if crops.is_cuda else self.cpu_chunk):
                people[rows] = self.decode(self.network(self.normalise(crops[rows])), regions[rows])
        return people


# The whole image


class RankedClasses(nn.Module):
    """Logits [B, classes, h, w] -> u8 [B, height, width, 3]: bilinear to full size, then of every pixel the best class,
    the second best, and the sixteenths of a logit by which the best one leads, at most 255.

    With them the border between two classes can be found between the pixels, without the logits of all classes.
    """

    def forward(self, raw: Tensor, height: int, width: int) -> Tensor:
        logits, classes = _resized(raw, height, width).topk(2, 1)
        lead = ((logits[:, :1] - logits[:, 1:]) * 16).round().clamp(0, 255)
        return torch.cat([classes.to(torch.uint8), lead.to(torch.uint8)], 1).permute(0, 2, 3, 1).contiguous()


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


class ImageContract(nn.Module):
    """u8 [B, H, W, 3] -> what `answer`, one of the modules above, makes of the raw output, of the input's size.

    chunk: rows that the network sees at once on a GPU, cpu_chunk on the CPU.
    """

    def __init__(
        self,
        network: nn.Module,
        answer: nn.Module,
        normalise: nn.Module | None = None,
        chunk: int = 1,
        cpu_chunk: int = 1,
    ) -> None:
        super().__init__()
        self.normalise, self.network, self.answer = normalise or Normalise(), network, answer
        self.chunk, self.cpu_chunk = chunk, cpu_chunk

    def forward(self, images: Tensor) -> Tensor:
        parts = images.split(self.chunk if images.is_cuda else self.cpu_chunk)
        return torch.cat([self.answer(self.network(self.normalise(p)), p.shape[1], p.shape[2]) for p in parts])
