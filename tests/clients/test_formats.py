"""Files of other tools: exact layouts, plain numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco

from poseclient import People, class_set, keypoint_set
from poseclient.formats import (
    coco_categories,
    coco_panoptic,
    coco_results,
    depth_levels,
    easy_vitpose_json,
    openpose_json,
    sapiens_json,
    straight_alpha,
)


@pytest.fixture
def two():
    boxes = np.array([[10, 20, 40.5, 100], [0, 0, 5, 5]], np.float32)
    keypoints = np.zeros((2, 17, 3), np.float32)
    keypoints[0, 0] = 12.25, 30.5, 0.75
    keypoints[1, 16] = 4, 3, 0.1
    return People(boxes, np.array([0.5, 0.25], np.float32), keypoints, "coco_17", (120, 80), found=2)


@pytest.fixture
def masked(two):
    """Two people with the parts of two classes, and one part that is nobody's."""
    mask, instance_ids = np.zeros((2, 6, 8), np.uint8)
    mask[1:4, 2:5], instance_ids[1:4, 2:5] = 21, 1
    mask[4, 2:8], instance_ids[4, 2:8] = 3, 1
    mask[4:6, 0:2], instance_ids[4:6, 0:2] = 21, 2
    mask[0, 7] = 5
    instance_ids[0, 0] = 2  # background, whatever it is called
    return replace(two, mask=mask, class_set="sapiens_28", instance_ids=instance_ids)


def test_coco_results_have_a_flat_list_and_a_box_of_width_and_height(two):
    first, second = coco_results(two, image_id=7)
    assert (first["image_id"], first["category_id"], first["score"]) == (7, 1, 0.5)
    assert first["bbox"] == [10, 20, 30.5, 80]
    assert first["keypoints"][:3] == [12.25, 30.5, 0.75]
    assert len(first["keypoints"]) == 51
    assert second["keypoints"][-3:] == [4, 3, 0.1]


def test_coco_results_of_boxes_have_no_keypoints(two):
    assert "keypoints" not in coco_results(People(two.boxes, two.scores), 1)[0]


def test_coco_results_rank_poses_by_the_score_of_the_pose(two):
    posed = replace(two, pose_scores=np.array([0.25, 0.125], np.float32))
    assert [row["score"] for row in coco_results(posed, 1)] == [0.25, 0.125]


def test_a_segmentation_decodes_to_the_pixels_of_its_person(masked):
    rows = json.loads(json.dumps(coco_results(masked, 1)))
    for i, row in enumerate(rows, 1):
        np.testing.assert_array_equal(coco.decode(row["segmentation"]), masked.instance_ids == i)


def test_without_owners_there_is_no_segmentation(masked):
    assert all("segmentation" not in row for row in coco_results(replace(masked, instance_ids=None), 1))


def test_panoptic_segments_are_one_class_of_one_person(masked):
    segments = {segment["id"]: segment for segment in coco_panoptic(masked)[1]}
    of_first = {"category_id": 21, "area": 9, "bbox": [2, 1, 3, 3], "iscrowd": 0, "instance": 0}
    assert segments == {
        256 + 21: {"id": 256 + 21, **of_first},
        256 + 3: {"id": 256 + 3, **of_first, "category_id": 3, "area": 6, "bbox": [2, 4, 6, 1]},
        512 + 21: {"id": 512 + 21, **of_first, "area": 4, "bbox": [0, 4, 2, 2], "instance": 1},
        5: {"id": 5, **of_first, "category_id": 5, "area": 1, "bbox": [7, 0, 1, 1], "instance": None},
    }


def test_panoptic_pixels_decode_to_the_ids_of_the_segments(masked):
    pixels, segments = coco_panoptic(masked)
    ids = pixels.astype(int) @ [1, 256, 65536]
    assert set(np.unique(ids)) == {0} | {segment["id"] for segment in segments}
    np.testing.assert_array_equal(ids > 0, masked.mask > 0)
    for segment in segments:
        owner = 0 if segment["instance"] is None else segment["instance"] + 1
        chosen = (masked.mask == segment["category_id"]) & (masked.instance_ids == owner)
        np.testing.assert_array_equal(ids == segment["id"], chosen)


def test_an_empty_mask_has_no_segments(masked):
    pixels, segments = coco_panoptic(replace(masked, mask=np.zeros_like(masked.mask)))
    assert segments == []
    assert not pixels.any()


def test_panoptic_needs_owners(masked):
    with pytest.raises(ValueError, match="instance_ids"):
        coco_panoptic(replace(masked, instance_ids=None))


def test_categories_are_the_classes_without_background():
    classes = class_set("sapiens_28")
    categories = coco_categories(classes)
    assert [row["id"] for row in categories] == list(range(1, 28))
    assert [row["name"] for row in categories] == list(classes.names[1:])


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


def test_everything_is_json(two, masked):
    for value in (
        coco_results(two, 1),
        sapiens_json(two),
        easy_vitpose_json([two]),
        openpose_json(two),
        coco_panoptic(masked)[1],
    ):
        assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_nobody_is_an_empty_file(two):
    assert coco_results(two[:0], 1) == []
    assert sapiens_json(two[:0]) == {"instance_info": []}
    assert easy_vitpose_json([two[:0]])["keypoints"] == [{}]
    assert openpose_json(two[:0]) == {"version": 1.3, "people": []}


def test_boxes_alone_do_not_fit_formats_of_keypoints(two):
    boxes = People(two.boxes, two.scores)
    with pytest.raises(ValueError, match="keypoints"):
        sapiens_json(boxes)
    with pytest.raises(ValueError, match="keypoints"):
        easy_vitpose_json([boxes])
    with pytest.raises(ValueError, match="frame"):
        easy_vitpose_json([])


def test_openpose_has_a_neck_between_the_shoulders_and_its_own_order(two):
    two.keypoints[0, [5, 6]] = [[10, 20, 0.5], [30, 40, 0.75]]
    two.keypoints[1, [5, 6]] = [[10, 20, 0.5], [30, 40, 0.25]]
    first, second = openpose_json(two)["people"]
    points = np.reshape(first["pose_keypoints_2d"], (18, 3))
    np.testing.assert_array_equal(
        points[[0, 1, 2, 5]], [[12.25, 30.5, 0.75], [20, 30, 1], [30, 40, 0.75], [10, 20, 0.5]]
    )
    assert second["pose_keypoints_2d"][3:6] == [0, 0, 0]
    assert second["pose_keypoints_2d"][30:33] == [4, 3, 0.1]  # the right ankle, COCO's last
    assert first["face_keypoints_2d"] == first["hand_left_keypoints_2d"] == first["hand_right_keypoints_2d"] == []


def test_openpose_has_hands_and_a_face_of_a_whole_body(two):
    keypoints = np.arange(2 * 133 * 3, dtype=np.float32).reshape(2, 133, 3)
    person = openpose_json(replace(two, keypoints=keypoints, keypoint_set="coco_wholebody_133"))["people"][1]
    for key, start, count in (("face", 23, 68), ("hand_left", 91, 21), ("hand_right", 112, 21)):
        assert person[f"{key}_keypoints_2d"] == keypoints[1, start : start + count].ravel().tolist()


def test_other_keypoint_sets_do_not_fit_openpose(two):
    with pytest.raises(ValueError, match=r"coco_wholebody_133.*coco_25"):
        openpose_json(replace(two, keypoints=np.zeros((2, 25, 3), np.float32), keypoint_set="coco_25"))


def depth_of(levels, span):
    values = span["min"] + (levels.astype(float) - 1) / 65534 * (span["max"] - span["min"])
    return np.where(levels > 0, values, np.nan)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_depth_comes_back_from_16_bits(kind):
    depth = np.random.default_rng(2).uniform(-3, 5, (40, 50)).astype(kind)
    depth[3, 4:9] = np.nan, np.inf, -np.inf, depth[:3].min(), depth[:3].max()
    levels, span = depth_levels(depth)
    assert levels.dtype == np.uint16
    finite = np.isfinite(depth)
    np.testing.assert_allclose(depth_of(levels, span)[finite], depth[finite], rtol=0, atol=8 / 65535)
    np.testing.assert_array_equal(levels == 0, ~finite)
    assert (levels[finite].min(), levels.max()) == (1, 65535)


def test_a_constant_depth_comes_back_exactly():
    depth = np.full((2, 3), 1.5, np.float16)
    depth[0, 0] = np.nan
    np.testing.assert_array_equal(depth_of(*depth_levels(depth)), depth)


def test_a_depth_map_without_a_value_is_all_zero():
    levels, span = depth_levels(np.full((2, 3), np.nan, np.float16))
    assert not levels.any()
    assert json.loads(json.dumps(span, allow_nan=False)) == {"min": 0, "max": 0}


def test_alpha_is_divided_out_of_a_matte():
    matte = np.array([[[50, 0, 128, 128], [7, 8, 9, 255], [0, 0, 0, 0], [9, 3, 2, 8]]], np.uint8)
    expected = [[[100, 0, 255, 128], [7, 8, 9, 255], [0, 0, 0, 0], [255, 96, 64, 8]]]
    np.testing.assert_array_equal(straight_alpha(matte), expected)
