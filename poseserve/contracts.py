"""The contracts of docs/contracts.md around bare networks: uint8 in, numbers of the image out.

A bare network takes normalised f32 [B, 3, H, W]. Every contract works through its batch in chunks, so memory stays flat
however many people the batch holds, and writes into none of its inputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseserve.decode import decode_udp, to_image

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Normalise(nn.Module):
    """u8 [B, H, W, 3] -> f32 [B, 3, H, W], (x - mean) / std per channel, on the 0..255 scale."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std


class DetectorContract(nn.Module):
    """u8 [B, 640, 640, 3] -> f32 [B, 100, 5]; `decode` turns the network's raw output into those rows."""

    def __init__(self, network: nn.Module, decode: nn.Module, chunk: int = 4) -> None:
        super().__init__()
        self.normalise, self.network, self.decode, self.chunk = Normalise(), network, decode, chunk

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.decode(self.network(self.normalise(part))) for part in images.split(self.chunk)])


class PoseContract(nn.Module):
    """u8 [B, H, W, 3] crops and f32 [B, 4] regions -> f32 [B, K, 3] keypoints in image pixels.

    Regions without area are nobody: their rows are zero and the network never sees them. With `mirrored`, each
    keypoint's index in a mirrored image, the heatmaps are the mean of those of the crop and of its mirror image (flip
    test), at twice the cost.
    """

    mirrored: Tensor

    def __init__(self, network: nn.Module, keypoints: int, mirrored: Sequence[int] = (), chunk: int = 16) -> None:
        super().__init__()
        self.normalise, self.network, self.keypoints, self.chunk = Normalise(), network, keypoints, chunk
        self.register_buffer("mirrored", torch.tensor(mirrored, dtype=torch.long))

    def forward(self, crops: Tensor, regions: Tensor) -> Tensor:
        people = torch.zeros(crops.shape[0], self.keypoints, 3, device=regions.device)
        somebody = torch.nonzero((regions[:, 2] > 0) & (regions[:, 3] > 0)).squeeze(1)
        if somebody.numel() > 0:
            for rows in somebody.split(self.chunk):
                images = self.normalise(crops[rows])
                heatmaps = self.network(images)
                if self.mirrored.numel() > 0:
                    heatmaps = (heatmaps + self.network(images.flip(3)).flip(3)[:, self.mirrored]) / 2
                peaks = decode_udp(heatmaps)
                people[rows] = to_image(peaks, regions[rows], heatmaps.shape[2], heatmaps.shape[3])
        return people


class PartsContract(nn.Module):
    """u8 [B, H, W, 3] -> u8 [B, H, W] class ids: bilinear logits at the input's size, then arg max."""

    def __init__(self, network: nn.Module, chunk: int = 1) -> None:
        super().__init__()
        self.normalise, self.network, self.chunk = Normalise(), network, chunk

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.classes(part) for part in images.split(self.chunk)])

    def classes(self, images: Tensor) -> Tensor:
        logits = self.network(self.normalise(images)).float()
        logits = F.interpolate(logits, size=images.shape[1:3], mode="bilinear", align_corners=False)
        return logits.argmax(1).to(torch.uint8)
