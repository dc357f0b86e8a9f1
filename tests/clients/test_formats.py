"""Files of other tools: exact layouts, plain numbers."""

import json

import numpy as np
import pytest

from poseclient import People, keypoint_set
from poseclient.formats import coco_results, easy_vitpose_json, sapiens_json


@pytest.fixture
def two():
    boxes = np.array([[10, 20, 40.5, 100], [0, 0, 5, 5]], np.float32)
    keypoints = np.zeros((2, 17, 3), np.float32)
    keypoints[0, 0] = 12.25, 30.5, 0.75
    keypoints[1, 16] = 4, 3, 0.1
    return People(boxes, np.array([0.5, 0.25], np.float32), keypoints, "coco_17", (120, 80), found=2)


def test_coco_results_have_a_flat_list_and_a_box_of_width_and_height(two):
    first, second = coco_results(two, image_id=7)
    assert (first["image_id"], first["category_id"], first["score"]) == (7, 1, 0.5)
    assert first["bbox"] == [10, 20, 30.5, 80]
    assert first["keypoints"][:3] == [12.25, 30.5, 0.75]
    assert len(first["keypoints"]) == 51
    assert second["keypoints"][-3:] == [4, 3, 0.1]


def test_coco_results_of_boxes_have_no_keypoints(two):
    assert "keypoints" not in coco_results(People(two.boxes, two.scores), 1)[0]


def test_sapiens_keeps_places_and_scores_apart(two):
    people = sapiens_json(two)["instance_info"]
    assert [set(person) for person in people] == [{"keypoints", "keypoint_scores"}] * 2
    assert people[0]["keypoints"][0] == [12.25, 30.5]
    assert people[0]["keypoint_scores"][0] == 0.75
    assert len(people[1]["keypoints"]) == len(people[1]["keypoint_scores"]) == 17


def test_easy_vitpose_writes_y_before_x(two):
    video = easy_vitpose_json([two, two[:0], two[1]])
    assert [list(frame) for frame in video["keypoints"]] == [["0", "1"], [], ["0"]]
    assert video["keypoints"][0]["0"][0] == [30.5, 12.25, 0.75]
    assert video["keypoints"][2]["0"][16] == [3, 4, 0.1]
    assert video["skeleton"] == {str(i): name for i, name in enumerate(keypoint_set("coco_17").names)}


def test_everything_is_json(two):
    for value in (coco_results(two, 1), sapiens_json(two), easy_vitpose_json([two])):
        assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_nobody_is_an_empty_file(two):
    assert coco_results(two[:0], 1) == []
    assert sapiens_json(two[:0]) == {"instance_info": []}
    assert easy_vitpose_json([two[:0]])["keypoints"] == [{}]


def test_boxes_alone_do_not_fit_formats_of_keypoints(two):
    boxes = People(two.boxes, two.scores)
    with pytest.raises(ValueError, match="keypoints"):
        sapiens_json(boxes)
    with pytest.raises(ValueError, match="keypoints"):
        easy_vitpose_json([boxes])
    with pytest.raises(ValueError, match="frame"):
        easy_vitpose_json([])
