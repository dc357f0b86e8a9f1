"""`people` is one request for what `pose` and `parts_of_people` answer, row by row of the same people."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.grpc

from poseclient import PoseClient
from poseclient.protocol import infer_inputs

EVERYONE = {"score_threshold": 0.05, "nms_iou": 1, "oks_nms": 1}  # boxes of the same person among them


@pytest.fixture
def client(url):
    with PoseClient(url) as connected:
        yield connected


def test_one_request_answers_what_two_do(server, client, scene):
    people, pose = client.people(scene.jpeg), client.pose(scene.jpeg)
    assert len(people) == people.found == pose.found == len(scene.people)
    for name in ("boxes", "scores", "keypoints", "pose_scores"):
        np.testing.assert_array_equal(getattr(people, name), getattr(pose, name), err_msg=name)
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as api:
        parts = api.infer("parts_of_people", infer_inputs(tritonclient.grpc, scene.jpeg))
    np.testing.assert_array_equal(people.mask, parts.as_numpy("MASK"))
    np.testing.assert_array_equal(people.instance_ids, parts.as_numpy("INSTANCE_IDS"))


def test_every_part_belongs_to_the_person_of_its_row(client, scene):
    people = client.people(scene.jpeg)
    np.testing.assert_array_equal(people.instance_ids > 0, people.mask > 0)
    for person in people:
        (x1, y1, x2, y2), (rows, columns) = person.boxes[0], np.nonzero(person.instance_ids)
        inside = (x1 <= columns) & (columns <= x2) & (y1 <= rows) & (rows <= y2)
        assert len(rows) > 0.2 * (x2 - x1) * (y2 - y1)
        assert inside.mean() > 0.95  # a box may cut off what its parts show


def test_rows_of_people_who_were_suppressed_leave_no_parts(client, scene):
    every, people = client.people(scene.jpeg, **EVERYONE), client.people(scene.jpeg, **EVERYONE | {"oks_nms": 0.5})
    kept = [every.boxes.tolist().index(box) for box in people.boxes.tolist()]
    assert len(kept) == people.found < len(every) == every.found
    assert kept != list(range(len(kept))), "the last rows alone were dropped"
    assert people.instance_ids.max() == len(people)
    for row, before in enumerate(kept, 1):
        # A pixel that lies in the middle of a kept crop, of all crops, does so of the kept ones.
        own = every.instance_ids == before + 1
        assert own.any()
        assert (people.instance_ids[own] == row).all()
        np.testing.assert_array_equal(people.mask[own], every.mask[own])
