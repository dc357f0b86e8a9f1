"""People as objects of other packages."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import supervision

from poseclient import MissingExtraError, People
from tests.clients.test_people_dicts import posed


def test_a_table_names_the_keypoints():
    people = posed()
    table = people.to_pandas()
    assert len(table) == 2
    assert list(table.columns[:9]) == ["x1", "y1", "x2", "y2", "score", "pose_score", "nose_x", "nose_y", "nose_score"]
    assert len(table.columns) == 6 + 3 * 17
    np.testing.assert_array_equal(
        table[["right_ankle_x", "right_ankle_y", "right_ankle_score"]], people.keypoints[:, 16]
    )
    np.testing.assert_array_equal(table[["x1", "y1", "x2", "y2"]], people.boxes)
    assert list(posed(0).to_pandas().columns) == list(table.columns)


def test_a_table_of_boxes():
    assert list(People(posed().boxes, posed().scores).to_pandas().columns) == ["x1", "y1", "x2", "y2", "score"]


def test_detections_and_key_points():
    people = posed()
    detections, key_points = people.to_supervision()
    assert isinstance(detections, supervision.Detections)
    np.testing.assert_array_equal(detections.xyxy, people.boxes)
    np.testing.assert_array_equal(detections.confidence, people.scores)
    np.testing.assert_array_equal(detections.mask[1], people.instance_ids == 2)
    np.testing.assert_array_equal(key_points.xy, people.keypoints[..., :2])
    np.testing.assert_array_equal(key_points.keypoint_confidence, people.keypoints[..., 2])
    assert detections["class_name"].tolist() == ["person", "person"]
    assert detections.tracker_id is None
    assert [len(each) for each in posed(0).to_supervision()] == [0, 0]
    assert People(people.boxes, people.scores).to_supervision()[1] is None


def test_track_ids_go_along():
    people = replace(posed(), track_ids=np.array([3, -1]))
    assert people.to_pandas()["track_id"].tolist() == [3, -1]
    detections, key_points = people.to_supervision()
    assert detections.tracker_id.tolist() == [3, -1]
    assert key_points["tracker_id"].tolist() == [3, -1]


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'poseclient\[{package}\]'"):
        getattr(posed(), f"to_{package}")()
