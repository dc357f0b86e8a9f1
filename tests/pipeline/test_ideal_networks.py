"""The whole way with networks whose answers are known exactly: no half pixel is lost, no axis turned."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
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
from poseserve.deployment import Deployment
from poseserve.export.torchscript import export
from poseserve.families.outputs import Depth, Features, Matting, Normals, Pointmap, UdpHeatmaps
from poseserve.in_process import InProcess
from poseserve.networks.build import example
from poseserve.networks.contracts import IMAGENET_MEAN, IMAGENET_STD, DetectorContract, ImageContract, PoseContract
from poseserve.repository.config import write_configs
from poseserve.repository.folders import FOLDERS, ROOT
from poseserve.repository.installed import Installed, Repository, read_repository
from poseserve.serving.server import scratch_server
from poseserve.tasks import DETECTIONS

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


class Rectangles(Colours):
    """Rows of a detector: where the image is red, green and blue, with the scores 0.9, 0.35 and 0.25."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scores", torch.tensor([0.9, 0.35, 0.25]))

    def forward(self, x: Tensor) -> Tensor:
        bright = (super().forward(x) > 128).int()
        ends = [self.ends(bright.amax(axis)) for axis in (2, 3)]  # of columns, of rows
        (x1, x2), (y1, y2) = ends
        rows = torch.stack([x1, y1, x2, y2, self.scores.expand_as(x1)], 2)
        return F.pad(rows, [0, 0, 0, DETECTIONS - 3])

    def ends(self, bright: Tensor) -> tuple[Tensor, Tensor]:
        return bright.argmax(2).float(), bright.shape[2] - bright.flip(2).argmax(2).float()


class Twins(Colours):
    """Rows of a detector that sees one person twice, in boxes that share half of their area, and another beside."""

    def __init__(self) -> None:
        super().__init__()
        rows = [[20, 0, 220, 300, 0.9], [20, 100, 220, 400, 0.8], [240, 0, 400, 300, 0.7]]
        self.register_buffer("rows", F.pad(torch.tensor(rows), [0, 0, 0, DETECTIONS - 3]))

    def forward(self, x: Tensor) -> Tensor:
        return self.rows.expand(x.shape[0], -1, -1)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    """The tree's networks, and those above."""
    root: Path = tmp_path_factory.mktemp("ideal")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name)
    repository = read_repository(root)
    pose = Network("spots", "pose", (256, 192), add_keypoint_set("spots_3", SPOTS).name)
    small, area = (replace(pose, name=f, input_size=(64, 48), crop_filter=f) for f in ("bilinear", "area"))
    contracts: dict[Network, nn.Module] = {
        Network("square", "detector", (416, 416), score_threshold=0.4): DetectorContract(Rectangles(), nn.Identity()),
        Network("wide", "detector", (320, 512), score_threshold=0.2): DetectorContract(Rectangles(), nn.Identity()),
        Network("twins", "detector", (416, 416)): DetectorContract(Twins(), nn.Identity()),
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
        **{network: PoseContract(Spots(), UdpHeatmaps(), 3) for network in (pose, small, area)},
    }
    detectors = {pose: "twins", small: "square", area: "square"}
    for network, contract in contracts.items():
        export(contract, example(network), root / "model_repository" / network.name / "1" / "model.pt")
        detector, table = detectors.get(network, ""), SPOTS if network.task == "pose" else None
        repository = repository.with_network(Installed(network, Deployment(detector=detector), table))
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


def test_a_crop_is_averaged_for_a_network_that_wants_it(client, repository, scene):
    """Served as in one process: what is shrunk to a twelfth has other colours, and every place is the same."""
    size = 960, 720
    places = [(size[1] * u, size[0] * v) for u, v in ((0.4, 0.3), (0.61, 0.52), (0.5, 0.7))]
    dust = np.random.default_rng(0).integers(0, 25, (*size, 3), dtype=np.uint8)
    image = cv2.imencode(".png", spots(*size, places, sigma=40)[..., ::-1] + dust)[1].tobytes()
    averaged, bilinear = (client.pose(image, model=f"pose.{name}", score_threshold=0) for name in ("area", "bilinear"))
    np.testing.assert_allclose(averaged.keypoints[..., :2], bilinear.keypoints[..., :2], atol=3)
    for name, served in (("area", averaged), ("bilinear", bilinear)):
        local = InProcess(repository.with_default("pose", name)).pose(image, score_threshold=0)
        np.testing.assert_array_equal(local.keypoints, served.keypoints)
        np.testing.assert_array_equal(local.boxes, served.boxes)


def rectangles(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A red, a green and a blue rectangle, u8 [height, width, 3], and their boxes [3, 4]."""
    image = np.zeros((height, width, 3), np.uint8)
    shares = np.array([[0.1, 0.2, 0.4, 0.9], [0.5, 0.05, 0.6, 0.5], [0.7, 0.3, 1.0, 1.0]])
    boxes = np.floor(shares * [width, height, width, height])
    for channel, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        image[y1:y2, x1:x2, channel] = 250
    return image, boxes


@pytest.mark.parametrize("size", [(480, 640), (641, 333), (300, 1001)])
@pytest.mark.parametrize(("name", "sees", "people"), [("square", (416, 416), 1), ("wide", (320, 512), 3)])
def test_every_detector_sees_the_image_at_its_own_size_and_has_its_own_threshold(client, size, name, sees, people):
    image, boxes = rectangles(*size)
    found = client.detect(image, model=f"detect.{name}")
    assert len(found) == found.found == people
    pixel = max(size[0] / sees[0], size[1] / sees[1])  # of the letterbox, in the image
    np.testing.assert_allclose(found.boxes, boxes[:people], atol=pixel)
    assert client.detect(image, model=f"detect.{name}", score_threshold=0.3).found == 2
    np.testing.assert_array_equal(
        client.detect(image, model=f"detect.{name}", score_threshold=0).scores[:people], found.scores
    )


def test_a_detector_of_any_size_and_threshold_answers_in_one_process_as_served(client, repository):
    image = cv2.imencode(".png", rectangles(641, 333)[0][..., ::-1])[1].tobytes()
    steps = InProcess(repository.with_default("pose", "area"))
    for options, people in (({}, 1), ({"score_threshold": 0.3}, 2), ({"score_threshold": 0.0}, 3)):
        options["oks_nms"] = 1.0  # these are no people
        served, local = client.pose(image, model="pose.area", **options), steps.pose(image, **options)
        assert len(served) == local.found == people
        np.testing.assert_array_equal(local.boxes, served.boxes)
        np.testing.assert_array_equal(local.scores, served.scores)


TWINS = np.array([[20, 0, 220, 300], [20, 100, 220, 400], [240, 0, 400, 300]]) * 1.5  # in an image of 624 x 624


@pytest.fixture(scope="module")
def one_person_twice() -> bytes:
    image = spots(624, 624, [(150, 200), (180, 250), (200, 300)], sigma=12)
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def test_a_person_who_was_found_twice_is_one_unless_a_request_says_otherwise(client, repository, one_person_twice):
    steps = InProcess(repository.with_default("pose", "spots"))
    for options, kept in (({}, [0, 2]), ({"oks_nms": 0.85}, [0, 2]), ({"oks_nms": 1.0}, [0, 1, 2])):
        served = client.pose(one_person_twice, model="pose.spots", **options)
        local = steps.pose(one_person_twice, **options)
        assert len(served) == served.found == local.found == len(kept)
        np.testing.assert_allclose(served.boxes, TWINS[kept], atol=0.2)
        for name in ("boxes", "scores", "keypoints", "pose_scores"):
            np.testing.assert_array_equal(getattr(local, name), getattr(served, name), err_msg=name)
    cut = client.pose(one_person_twice, model="pose.spots", max_people=2)
    assert (len(cut), cut.found) == (1, 2), "the third is left out, the second is no person"


def test_nobody_is_dropped_from_the_boxes_of_a_client_unless_it_asks_for_it(client, one_person_twice):
    everyone = client.pose_in_boxes(one_person_twice, TWINS, model="pose_in_boxes.spots")
    assert len(everyone.keypoints) == 3
    assert everyone.scores.tolist() == [1, 1, 1]
    fewer = client.pose_in_boxes(one_person_twice, TWINS, model="pose_in_boxes.spots", oks_nms=0.85)
    np.testing.assert_array_equal(fewer.keypoints, everyone.keypoints[[0, 2]])


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
