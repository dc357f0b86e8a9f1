"""A running server takes up networks without losing requests."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import tritonclient.grpc
import tritonclient.http

from poseclient import PoseClient, RequestError
from poseserve.cli import main
from poseserve.repository.folders import FOLDERS
from poseserve.serving.server import Server, scratch_server
from tests import golden
from tests.poseserve import toys

NAME = "vitpose-s-coco_25"


class Traffic(threading.Thread):
    """Asks for poses until told to stop; keeps what went wrong."""

    def __init__(self, url: str, image: bytes) -> None:
        super().__init__(daemon=True)
        self.url, self.image = url, image
        self.stopped, self.answered, self.failures = threading.Event(), 0, []

    def run(self) -> None:
        with PoseClient(self.url) as client:
            while not self.stopped.is_set():
                try:
                    client.pose(self.image)
                    self.answered += 1
                except RequestError as error:
                    self.failures.append(str(error))

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join(60)

    def __enter__(self) -> Traffic:
        self.start()
        return self


@pytest.fixture
def hot(root, tmp_path):
    folders = [root / name for name in FOLDERS]
    with scratch_server(folders, log_file=tmp_path / "triton.log") as server:
        yield server


def test_add_default_and_remove_while_requests_go_on(hot, root, vitpose_file, scene):
    url, at = f"grpc://{hot.grpc_url}", ["--root", str(root), "--server", hot.http_url]
    image = scene.jpeg
    with Traffic(url, image) as traffic, PoseClient(url) as client:
        assert main(["add", "vitpose-s-coco_25", "--checkpoint", str(vitpose_file), *at]) == 0
        added = client.pose(image, model="pose.vitpose-s-coco_25")
        boxed = client.pose_in_boxes(image, added.boxes, model="pose_in_boxes.vitpose-s-coco_25")
        usual = client.pose(image)
        assert main(["default", "pose", "vitpose-s-coco_25", *at]) == 0
        chosen = PoseClient(url).pose(image)
        assert main(["default", "pose", "demo_pose", *at]) == 0
        assert main(["remove", "vitpose-s-coco_25", *at]) == 0
        with pytest.raises(RequestError):
            PoseClient(url).pose(image, model="pose.vitpose-s-coco_25")
        restored = PoseClient(url).pose(image)
    assert added.keypoints.shape[1:] == (25, 3)
    assert usual.keypoints.shape[1:] == restored.keypoints.shape[1:] == (17, 3)
    # Boxes come back in float32, and the peaks of weights that mean nothing are flat.
    assert (np.abs(boxed.keypoints - added.keypoints) < 0.5).mean() > 0.95
    assert (np.abs(chosen.keypoints - added.keypoints) < 0.5).mean() > 0.95
    assert traffic.failures == []
    assert traffic.answered > 0


def test_a_network_of_another_input_size_comes_and_goes(hot, root, tmp_path, scene):
    url, at = f"grpc://{hot.grpc_url}", ["--root", str(root), "--server", hot.http_url]
    file = tmp_path / "large.pth"
    torch.save(golden.filled(golden.layouts()["posehrnet/posehrnet_w32"], gain=0.6), file)
    own = ["--family", "posehrnet", "--size", "w32", "--keypoints", "coco_17", "--input-size", "384x288"]
    with Traffic(url, scene.jpeg) as traffic, PoseClient(url) as client:
        assert main(["add", "large", *own, "--checkpoint", str(file), *at]) == 0
        added = client.pose(scene.jpeg, model="pose.large")
        assert main(["remove", "large", *at]) == 0
        usual = client.pose(scene.jpeg)
    assert len(added) == len(usual) > 0
    assert traffic.failures == []


def test_a_detector_of_another_threshold_comes_and_goes(hot, root, tmp_path, scene):
    """It gives a step one input more, and no output."""
    url, at = f"grpc://{hot.grpc_url}", ["--root", str(root), "--server", hot.http_url]
    file = toys.torchscript(toys.Bounds(), tmp_path / "bounds.pt", torch.zeros(1, 640, 640, 3, dtype=torch.uint8))
    own = ["--family", "contract", "--task", "detector", "--input-size", "640x640", "--score-threshold", "0.5"]
    white = np.full((64, 64, 3), 255, np.uint8)
    with Traffic(url, scene.jpeg) as traffic, PoseClient(url) as client:
        assert main(["add", "bounds", *own, "--checkpoint", str(file), *at]) == 0
        assert client.detect(white, model="detect.bounds").boxes.tolist() == [[0, 0, 64, 64]]
        assert main(["remove", "bounds", *at]) == 0
        usual = client.pose(scene.jpeg)
    assert len(usual) == len(scene.people)
    assert traffic.failures == []


def test_a_server_that_was_not_told_is_told_later(hot, root, vitpose_file, scene, capsys):
    """As the commands say themselves: once without `--server`, then with it, which makes up for all that was missed."""
    url, at, told, name = f"grpc://{hot.grpc_url}", ["--root", str(root)], ["--server", hot.http_url], NAME
    add, remove = ["add", name, "--checkpoint", str(vitpose_file), *at], ["remove", name, *at]
    choose, back = ["default", "pose", name, *at], ["default", "pose", "demo_pose", *at]
    with Traffic(url, scene.jpeg) as traffic:
        assert [main(add), main([*add, *told])] == [0, 0]
        assert points(url, scene, f"pose.{name}") == 25
        assert [main(choose), main([*choose, *told])] == [0, 0]
        assert points(url, scene) == 25
        assert [main(back), main(remove), main([*remove, *told])] == [0, 0, 0]
        assert points(url, scene) == 17
    assert [model for model in (name, f"pose.{name}", f"pose_of_image.{name}") if loaded(hot, model)] == []
    assert traffic.failures == []
    capsys.readouterr()
    assert main([*remove, *told]) == 1
    assert f"{name} is not installed" in capsys.readouterr().err


def test_every_answer_says_of_which_set_its_keypoints_are(hot, root, scene):
    """Also to clients that asked before: over both protocols, in the answer itself."""
    at = ["--root", str(root), "--server", hot.http_url]
    grpc, http = tritonclient.grpc, tritonclient.http
    known = {"coco_17": 17, "coco_wholebody_133": 133}
    with grpc.InferenceServerClient(hot.grpc_url) as first, http.InferenceServerClient(hot.http_url) as second:
        clients = [(grpc, first), (http, second)]
        assert [answered_set(api, client, scene.jpeg) for api, client in clients] == [("coco_17", 17)] * 2
        changed = threading.Thread(target=main, args=(["default", "pose", "demo_pose_133", *at],))
        changed.start()
        meanwhile = []
        while changed.is_alive():
            meanwhile.append(answered_set(grpc, first, scene.jpeg))
        changed.join()
        assert all(known[name] == count for name, count in meanwhile)
        assert [answered_set(api, client, scene.jpeg) for api, client in clients] == [("coco_wholebody_133", 133)] * 2


def answered_set(api, client, image: bytes) -> tuple[str, int]:
    """The name of the keypoint set in an answer, and how many keypoints that answer has."""
    tensor = api.InferInput("IMAGE", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([image], dtype=object))
    answer = client.infer("people", [tensor])
    assert answer.as_numpy("CLASS_SET").tolist() == [b"sapiens_28"]
    return answer.as_numpy("KEYPOINT_SET")[0].decode(), answer.as_numpy("KEYPOINTS").shape[1]


def points(url: str, scene, model: str = "pose") -> int:
    """Keypoints of each person, as the server answers now."""
    with PoseClient(url) as client:
        return client.pose(scene.jpeg, model=model).keypoints.shape[1]


def loaded(server: Server, model: str) -> bool:
    client = tritonclient.http.InferenceServerClient(server.http_url)
    try:
        return client.is_model_ready(model)
    finally:
        client.close()
