"""Networks of one's own are added, and answer through a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from poseclient import PoseClient
from poseserve.cli import main
from poseserve.repository.folders import FOLDERS
from poseserve.repository.installed import STATE, read_repository
from poseserve.serving.dry_run import dry_run
from poseserve.serving.server import Server, scratch_server
from tests.poseserve import toys

CELLS = {"yolo": (640, 32), "yolo-416": (416, 16), "ssd": (300, 15)}  # side of the input, of its finer cells
HEIGHT, WIDTH = 960, 1280
LEFT, TOP, RIGHT, BOTTOM = 640, 320, 960, 640
DARK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
IMAGE = DARK.copy()
IMAGE[TOP:BOTTOM, LEFT:RIGHT] = 255


def add(root: Path, name: str, file: Path, *options: object) -> None:
    words = ["add", name, "--checkpoint", file, *options, "--root", root]
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds networks of somebody's own alone."""
    folder = tmp_path_factory.mktemp("own")
    root, files = folder / "root", folder / "files"
    files.mkdir()
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    (root / FOLDERS[0] / STATE).write_text('{"defaults": {}, "networks": {}}')
    images = {name: torch.rand(1, 3, side, side) for name, (side, _) in CELLS.items()}
    v8 = ["--family", "yolo", "--size", "v8"]
    file = toys.torchscript(toys.Cells(*CELLS["yolo"]), files / "yolo.torchscript", images["yolo"])
    add(root, "yolo", file, *v8)
    few, names = toys.Cells(*CELLS["yolo-416"]), ["images", "raw"]
    file = toys.onnx_file(few, files / "416.onnx", names, [5, 845], images["yolo-416"])
    add(root, "yolo-416", file, *v8, "--input-size", "416x416", "--format", "onnx")
    file = toys.torchscript(toys.Cells(*CELLS["ssd"], objectness=True), files / "ssd.torchscript", images["ssd"])
    add(root, "ssd", file, "--family", "yolo", "--size", "v5", "--input-size", "300x300")
    contract = ["--family", "contract", "--task"]
    image = torch.zeros(1, 192, 256, 3, dtype=torch.uint8)
    file = toys.onnx_file(toys.Bounds(), files / "bounds.onnx", ["INPUT__0", "OUTPUT__0"], [100, 5], image)
    add(root, "bounds", file, *contract, "detector", "--input-size", "192x256", "--format", "onnx")
    (files / "middle_1.json").write_text(json.dumps({"names": ["middle"]}))
    pose = [*contract, "pose", "--input-size", "64x48", "--keypoints", files / "middle_1.json"]
    crops, regions = torch.zeros(1, 64, 48, 3, dtype=torch.uint8), torch.tensor([[24.0, 32, 48, 64]])
    file = toys.torchscript(toys.Centre(), files / "centre.pt", crops, regions)
    add(root, "centre", file, *pose)
    names = ["INPUT__0", "INPUT__1", "OUTPUT__0"]
    file = toys.onnx_file(toys.Centre(), files / "centre.onnx", names, [1, 3], crops, regions)
    add(root, "centre-onnx", file, *pose, "--format", "onnx", "--detector", "yolo-416")
    return root


@pytest.fixture(scope="module")
def own_server(root: Path) -> Iterator[Server]:
    with scratch_server(read_repository(root).folders) as running:
        dry_run(running.grpc_url)
        yield running


@pytest.fixture(scope="module")
def client(own_server: Server) -> Iterator[PoseClient]:
    with PoseClient(f"grpc://{own_server.grpc_url}") as client:
        yield client


@pytest.mark.parametrize("name", CELLS)
def test_detectors_of_every_input_size_find_what_is_there(client, name):
    side, stride = CELLS[name]
    found = client.detect(IMAGE, model=f"detect.{name}", score_threshold=0.85)
    around = [*found.boxes[:, :2].min(0), *found.boxes[:, 2:].max(0)]
    cell = stride * WIDTH / side  # in pixels of the image
    np.testing.assert_allclose(around, [LEFT, TOP, RIGHT, BOTTOM], atol=cell)
    assert len(found.boxes) > (RIGHT - LEFT) * (BOTTOM - TOP) / (2 * cell) ** 2
    assert len(client.detect(DARK, model=f"detect.{name}").boxes) == 0


def test_a_detector_that_keeps_the_contract_is_served_as_it_is(client):
    found = client.detect(IMAGE, model="detect.bounds")
    np.testing.assert_allclose(found.boxes, [[LEFT, TOP, RIGHT, BOTTOM]], atol=0.1)
    assert found.scores.tolist() == [0.75]
    assert len(client.detect(DARK, model="detect.bounds").boxes) == 0


@pytest.mark.parametrize("name", ["centre", "centre-onnx"])
def test_pose_networks_that_keep_the_contract_are_served_as_they_are(client, name):
    middle = [(LEFT + RIGHT - 1) / 2, (TOP + BOTTOM - 1) / 2, 0.5]
    boxes = np.array([[LEFT, TOP, RIGHT, BOTTOM], [LEFT - 9, TOP - 5, RIGHT + 60, BOTTOM + 70]], np.float32)
    people = client.pose_in_boxes(IMAGE, boxes, model=f"pose_in_boxes.{name}")
    np.testing.assert_allclose(people.keypoints, [[middle], [middle]], atol=4.2)  # half a pixel of the crop
    found = client.pose(IMAGE, model=f"pose.{name}", score_threshold=0.85, oks_nms=1)
    assert len(found.keypoints) > 10
    assert (found.keypoints[:, 0, :2] > [LEFT - 9, TOP - 9]).all()
    assert len(client.pose(DARK, model=f"pose.{name}").keypoints) == 0


def test_the_file_that_is_served_is_the_file_that_was_given(root):
    repository, given = read_repository(root), root.parent / "files"
    for name, file in (("centre", "centre.pt"), ("centre-onnx", "centre.onnx"), ("bounds", "bounds.onnx")):
        assert repository.model_file(name).read_bytes() == (given / file).read_bytes()
