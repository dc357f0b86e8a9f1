"""What clients send and get: nobody, many, too many, tiny, huge, several at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import tritonclient.grpc

from demo.evaluate import evaluation_scene
from demo.scene import render_scene
from poseclient import AsyncPoseClient, PoseClient, RequestError
from poseserve.tasks import DETECTIONS
from tests.eventually import eventually


@pytest.fixture
def client(url):
    with PoseClient(url) as connected:
        yield connected


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()


def executions(server, model: str) -> tuple[int, int]:
    """Rows and executions of a model since the server started."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as api:
        statistics = api.get_inference_statistics(model).model_stats[0]
    return statistics.inference_count, statistics.execution_count


def test_pose_finds_the_people_where_they_are(client, scene):
    people = client.pose(scene.jpeg)
    assert len(people) == len(scene.people) == people.found
    assert people.keypoint_set == "coco_17"
    assert (np.diff(people.scores) <= 0).all()
    for person in scene.people:
        distances = np.abs(people.boxes - person.box).max(1)
        nearest = int(distances.argmin())
        side = (person.box[2:] - person.box[:2]).max()
        assert distances[nearest] < 0.1 * side
        visible = person.keypoints[:, 2] == 2
        error = np.linalg.norm(people.keypoints[nearest, visible, :2] - person.keypoints[visible, :2], axis=1)
        assert np.median(error) < 0.02 * side


def test_detect_gives_the_boxes_of_pose(client, scene):
    detected, posed = client.detect(scene.jpeg), client.pose(scene.jpeg)
    np.testing.assert_allclose(detected.boxes, posed.boxes, atol=1e-3)
    np.testing.assert_allclose(detected.scores, posed.scores, atol=1e-5)
    assert detected.keypoints is None


def test_pose_in_boxes_answers_for_each_box_in_order(client, scene):
    posed = client.pose(scene.jpeg)
    boxed = client.pose_in_boxes(scene.jpeg, posed.boxes[::-1])
    np.testing.assert_allclose(boxed.keypoints[::-1], posed.keypoints, atol=0.05)


def test_a_box_may_reach_outside_the_image(client, scene):
    h, w = scene.image.shape[:2]
    people = client.pose_in_boxes(scene.jpeg, [[-0.5 * w, -0.5 * h, 1.5 * w, 1.5 * h]])
    assert np.isfinite(people.keypoints).all()


def test_parts_agree_with_the_ground_truth(client, scene):
    mask = client.parts(scene.jpeg)
    assert mask.shape == scene.parts.shape
    assert mask.dtype == np.uint8
    assert (mask == scene.parts).mean() > 0.95


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (37, 41), (480, 640)])
def test_an_image_without_people_has_none(client, size):
    image = jpeg(np.full((*size, 3), 128, np.uint8))
    people = client.pose(image)
    assert len(people) == people.found == 0
    assert people.boxes.shape == (0, 4)
    assert people.keypoints.shape == (0, 17, 3)
    assert len(client.detect(image)) == 0
    assert client.parts(image).shape == size


def test_no_boxes_no_people(client, scene):
    assert client.pose_in_boxes(scene.jpeg, []).keypoints.shape == (0, 17, 3)


def test_people_beyond_the_limit_are_counted_not_lost_silently(client, scene):
    everyone, two = client.pose(scene.jpeg), client.pose(scene.jpeg, max_people=2)
    assert len(two) == 2
    assert two.found == everyone.found == len(scene.people)
    np.testing.assert_allclose(two.boxes, everyone.boxes[:2])


def test_thresholds_of_the_request_reach_the_suppression(client, scene):
    assert len(client.pose(scene.jpeg, score_threshold=0.999)) < len(client.pose(scene.jpeg))
    assert client.detect(scene.jpeg, score_threshold=0.0, nms_iou=1.0).found > len(scene.people)


def test_as_many_boxes_as_allowed(client, scene):
    boxes = np.tile(scene.people[0].box, (DETECTIONS, 1))
    keypoints = client.pose_in_boxes(scene.jpeg, boxes).keypoints
    assert keypoints.shape == (DETECTIONS, 17, 3)
    np.testing.assert_allclose(keypoints, np.broadcast_to(keypoints[:1], keypoints.shape), atol=0.05)


def test_one_hundred_megapixels(client):
    small = render_scene(3, (500, 500), people=1).image
    large = cv2.resize(small, (10_000, 10_000), interpolation=cv2.INTER_LINEAR)
    expected, people = client.pose(small), client.pose(jpeg(large))
    assert len(people) == len(expected) == 1
    side = (expected.boxes[0, 2:] - expected.boxes[0, :2]).max()
    assert np.abs(people.boxes[0] / 20 - expected.boxes[0]).max() < 0.05 * side


def test_the_people_of_concurrent_requests_share_executions(server, scene):
    rows_before, executions_before = executions(server, "demo_pose")

    async def many() -> None:
        async with AsyncPoseClient(f"grpc://{server.grpc_url}") as client:
            await asyncio.gather(*(client.pose_in_boxes(scene.jpeg, [p.box for p in scene.people]) for _ in range(24)))

    asyncio.run(many())
    expected = rows_before + 24 * len(scene.people)
    assert eventually(lambda: executions(server, "demo_pose")[0], expected) == expected
    runs = executions(server, "demo_pose")[1]
    assert runs - executions_before < 24, "no two requests were merged"


def test_answers_do_not_depend_on_company(server, scene):
    """Batches are split back to the requests they came from."""
    with PoseClient(f"grpc://{server.grpc_url}") as client, ThreadPoolExecutor(12) as pool:
        alone = [client.pose_in_boxes(scene.jpeg, [p.box]).keypoints for p in scene.people]
        futures = [pool.submit(client.pose_in_boxes, scene.jpeg, [scene.people[i % 4].box]) for i in range(48)]
        for i, future in enumerate(futures):
            np.testing.assert_allclose(future.result().keypoints, alone[i % 4], atol=0.05)


def test_answers_are_the_same_under_any_load(server):
    """Sixteen clients at once: the same people, the same boxes, and keypoints within a hundredth of a pixel."""
    images = [evaluation_scene(i)[0] for i in range(8)]
    with PoseClient(f"grpc://{server.grpc_url}") as client, ThreadPoolExecutor(16) as pool:
        alone = [client.pose(image) for image in images]
        loaded = list(pool.map(lambda i: client.pose(images[i % len(images)]), range(12 * len(images))))
    assert sum(map(len, alone)) > 2 * len(images)
    for i, people in enumerate(loaded):
        expected = alone[i % len(images)]
        np.testing.assert_array_equal(people.boxes, expected.boxes)
        sure = expected.keypoints[..., 2] >= 0.3
        np.testing.assert_allclose(people.keypoints[sure, :2], expected.keypoints[sure, :2], rtol=0, atol=0.01)


def test_the_boxes_of_an_answer_give_its_keypoints_again(client, scene):
    posed = client.pose(scene.jpeg)
    np.testing.assert_allclose(client.pose_in_boxes(scene.jpeg, posed.boxes).keypoints, posed.keypoints, atol=0.01)


def test_the_person_of_a_whole_image_has_the_score_1(client, scene):
    person = client.pose_of_image(scene.jpeg)
    height, width = scene.image.shape[:2]
    assert person.boxes.tolist() == [[0, 0, width, height]]
    assert person.scores.tolist() == [1]
    scores = person.keypoints[0, :, 2]
    np.testing.assert_allclose(person.pose_scores, [scores[scores > 0.2].mean()], rtol=1e-5)


def test_a_failed_request_leaves_its_neighbours_alone(server, scene):
    with PoseClient(f"grpc://{server.grpc_url}") as client, ThreadPoolExecutor(12) as pool:
        expected = client.pose(scene.jpeg).keypoints
        futures = [pool.submit(client.pose, scene.jpeg if i % 3 else b"not an image") for i in range(36)]
        for i, future in enumerate(futures):
            if i % 3:
                np.testing.assert_allclose(future.result().keypoints, expected, atol=0.05)
            else:
                with pytest.raises(RequestError, match="accepted"):
                    future.result()
