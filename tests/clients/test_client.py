"""The blocking client against a real server, and against none."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from poseclient import PoseClient, RequestError


@pytest.fixture
def client(url):
    with PoseClient(url) as client:
        yield client


def test_a_running_server_is_ready(client):
    assert client.is_ready()


def test_pose_gives_boxes_scores_and_keypoints(client, scene):
    people = client.pose(scene.jpeg)
    n = len(people)
    assert n > 0
    assert people.boxes.shape == (n, 4)
    assert people.keypoints.shape == (n, 17, 3)
    assert {people.boxes.dtype, people.scores.dtype, people.keypoints.dtype} == {np.dtype(np.float32)}
    assert people.keypoint_set == client.keypoint_set().name == "coco_17"
    assert people.found == n


def test_detect_gives_boxes_only(client, scene):
    people = client.detect(scene.jpeg)
    assert len(people) > 0
    assert people.keypoints is people.keypoint_set is None


def test_files_bytes_and_pixels_are_all_images(client, scene, tmp_path):
    path = tmp_path / "scene.jpg"
    path.write_bytes(scene.jpeg)
    from_bytes, from_file, from_pixels = map(client.pose, (scene.jpeg, path, scene.image))
    np.testing.assert_array_equal(from_file.boxes, from_bytes.boxes)
    assert from_bytes.image_size is None
    assert from_pixels.image_size == scene.image.shape[:2]
    assert len(from_pixels) > 0


def test_given_boxes_are_answered_row_by_row(client, scene):
    boxes = np.array([person.box for person in scene.people])
    people = client.pose_in_boxes(scene.image, boxes)
    assert people.keypoints.shape == (len(boxes), 17, 3)
    np.testing.assert_array_equal(people.boxes, boxes.astype(np.float32))
    assert (people.scores == 1).all()


def test_parts_are_a_mask_of_the_image_that_may_be_changed(client, scene):
    mask = client.parts(scene.image)
    assert (mask.dtype, mask.shape) == (np.uint8, scene.image.shape[:2])
    assert mask.max() < len(client.class_set().names)
    mask[0, 0] = 1


def test_options_reach_the_server(client, scene):
    everyone, one = client.detect(scene.jpeg), client.detect(scene.jpeg, max_people=1)
    assert len(one) == 1
    assert one.found == everyone.found
    assert len(client.detect(scene.jpeg, score_threshold=1.0)) == 0


def test_refusals_come_in_the_servers_own_words(client, scene):
    with pytest.raises(RequestError, match="accepted") as refusal:
        client.detect(b"no image")
    assert refusal.value.status == "INVALID_ARGUMENT"
    with pytest.raises(RequestError, match="score_threshold") as refusal:
        client.detect(scene.jpeg, score_threshold=2.0)
    assert refusal.value.status == "INVALID_ARGUMENT"
    assert str(refusal.value) == refusal.value.message


def test_an_unknown_model_is_not_found(client, scene):
    for ask in (client.detect, client.pose, client.parts):
        with pytest.raises(RequestError, match="nobody") as refusal:
            ask(scene.jpeg, model="nobody")
        assert refusal.value.status == "NOT_FOUND"


def test_a_model_with_other_outputs_is_named_so(client, scene):
    """With those that would do: other outputs, other inputs, or no such model."""
    poses = "people, pose, pose.demo_pose_133"
    with pytest.raises(RequestError, match=f"'KEYPOINTS' for model 'detect'; models that would do: {poses}$"):
        client.pose(scene.jpeg, model="detect")
    with pytest.raises(
        RequestError, match=r"'MASK' for model 'detect'; models that .*: parts, parts_of_people, people$"
    ):
        client.parts(scene.jpeg, model="detect")
    with pytest.raises(RequestError, match=r"models that would do: pose_in_boxes, pose_in_boxes\.demo_pose_133$"):
        client.pose_in_boxes(scene.jpeg, [[0, 0, 9, 9]], model="pose")
    with pytest.raises(RequestError, match=f"models that would do: {poses}$"):
        client.pose(scene.jpeg, model="pose_in_boxes")
    with pytest.raises(
        RequestError, match=r"names no class_set.*; models that would do: parts, parts_of_people, people$"
    ):
        client.class_set("detect")


def test_a_task_without_a_network_says_how_to_add_one(client, scene):
    with pytest.raises(RequestError, match="no network for 'matting': add one with `poseserve add`") as refusal:
        client.matting(scene.jpeg)
    assert refusal.value.status == "NOT_FOUND"


def test_numbers_of_numpy_are_limits_too(client, scene):
    everyone, one = client.detect(scene.jpeg), client.detect(scene.jpeg, max_people=np.int64(1))
    assert len(one) == 1 < len(everyone)
    assert len(client.detect(scene.jpeg, score_threshold=np.float32(1.0))) == 0


def test_one_client_serves_many_threads(client, scene):
    expected = client.detect(scene.jpeg).boxes
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.detect, [scene.jpeg] * 32))
    for people in answers:
        np.testing.assert_allclose(people.boxes, expected, atol=1e-3)


def test_a_thread_leaves_nothing_behind(client, scene):
    """No file descriptor, whether it has used the client or not."""
    folder = Path("/proc/self/fd")

    def ask():
        client.keypoint_set()

    for thread in [threading.Thread(target=ask) for _ in range(8)]:
        thread.start()
        thread.join()
    before = len(list(folder.iterdir()))
    for thread in [threading.Thread(target=ask) for _ in range(100)]:
        thread.start()
        thread.join()
    assert len(list(folder.iterdir())) <= before + 2


def test_both_protocols_say_the_same(server, scene):
    with PoseClient(f"grpc://{server.grpc_url}") as one, PoseClient(f"http://{server.http_url}") as other:
        a, b = one.pose(scene.jpeg), other.pose(scene.jpeg)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
        np.testing.assert_array_equal(one.parts(scene.jpeg), other.parts(scene.jpeg))


@pytest.fixture
def silent_address():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def dead_address():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    return address


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_server_is_named_with_its_url(scheme, dead_address):
    url = f"{scheme}://{dead_address}"
    with PoseClient(url) as client:
        assert not client.is_ready()
        with pytest.raises(RequestError, match=f"{url} is unavailable: .*refused") as failure:
            client.pose(b"jpeg")
    assert failure.value.status == "UNAVAILABLE"


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_silent_server_costs_no_more_than_the_timeout(scheme, silent_address):
    url = f"{scheme}://{silent_address}"
    with PoseClient(url, timeout=0.2) as client:
        assert not client.is_ready()
        with pytest.raises(RequestError, match=f"{url} did not answer within 0.2 s") as failure:
            client.detect(b"jpeg")
    assert failure.value.status == "DEADLINE_EXCEEDED"


def test_a_missing_file_is_the_callers_error(dead_address):
    with PoseClient(f"grpc://{dead_address}") as client, pytest.raises(FileNotFoundError):
        client.detect("no such file.jpg")
