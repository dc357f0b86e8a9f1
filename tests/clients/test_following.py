"""Between detections the keypoints say where people are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseclient import InputError, PosedPeople
from poseclient.following import LEAST_POSE, SAME_PERSON, Following

SIZE = 480, 640


def posed(points, boxes, keypoint_scores=0.8, scores=None) -> PosedPeople:
    """People with keypoints at `points` [n, K, 2]."""
    points = np.array(points, np.float32)
    n, count = points.shape[:2]
    seen = np.broadcast_to(np.array(keypoint_scores, np.float32).reshape(-1, 1), (n, count))
    return PosedPeople(
        np.array(boxes, np.float32), np.ones(n, np.float32) if scores is None else np.array(scores, np.float32),
        np.concatenate([points, seen[..., None]], 2), image_size=SIZE, found=n, pose_scores=seen.mean(1).copy(),
    )  # fmt: skip


def corners(x: float, y: float, width: float = 60, height: float = 120):
    """Three keypoints, in a box of that size."""
    return [[x, y], [x + width, y + height / 2], [x + width / 2, y + height]]


def shown(first: PosedPeople, second: PosedPeople) -> PosedPeople:
    following = Following(first)
    return following.take(replace(second, scores=np.ones(len(second), np.float32)))


def test_the_first_boxes_are_those_of_the_detector():
    people = posed([corners(100, 50)], [[90, 30, 170, 180]])
    assert Following(people).boxes.tolist() == people.boxes.tolist()


def test_a_box_goes_with_the_keypoints_and_keeps_its_margins():
    first = posed([corners(100, 50)], [[90, 30, 170, 180]], scores=[0.7])
    following = Following(first)
    moved = following.take(replace(posed([corners(130, 60)], following.boxes), image_size=None))
    assert moved.image_size == SIZE  # which the detection knew
    assert moved.boxes.tolist() == [[120, 40, 200, 190]]
    assert following.boxes.tolist() == moved.boxes.tolist()
    nearer = following.take(posed([corners(130, 60, 120, 240)], following.boxes))
    assert nearer.boxes.tolist() == [[110, 20, 270, 320]]


def test_scores_are_those_of_the_detection():
    first = posed([corners(100, 50)], [[90, 30, 170, 180]], scores=[0.5])
    moved = shown(first, posed([corners(100, 50)], first.boxes, 0.8))
    assert moved.scores.tolist() == [0.5]
    np.testing.assert_allclose(moved.pose_scores, [0.4])


def test_people_stay_in_the_order_of_the_detection():
    points, boxes = [corners(100, 50), corners(300, 50)], [[90, 30, 170, 180], [290, 30, 370, 180]]
    first = posed(points, boxes, scores=[0.9, 0.8])
    moved = Following(first).take(posed(points, boxes, [0.4, 0.9]))
    np.testing.assert_allclose(moved.scores, [0.9, 0.8])


def test_who_is_hardly_seen_gets_no_box():
    points, boxes = [corners(100, 50), corners(300, 50)], [[90, 30, 170, 180], [290, 30, 370, 180]]
    following = Following(posed(points, boxes, scores=[0.9, 0.5]))
    left = following.take(posed(points, boxes, [LEAST_POSE - 0.01, LEAST_POSE + 0.01]))
    assert left.scores.tolist() == [0.5]
    assert left.found == 1
    assert len(following.boxes) == 1
    assert following.take(posed(points[1:], boxes[1:], LEAST_POSE + 0.01)).scores.tolist() == [0.5]


def test_of_two_who_became_one_the_better_pose_stays():
    points = [corners(100, 50), corners(300, 50), corners(500, 50)]
    boxes = [[90, 30, 170, 180], [290, 30, 370, 180], [490, 30, 570, 180]]
    following = Following(posed(points, boxes, scores=[0.9, 0.8, 0.7]))
    points[0] = corners(301, 50)
    left = following.take(posed(points, boxes, [0.5, 0.8, 0.8]))
    assert left.scores.tolist() == pytest.approx([0.8, 0.7])
    assert SAME_PERSON < 1


def test_boxes_end_with_the_picture_and_who_left_it_is_gone():
    points, boxes = [corners(570, 50), corners(100, 50)], [[560, 30, 640, 180], [90, 30, 170, 180]]
    following = Following(posed(points, boxes))
    left = following.take(posed([corners(600, 50), corners(100, 50)], boxes))
    assert left.boxes[0].tolist() == [590, 30, 640, 180]
    assert len(following.take(posed([corners(660, 50), corners(100, 50)], boxes))) == 1


def test_who_was_detected_outside_of_the_picture_is_not_looked_for():
    """The server refuses a request with such a box."""
    points, boxes = [corners(600, 50), corners(100, 50)], [[645, 30, 659, 180], [90, -30, 170, 180]]
    assert Following(posed(points, boxes)).boxes.tolist() == [[90, 0, 170, 180]]


def test_people_of_whom_little_is_known():
    boxes = [[90, 30, 170, 180], [290, 30, 370, 180]]
    points = [corners(100, 50), [[300, 60]] * 3]  # the second in one place
    first = posed(points, boxes, [0.1, 0.8])
    following = Following(first)
    assert following.boxes.tolist() == first.boxes.tolist()
    assert np.isfinite(following.take(posed(points, boxes, [0.8, 0.8])).boxes).all()


def test_nobody_is_followed_further():
    following = Following(posed(np.zeros((0, 3, 2)), np.zeros((0, 4))))
    assert following.boxes.shape == (0, 4)
    assert len(following.take(posed(np.zeros((0, 3, 2)), np.zeros((0, 4))))) == 0


def test_the_size_of_the_picture_must_be_known():
    with pytest.raises(InputError, match="the size of the image must be known"):
        Following(replace(posed([corners(100, 50)], [[90, 30, 170, 180]]), image_size=None))


def test_each_box_needs_an_answer():
    points, boxes = [corners(100, 50), corners(300, 50)], [[90, 30, 170, 180], [290, 30, 370, 180]]
    following = Following(posed(points, boxes))
    with pytest.raises(InputError, match="1 people for 2 boxes: each box needs one, leave oks_nms at 1"):
        following.take(posed(points[:1], boxes[:1]))
