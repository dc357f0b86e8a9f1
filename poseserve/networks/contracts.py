"""The contracts of docs/contracts.md around bare networks: uint8 in, numbers of the image out.

A bare network takes normalised [B, 3, H, W] and answers as its authors defined it; the module beside it turns that raw
answer into what the contract promises. Every contract works through its batch in chunks, so memory stays flat however
many people the batch holds, and writes into none of its inputs.
"""

import torch
from torch import Tensor, nn

from poseserve.families.family import IMAGENET_MEAN, IMAGENET_STD, Opened
from poseserve.networks.batch_sizes import CPU_ROWS, GPU_ROWS


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


class DetectorContract(nn.Module):
    """u8 [B, H, W, 3] -> f32 [B, 100, 5]; `decode` turns the network's raw output into those rows."""

    def __init__(
        self, network: nn.Module, decode: nn.Module, normalise: nn.Module | None = None, chunk: int = 4
    ) -> None:
        super().__init__()
        self.normalise, self.network, self.decode, self.chunk = normalise or Normalise(), network, decode, chunk

    @classmethod
    def around(cls, detector: Opened) -> "DetectorContract":
        """The contract of a detector that was read from a file whole."""
        normalise = Normalise(detector.mean, detector.std, detector.dtype)
        return cls(detector.network, detector.decode, normalise, detector.chunk).eval()

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.decode(self.network(self.normalise(part))) for part in images.split(self.chunk)])


class PoseContract(nn.Module):
    """u8 [B, H, W, 3] crops and f32 [B, 4] regions -> f32 [B, K, 3] keypoints in image pixels.

    decode: see families/outputs.py. Regions without area are nobody: their rows are zero and the network never sees
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


class ImageContract(nn.Module):
    """u8 [B, H, W, 3] -> what `answer`, a module of families/outputs.py, makes of the raw output, of the input's size.

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
