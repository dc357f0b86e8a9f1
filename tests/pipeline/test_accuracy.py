"""The whole pipeline, through the server, against exact ground truth and against the same steps in one process."""

from __future__ import annotations

import asyncio

import pytest

from demo.evaluate import (
    Scores,
    evaluation_scenes,
    ground_truth,
    keypoint_ap,
    offline_answers,
    offline_maps,
    score,
    score_maps,
    served_answers,
    served_maps,
    served_whole_bodies,
)

SOME = 30  # of the 300 scenes of the accuracy figures


@pytest.fixture(scope="module")
def some_scenes():
    return evaluation_scenes(SOME)


@pytest.fixture(scope="module")
def true_scenes(some_scenes):
    return [scene for _, scene in some_scenes]


@pytest.fixture(scope="module")
def jpegs(some_scenes):
    return [jpeg for jpeg, _ in some_scenes]


@pytest.fixture(scope="module")
def served(server, jpegs, true_scenes):
    """The scores of `pose` and `parts`, over gRPC."""
    return score(true_scenes, *asyncio.run(served_answers(jpegs, f"grpc://{server.grpc_url}")))


def assert_equal(one: Scores, other: Scores) -> None:
    assert abs(one.detection_ap50 - other.detection_ap50) < 0.002
    assert abs(one.keypoint_ap - other.keypoint_ap) < 0.002
    assert abs(one.parts_miou - other.parts_miou) < 0.002


def assert_good(scores: Scores) -> None:
    assert scores.detection_ap50 >= 0.95
    assert scores.keypoint_ap >= 0.90
    assert scores.parts_miou >= 0.80


def test_people_keypoints_and_parts_are_found_on_unseen_scenes(served):
    assert_good(served)


@pytest.mark.slow
def test_people_keypoints_and_parts_are_found_on_all_scenes(server, scenes):
    jpegs, true_scenes = zip(*scenes, strict=True)
    assert_good(score(true_scenes, *asyncio.run(served_answers(jpegs, f"grpc://{server.grpc_url}"))))


def test_served_equals_the_same_steps_in_one_process(served, jpegs, true_scenes):
    assert_equal(served, score(true_scenes, *offline_answers(jpegs)))


def test_http_answers_as_well_as_grpc(server, served, jpegs, true_scenes):
    assert_equal(served, score(true_scenes, *asyncio.run(served_answers(jpegs, f"http://{server.http_url}"))))


def test_depth_and_normals_are_those_of_unseen_scenes_served_as_in_one_process(server, jpegs, true_scenes):
    served = asyncio.run(served_maps(jpegs, f"grpc://{server.grpc_url}"))
    scores = score_maps(true_scenes, *served)
    offline = score_maps(true_scenes, *offline_maps(jpegs))
    assert scores.depth_order >= 0.85
    assert scores.normals_mean <= 20
    assert abs(scores.depth_rmse - offline.depth_rmse) < 0.001
    assert abs(scores.normals_mean - offline.normals_mean) < 0.1


def test_133_keypoints_are_found_on_unseen_scenes(server, jpegs, true_scenes):
    people = asyncio.run(served_whole_bodies(jpegs, f"grpc://{server.grpc_url}"))
    scores = keypoint_ap(ground_truth(true_scenes), people, "coco_wholebody_133")
    assert scores["body"] >= 0.85
    assert scores["whole"] >= 0.68
