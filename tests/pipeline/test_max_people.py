"""A network that takes few people at once leaves the others as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import nn
from tritonclient.grpc import InferenceServerClient

from demo.coco import write_dataset
from demo.evaluate import evaluation_scene
from poseclient import PoseClient, RequestError, evaluate
from poseserve.catalogue import Network
from poseserve.cli import main
from poseserve.deployment import Deployment
from poseserve.export.torchscript import export
from poseserve.families.outputs import UdpHeatmaps
from poseserve.networks.build import example
from poseserve.networks.contracts import PoseContract
from poseserve.repository.config import write_configs
from poseserve.repository.folders import FOLDERS, ROOT
from poseserve.repository.installed import Installed, read_repository
from poseserve.serving.server import Server, scratch_server

FEW = Network("few", "pose", (64, 48), "coco_17")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """Beside the tree's networks one that takes two people; it was told of a third process that decodes images."""
    root: Path = tmp_path_factory.mktemp("few")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name)
    contract = PoseContract(nn.Conv2d(3, 17, 4, 4).eval(), UdpHeatmaps(), 17)
    export(contract, example(FEW), root / "model_repository" / FEW.name / "1" / "model.pt")
    write_configs(read_repository(root).with_network(Installed(FEW, Deployment(max_people=2))))
    with scratch_server([root / folder for folder in FOLDERS]) as running:
        steps = ["--instances", "decode_image=3", "--root", str(root), "--server", running.http_url]
        assert main(["configure", *steps]) == 0
        yield running


@pytest.fixture
def client(server) -> Iterator[PoseClient]:
    with PoseClient(f"grpc://{server.grpc_url}") as connected:
        yield connected


def test_its_answers_are_about_the_best_two(client, scene):
    everyone, best = client.pose(scene.jpeg), client.pose(scene.jpeg, model="pose.few")
    assert len(everyone) == len(client.detect(scene.jpeg, max_people=100)) == best.found == 4
    np.testing.assert_array_equal(best.boxes, everyone.boxes[:2])


def test_it_refuses_three_boxes(client, scene):
    boxes = client.detect(scene.jpeg).boxes[:3]
    with pytest.raises(RequestError, match="BOXES has 3 rows; accepted are at most 2"):
        client.pose_in_boxes(scene.jpeg, boxes, model="pose_in_boxes.few")
    assert len(client.pose_in_boxes(scene.jpeg, boxes)) == 3


def test_evaluate_asks_for_as_many_boxes_as_it_takes(client, server, tmp_path):
    assert client.max_boxes() == 2
    write_dataset(tmp_path, [evaluation_scene(45)])  # four people
    files = ["--images", tmp_path / "images", "--annotations", tmp_path / "person_keypoints.json", "--truth-boxes"]
    options = [*files, "--model", "pose_in_boxes.few", "--url", f"grpc://{server.grpc_url}", "--out", tmp_path / "out"]
    assert evaluate.main([str(option) for option in options]) == 0
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == 4


def test_steps_have_the_processes_that_were_asked_for(server):
    with InferenceServerClient(server.grpc_url) as api:
        assert api.get_model_config("decode_image").config.instance_group[0].count == 3
