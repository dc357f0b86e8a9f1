"""Of poses that are alike, the best one stays."""

import numpy as np

from poseclient import oks
from poseclient.oks import oks_nms
from poseclient.people import PosedPeople
from poseserve import defaults


def people(keypoints, boxes, pose_scores):
    n = len(keypoints)
    return PosedPeople(
        np.array(boxes, np.float32), np.ones(n, np.float32), keypoints, pose_scores=np.array(pose_scores)
    )


def test_of_two_that_are_alike_the_better_pose_stays():
    # the crop is 200 x 1.25 wide, 250 x 250 / 0.75 = 83333 in area: exp(-50^2 / (2 x 83333 x 0.1^2)) = 0.223
    one = np.array([[0, 0, 2], [7, 0, 2], [14, 0, 2]], np.float32)
    three = one + [[[right, 0, 0]] for right in (0, 50, 5000)]
    boxes = [[0, 0, 200, 100]] * 3
    assert oks_nms(people(three, boxes, [0.1, 0.3, 0.2]), 0.22, [0.05] * 3).pose_scores.tolist() == [0.3, 0.2]
    assert oks_nms(people(three, boxes, [0.1, 0.3, 0.2]), 0.23, [0.05] * 3).pose_scores.tolist() == [0.3, 0.2, 0.1]


def test_crops_are_as_large_as_those_of_the_server():
    assert oks.CROP_SCALE == defaults.CROP_SCALE
