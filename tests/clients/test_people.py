"""People are selected like rows of an array."""

from dataclasses import replace

import numpy as np
import pytest

from poseclient import People, PosedPeople
from poseclient.formats import coco_results


@pytest.fixture
def three():
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    scores = np.array([0.9, 0.6, 0.3], np.float32)
    keypoints = np.arange(3 * 17 * 3, dtype=np.float32).reshape(3, 17, 3)
    return People(boxes, scores, keypoints, "coco_17", (480, 640), found=5)


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (0, [0]),
        (-1, [2]),
        (np.int64(1), [1]),
        (slice(1, None), [1, 2]),
        (slice(3, None), []),
        (np.array([True, False, True]), [0, 2]),
        ([True, False, True], [0, 2]),
        ([2, 0], [2, 0]),
        ([], []),
    ],
)
def test_an_index_selects_rows_of_everything(three, index, rows):
    some = three[index]
    assert len(some) == len(rows)
    np.testing.assert_array_equal(some.boxes, three.boxes[rows])
    np.testing.assert_array_equal(some.scores, three.scores[rows])
    np.testing.assert_array_equal(some.keypoints, three.keypoints[rows])


def test_a_selection_keeps_what_is_about_the_image(three):
    best = three[three.scores > 0.5]
    assert (best.keypoint_set, best.image_size, best.found) == ("coco_17", (480, 640), 5)


def test_iteration_gives_one_person_at_a_time(three):
    assert [(len(person), person.scores[0]) for person in three] == [(1, s) for s in three.scores]


def test_a_selection_of_posed_people_is_posed(three):
    posed = PosedPeople(three.boxes, three.scores, three.keypoints, "coco_17")
    assert {type(some) for some in (posed[0], posed[:2], *posed)} == {PosedPeople}
    assert {type(some) for some in (three[0], *three)} == {People}


def test_boxes_without_keypoints_are_selected_too(three):
    detected = People(three.boxes, three.scores)
    assert detected[1].keypoints is None


def test_what_belonged_to_others_is_nobodys_in_a_selection(three):
    instance_ids = np.array([[0, 1, 2, 3]], np.uint8)
    masked = replace(three, instance_ids=instance_ids, mask=instance_ids, pose_scores=three.scores / 2)
    assert masked[[2, 0]].instance_ids.tolist() == [[0, 2, 0, 1]]
    assert masked[[2, 0]].pose_scores.tolist() == masked.pose_scores[[2, 0]].tolist()
    assert replace(three, track_ids=np.array([7, -1, 9]))[[2, 0]].track_ids.tolist() == [9, 7]
    assert masked[:0].instance_ids.tolist() == [[0, 0, 0, 0]]
    assert masked[[2, 0]].mask is masked.mask


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_beyond_the_end_is_an_error(three, index):
    with pytest.raises(IndexError):
        three[index]


def test_nobody_is_normal(three):
    nobody = three[:0]
    assert len(nobody) == 0
    assert list(nobody) == []
    assert nobody.keypoints.shape == (0, 17, 3)


def test_rows_that_do_not_belong_together_are_refused(three):
    with pytest.raises(ValueError, match=r"\[2, 4\].*\[3, 4\]"):
        People(three.boxes, three.scores[:2])
    with pytest.raises(ValueError, match="keypoints"):
        People(three.boxes, three.scores, three.keypoints[:2], "coco_17")
    with pytest.raises(ValueError, match="keypoints"):
        People(three.boxes, three.scores, three.keypoints[..., :2], "coco_17")


def test_keypoints_are_those_of_their_set(three):
    with pytest.raises(ValueError, match="coco_17 has 17 keypoints, got 16"):
        People(three.boxes, three.scores, three.keypoints[:, :16], "coco_17")
    with pytest.raises(ValueError, match="coco_wholebody_133 has 133 keypoints, got 17"):
        replace(three, keypoint_set="coco_wholebody_133")
    assert People(three.boxes, three.scores, three.keypoints[:, :16], "of_another_version").keypoint_set


def test_a_person_is_shown_in_one_line(three):
    assert repr(three) == "<People: 3 of 5 people, scores 0.90 to 0.30, keypoints coco_17>"
    assert repr(three[:0]) == "<People: 0 of 5 people, keypoints coco_17>"
    masked = PosedPeople(three.boxes, three.scores, three.keypoints, "coco_17", mask=np.zeros((2, 2), np.uint8))
    assert repr(masked) == "<PosedPeople: 3 people, scores 0.90 to 0.30, keypoints coco_17, mask ?>"


def test_coco_results_are_those_of_the_format(three):
    assert three.to_coco(7, category_id=2) == coco_results(three, 7, 2)
