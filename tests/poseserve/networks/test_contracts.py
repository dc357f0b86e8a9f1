"""The wrappers around a bare network: nobody, chunks, mapping to image pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from poseserve.families.flip import FlipTest, SimdrFlipTest
from poseserve.families.outputs import Depth, RankedClasses, UdpHeatmaps
from poseserve.networks.batch_sizes import map_rows
from poseserve.networks.contracts import DetectorContract, ImageContract, Normalise, PoseContract


class Counting(nn.Module):
    """Answers with what it sees, and counts its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(x.shape[0])
        return x


class OnePeak(Counting):
    """Heatmaps [B, 2, 16, 12] with a Gaussian in the column that the crop's mean brightness says."""

    def forward(self, x: Tensor) -> Tensor:
        column = super().forward(x).mean((1, 2, 3)).view(-1, 1, 1, 1)
        gx = torch.exp(-0.5 * ((torch.arange(12).view(1, 1, 1, -1) - column) / 2) ** 2)
        gy = torch.exp(-0.5 * ((torch.arange(16).view(1, 1, -1, 1) - 8.0) / 2) ** 2)
        return (gx * gy).expand(-1, 2, -1, -1)


@pytest.fixture
def pose():
    contract = PoseContract(OnePeak(), UdpHeatmaps(), keypoints=2, cpu_chunk=3)
    contract.normalise = Normalise((0.0,) * 3, (1.0,) * 3)
    return contract


def crops(*values: int) -> Tensor:
    return torch.stack([torch.full((64, 48, 3), v, dtype=torch.uint8) for v in values])


def test_peaks_become_image_pixels(pose):
    region = torch.tensor([[100.0, 200.0, 110.0, 150.0]])
    x, y, score = pose(crops(4), region)[0, 0]
    assert x == pytest.approx(100 - 55 + 4 / 11 * 110, abs=0.1)
    assert y == pytest.approx(200 - 75 + 8 / 15 * 150, abs=0.1)
    assert score == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("size", [(0.0, 0.0), (0.0, 10.0), (10.0, 0.0), (-1.0, 5.0), (float("nan"), 5.0)])
def test_a_region_without_area_costs_nothing(pose, size):
    regions = torch.tensor([[5.0, 5.0, *size], [5.0, 5.0, 10.0, 10.0]])
    people = pose(crops(5, 5), regions)
    assert people[0].eq(0).all()
    assert people[1, :, 2].gt(0.9).all()
    assert pose.network.batches == [1]


def test_nobody_at_all(pose):
    assert pose(crops(5), torch.zeros(1, 4)).eq(0).all()
    assert pose.network.batches == []


def test_many_people_go_in_chunks_and_keep_their_order(pose):
    columns = [2, 9, 4, 6, 3, 8, 5]
    regions = torch.tensor([[5.5, 7.5, 11.0, 15.0]] * 7)
    people = pose(crops(*columns), regions)
    assert pose.network.batches == [3, 3, 1]
    assert people[:, 0, 0].round().tolist() == columns


def test_the_flip_test_averages_the_mirror_image_with_swapped_sides():
    class Sides(nn.Module):
        """Keypoint 0 peaks in the column where the crop is bright, keypoint 1 always in column 2."""

        def forward(self, x: Tensor) -> Tensor:
            bright = x.mean((1, 2))[:, None, None, :]
            fixed = torch.exp(-0.5 * ((torch.arange(12.0) - 2) / 2) ** 2).expand_as(bright)
            rows = torch.exp(-0.5 * ((torch.arange(16.0) - 8) / 2) ** 2).view(1, 1, -1, 1)
            return torch.cat([bright, fixed], 1) * rows

    crop = torch.zeros(1, 16, 12, 3, dtype=torch.uint8)
    crop[:, :, 9] = 255
    contract = PoseContract(FlipTest(Sides(), [1, 0]), UdpHeatmaps(), 2)
    contract.normalise = Normalise((0.0,) * 3, (255.0,) * 3)
    region = torch.tensor([[5.5, 7.5, 11.0, 15.0]])
    first, second = contract(crop, region)[0]
    # Keypoint 0: its own column 9, and keypoint 1 of the mirror image, column 11 - 2 = 9.
    assert first[0] == pytest.approx(9, abs=0.3)
    assert first[2] == pytest.approx(1, abs=1e-3)
    # Keypoint 1: its own column 2, and keypoint 0 of the mirror image, back in column 9: halves.
    assert second[2] == pytest.approx(0.5, abs=5e-3)


def test_the_mirror_image_of_every_kind_of_map_falls_on_the_map():
    """Networks that answer a flat image with a peak at its bright column, each in its own convention."""
    bright = 130

    class Stride(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            column = x[:, 0, 0].argmax(1).float().view(-1, 1, 1, 1) / 4
            return torch.exp(-0.5 * ((torch.arange(48.0) - column) / 2) ** 2).expand(-1, 2, 64, -1)

    class Bins(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            column = 2 * x[:, 0, 0].argmax(1).float().view(-1, 1, 1)
            rows = torch.zeros(x.shape[0], 2, 512)
            return (-0.5 * ((torch.arange(384.0) - column) / 4) ** 2).expand(-1, 2, -1), rows

    image = torch.zeros(1, 3, 256, 192)
    image[..., bright] = 1
    maps = FlipTest(Stride(), [1, 0], lag=1)(image)
    centre = (maps[0, 0, 0] * torch.arange(48.0)).sum() / maps[0, 0, 0].sum()
    assert centre == pytest.approx(bright / 4, abs=0.13)  # half of the quarter pixel that a whole one is too much
    columns, _ = SimdrFlipTest(Bins(), [1, 0])(image)
    assert columns[0, 0].argmax() == 2 * bright
    torch.testing.assert_close(columns[..., :-1], Bins()(image)[0][..., :-1])


def test_inputs_are_left_as_they_were(pose):
    images, regions = crops(3, 4), torch.tensor([[5.0, 5.0, 10.0, 10.0]] * 2)
    before = images.clone(), regions.clone()
    pose(images, regions)
    assert images.equal(before[0])
    assert regions.equal(before[1])


def test_parts_are_the_two_best_classes_and_the_lead_of_the_first():
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits = torch.zeros(x.shape[0], 28, 4, 4)
            logits[:, 3], logits[:, 7] = 4, 3
            logits[:, 7, :, 2:] = 30
            return logits

    parts = ImageContract(Halves(), RankedClasses())(torch.zeros(3, 16, 16, 3, dtype=torch.uint8))
    assert parts.dtype == torch.uint8
    assert parts.shape == (3, 16, 16, 3)
    assert parts[:, :, :6].eq(torch.tensor([3, 7, 16])).all()  # sixteenths of a logit
    assert parts[:, :, 10:].eq(torch.tensor([7, 3, 255])).all()  # no more than a byte holds


def test_maps_are_made_in_chunks_and_keep_their_order():
    network = Counting()
    unit = Normalise((0.0,) * 3, (1.0,) * 3)
    depth = ImageContract(network, Depth(), unit, chunk=4, cpu_chunk=2)(crops(3, 1, 4, 1, 5))
    assert network.batches == [2, 2, 1]
    assert depth[:, 0, 0].tolist() == [3, 1, 4, 1, 5]


@pytest.mark.parametrize(
    ("size", "cpu", "gpu"), [((256, 192), 8, 16), ((512, 512), 3, 12), ((1024, 768), 1, 4), ((4096, 3072), 1, 1)]
)
def test_a_network_makes_as_many_large_maps_at_once_as_the_memory_holds(size, cpu, gpu):
    assert map_rows(*size) == (cpu, gpu)


def test_detector_sees_normalised_rgb_planes():
    class First(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, 0, 0]

    class Rows(nn.Module):
        def forward(self, raw: Tensor) -> Tensor:
            return raw.view(-1, 1, 3)

    image = torch.tensor([124, 0, 255], dtype=torch.uint8).expand(5, 4, 4, 3)
    rows = DetectorContract(First(), Rows(), chunk=2)(image)
    expected = (torch.tensor([124, 0, 255]) - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor(
        [58.395, 57.12, 57.375]
    )
    torch.testing.assert_close(rows, expected.expand(5, 1, 3))
