"""The whole pipeline, through the server, against exact ground truth and against the same steps in one process."""

from __future__ import annotations

import asyncio

import pytest

from demo.evaluate import offline_answers, score, served_answers


@pytest.fixture(scope="module")
def truth(scenes):
    return [scene for _, scene in scenes]


@pytest.fixture(scope="module")
def jpegs(scenes):
    return [jpeg for jpeg, _ in scenes]


@pytest.fixture(scope="module")
def served(server, jpegs, truth):
    return score(truth, *asyncio.run(served_answers(jpegs, f"grpc://{server.grpc_url}")))


def test_people_keypoints_and_parts_are_found_on_unseen_scenes(served):
    assert served.detection_ap50 >= 0.95
    assert served.keypoint_ap >= 0.90
    assert served.parts_miou >= 0.78  # the goal is 0.80, see docs/known-issues.md


def test_served_equals_the_same_steps_in_one_process(served, jpegs, truth):
    offline = score(truth, *offline_answers(jpegs))
    assert abs(served.detection_ap50 - offline.detection_ap50) < 0.002
    assert abs(served.keypoint_ap - offline.keypoint_ap) < 0.002
    assert abs(served.parts_miou - offline.parts_miou) < 0.002


def test_http_answers_as_well_as_grpc(server, jpegs, truth):
    some, their_truth = jpegs[:40], truth[:40]
    http = score(their_truth, *asyncio.run(served_answers(some, f"http://{server.http_url}")))
    grpc = score(their_truth, *asyncio.run(served_answers(some, f"grpc://{server.grpc_url}")))
    assert abs(http.keypoint_ap - grpc.keypoint_ap) < 0.002
    assert abs(http.detection_ap50 - grpc.detection_ap50) < 0.002
    assert abs(http.parts_miou - grpc.parts_miou) < 0.002
