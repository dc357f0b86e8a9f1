"""The whole way with networks whose answers are known exactly: no half pixel is lost, no axis turned."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseclient import PoseClient, add_keypoint_set
from poseserve.catalogue import Network
from poseserve.export.torchscript import export
from poseserve.families.outputs import Depth, Features, Matting, Normals, Pointmap, UdpHeatmaps
from poseserve.in_process import InProcess
from poseserve.networks.build import example
from poseserve.networks.contracts import IMAGENET_MEAN, IMAGENET_STD, ImageContract, PoseContract
from poseserve.repository.config import write_configs
from poseserve.repository.folders import FOLDERS, ROOT
from poseserve.repository.installed import Installed, Repository, read_repository
from poseserve.serving.server import scratch_server

MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
SPOTS = {"names": ["red", "green", "blue"]}
SIZE = 96, 80  # what the networks of maps see
FEW = 48, 40  # pixels on which a ramp is steep


class Colours(nn.Module):
    """Undoes the normalisation: the image, 0..255."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", MEAN)
        self.register_buffer("std", STD)
        self.register_buffer("places", torch.arange(256.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.std + self.mean


class Spots(Colours):
    """The exact UDP heatmap of the spot of each colour."""

    def forward(self, x: Tensor) -> Tensor:
        weights = F.relu(super().forward(x) - 5)
        height, width = x.shape[2:]
        mass = weights.sum((2, 3)) + 1e-6
        y = (weights.sum(3) * self.places[:height]).sum(2) / mass * (height // 4 - 1) / (height - 1)
        x = (weights.sum(2) * self.places[:width]).sum(2) / mass * (width // 4 - 1) / (width - 1)
        rows = torch.exp(-0.125 * (self.places[: height // 4] - y[..., None]) ** 2)
        columns = torch.exp(-0.125 * (self.places[: width // 4] - x[..., None]) ** 2)
        return rows[..., None] * columns[..., None, :]


class Red(Colours):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :1]


class Aspect(Colours):
    """Everywhere how wide what is red appears, its height being 1."""

    def forward(self, x: Tensor) -> Tensor:
        red = F.relu(super().forward(x)[:, :1] - 5)
        height, width = x.shape[2:]
        rows, columns = (side / side.sum(2, keepdim=True) for side in (red.sum(3), red.sum(2)))
        wide, high = (self.spread(side, n) for side, n in ((columns, width), (rows, height)))
        return (wide / high)[..., None, None] + 0 * red

    def spread(self, shares: Tensor, n: int) -> Tensor:
        places = self.places[:n]
        mean = (shares * places).sum(2, keepdim=True)
        return (shares * (places - mean) ** 2).sum(2).sqrt()


class Quarters(Colours):
    """Of the encoder: the mean colour of each 16 x 16 cell, in as many channels as an encoder has."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 16).repeat(1, 342, 1, 1)[:, :1024]


class Metres(Colours):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        colours = super().forward(x)
        return colours, colours[:, 0, 0, :1] * 0 + 10


class Premultiplied(Colours):
    def forward(self, x: Tensor) -> Tensor:
        colours = super().forward(x) / 255
        return torch.cat([colours, colours[:, :1]], 1)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    """The tree's networks, and those above."""
    root: Path = tmp_path_factory.mktemp("ideal")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name)
    repository = read_repository(root)
    pose = Network("spots", "pose", (256, 192), add_keypoint_set("spots_3", SPOTS).name)
    contracts = {
        Network("ideal_depth", "depth", FEW): ImageContract(Red(), Depth()),
        Network("ideal_normals", "normals", FEW): ImageContract(Colours(), Normals()),
        Network("ideal_features", "features", SIZE, channels=1024): ImageContract(Quarters(), Features()),
        Network("ideal_pointmap", "pointmap", FEW): ImageContract(Metres(), Pointmap()),
        Network("ideal_matting", "matting", FEW): ImageContract(Premultiplied(), Matting()),
        Network("padded_normals", "normals", SIZE, resize_mode="pad"): ImageContract(Colours(), Normals()),
        Network("padded_pointmap", "pointmap", SIZE, resize_mode="pad"): ImageContract(Metres(), Pointmap()),
        Network("padded_matting", "matting", SIZE, resize_mode="pad"): ImageContract(Premultiplied(), Matting()),
        Network("averaged_matting", "matting", SIZE, resize_mode="average"): ImageContract(Premultiplied(), Matting()),
        Network("padded_aspect", "depth", SIZE, resize_mode="pad"): ImageContract(Aspect(), Depth()),
        Network("stretched_aspect", "depth", SIZE): ImageContract(Aspect(), Depth()),
        pose: PoseContract(Spots(), UdpHeatmaps(), 3),
    }
    for network, contract in contracts.items():
        export(contract, example(network), root / "model_repository" / network.name / "1" / "model.pt")
        table = SPOTS if network is pose else None
        repository = repository.with_network(Installed(network, keypoint_table=table))
        if network.name.startswith("ideal"):
            repository = repository.with_default(network.task, network.name)
    write_configs(repository)
    return repository


@pytest.fixture(scope="module")
def client(repository) -> Iterator[PoseClient]:
    with (
        scratch_server(repository.folders) as server,
        PoseClient(f"grpc://{server.grpc_url}") as connected,
    ):
        yield connected


def spots(height: int, width: int, places: list[tuple[float, float]], sigma: float) -> np.ndarray:
    """A red, a green and a blue spot at those x, y, u8 [height, width, 3]."""
    image = np.zeros((height, width, 3))
    rows, columns = np.arange(height)[:, None], np.arange(width)
    for channel, (x, y) in enumerate(places):
        image[..., channel] = 250 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2 / sigma**2)
    return image.round().astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((480, 640), [200, 100, 400, 400]),
        ((481, 641), [200.5, 100.25, 380.75, 399.5]),
        ((333, 501), [150, 60, 420, 200]),  # wide
        ((500, 400), [-60, 120, 300, 480]),  # partly outside, left
        ((451, 333), [120, 200, 420, 620]),  # partly outside, bottom right
        ((900, 701), [30, 20, 680, 880]),  # shrunk
        ((200, 301), [130, 80, 170, 130]),  # enlarged
    ],
)
def test_a_point_of_the_image_comes_back_where_it_is(client, size, box):
    x1, y1, x2, y2 = np.clip(box, 0, [size[1], size[0]] * 2)
    places = [(x1 + (x2 - x1) * u, y1 + (y2 - y1) * v) for u, v in ((0.4, 0.3), (0.61, 0.52), (0.5, 0.7))]
    image = spots(*size, places, sigma=(x2 - x1) / 16)
    found = client.pose_in_boxes(image, [box], model="pose_in_boxes.spots")
    np.testing.assert_allclose(found.keypoints[0, :, :2], places, atol=0.05)
    assert found.keypoint_set == "spots_3"


@pytest.mark.parametrize("size", [(480, 360), (333, 501), (100, 901)])
def test_the_whole_image_is_one_box(client, size):
    places = [(size[1] * u, size[0] * v) for u, v in ((0.4, 0.3), (0.61, 0.52), (0.5, 0.7))]
    found = client.pose_of_image(spots(*size, places, sigma=min(size) / 16), model="pose_of_image.spots")
    np.testing.assert_allclose(found.boxes, [[0, 0, size[1], size[0]]])
    np.testing.assert_allclose(found.keypoints[0, :, :2], places, atol=0.05 * max(1, max(size) / 400))


SIZES = [(96, 80), (333, 501), (47, 301), (640, 30)]


def ramps(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards, blue stays: u8 [height, width, 3]."""
    image = np.full((height, width, 3), 60.0)
    image[..., 0] = np.linspace(20, 240, width)
    image[..., 1] = np.linspace(200, 30, height)[:, None]
    return image.round().astype(np.uint8)


def inner(values: np.ndarray) -> np.ndarray:
    """Without the border, where a stretched image repeats its last pixel."""
    rows, columns = (max(2, side // 40) for side in values.shape[:2])
    return values[rows:-rows, columns:-columns].astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_maps_lie_over_the_image(client, size):
    """Half a pixel of what the networks see would be 2.7 levels of red or 1.8 of green."""
    image = ramps(*size)
    colours = inner(image)
    close = partial(np.testing.assert_allclose, desired=colours, atol=1.5)
    depth = client.depth(image)
    assert (depth.shape, depth.dtype) == (size, np.float16)
    np.testing.assert_allclose(inner(depth), colours[..., 0], atol=1.5)
    normals = client.normals(image)
    assert (normals.shape, normals.dtype) == ((*size, 3), np.float16)
    close(inner(normals) * np.linalg.norm(colours, axis=2, keepdims=True))
    points = client.pointmap(image)
    assert (points.shape, points.dtype) == ((*size, 3), np.float32)
    close(inner(points) * 10)
    matte = client.matting(image)
    assert (matte.shape, matte.dtype) == ((*size, 4), np.uint8)
    close(inner(matte[..., :3]))


@pytest.mark.parametrize("size", [(96, 80), (333, 501), (47, 301), (300, 75)])
def test_maps_lie_over_an_image_that_was_padded(client, size):
    image = ramps(*size)
    colours = inner(image)
    points = client.pointmap(image, model="pointmap.padded_pointmap")
    assert (points.shape, points.dtype) == ((*size, 3), np.float32)
    np.testing.assert_allclose(inner(points), colours / 10, atol=0.2)
    normals = client.normals(image, model="normals.padded_normals")
    np.testing.assert_allclose(inner(normals), colours / np.linalg.norm(colours, axis=2, keepdims=True), atol=0.015)
    matte = client.matting(image, model="matting.padded_matting")
    np.testing.assert_allclose(inner(matte[..., :3]), colours, atol=2)


@pytest.mark.parametrize("size", [(360, 640), (640, 360), (400, 1000)])
def test_a_disc_stays_round_where_the_image_is_padded(client, size):
    image = np.zeros((*size, 3), np.uint8)
    cv2.circle(image, (size[1] // 3, size[0] // 2), min(size) // 4, (250, 0, 0), cv2.FILLED)
    np.testing.assert_allclose(client.depth(image, model="depth.padded_aspect"), 1, atol=0.02)
    stretched = (SIZE[1] / size[1]) / (SIZE[0] / size[0])
    np.testing.assert_allclose(client.depth(image, model="depth.stretched_aspect"), stretched, rtol=0.02)


def test_an_image_is_averaged_for_a_network_that_was_trained_so(client):
    stripes = np.zeros((960, 800, 3), np.uint8)
    stripes[:, ::5] = 250
    seen = client.matting(stripes, model="matting.averaged_matting")
    np.testing.assert_allclose(seen, 50, atol=1)  # bilinear sees every tenth stripe, or none
    ramp = ramps(333, 501)
    np.testing.assert_allclose(
        inner(client.matting(ramp, model="matting.averaged_matting")[..., :3]), inner(ramp), atol=2
    )


def test_the_same_steps_without_a_server_pad_as_well(client, repository, scene):
    steps = InProcess(repository.with_default("normals", "padded_normals"))
    served = client.normals(scene.jpeg, model="normals.padded_normals")
    np.testing.assert_array_equal(steps.normals(scene.jpeg), served)


def test_features_are_those_of_the_whole_image_and_their_mean(client):
    image = ramps(192, 160)
    features = client.features(image)
    assert (features.shape, features.dtype) == ((1024, 6, 5), np.float16)
    cells = cv2.resize(image, (5, 6), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(features[:3], np.moveaxis(cells, 2, 0), atol=1.5)
    pooled = client.features(image, pooled=True)
    assert (pooled.shape, pooled.dtype) == ((1024,), np.float32)
    np.testing.assert_allclose(pooled, features.astype(np.float32).mean((1, 2)), rtol=1e-3)


def test_maps_of_people_are_empty_elsewhere(client, scene):
    mask, depth = client.parts(scene.jpeg), client.depth(scene.jpeg)
    people = client.depth(scene.jpeg, of_people=True)
    np.testing.assert_array_equal(people, np.where(mask > 0, depth, np.nan).astype(np.float16))
    for model in ("normals", "normals.padded_normals"):
        everywhere = client.normals(scene.jpeg, model=model)
        of_people = client.normals(scene.jpeg, of_people=True, model=model)
        np.testing.assert_array_equal(of_people, np.where(mask[..., None] > 0, everywhere, np.nan).astype(np.float16))


def test_maps_of_nobody_are_empty(client):
    image = np.full((120, 90, 3), 128, np.uint8)
    assert np.isnan(client.depth(image, of_people=True)).all()
    assert np.isfinite(client.depth(image)).all()
