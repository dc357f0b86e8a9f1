"""Skeletons on black, in the colours that ControlNet's networks learnt."""

import numpy as np
import pytest

from poseclient import People
from poseclient.openpose import draw_openpose


def standing(count: int = 17, score: float = 0.9) -> People:
    """One person who fills 512 x 512; all points of face and hands of a whole body lie at the nose and the wrists."""
    places = [
        (256, 60), (270, 50), (242, 50), (290, 60), (222, 60), (330, 130), (182, 130), (370, 220), (142, 220),
        (380, 310), (132, 310), (300, 310), (212, 310), (306, 400), (206, 400), (306, 490), (206, 490),
    ]  # fmt: skip
    points = np.zeros((count, 2))
    points[:17] = places
    if count == 133:
        points[17:23], points[23:91], points[91:112], points[112:] = (10, 10), places[0], places[9], places[10]
    keypoints = np.concatenate([points, np.full((count, 1), score)], 1).astype(np.float32)
    name = {17: "coco_17", 133: "coco_wholebody_133"}[count]
    return People(np.array([[100, 20, 400, 500]], np.float32), np.ones(1, np.float32), keypoints[None], name)


def at(picture: np.ndarray, x: float, y: float) -> tuple:
    return tuple(picture[round(y), round(x)].tolist())


@pytest.mark.parametrize(
    ("middle", "colour"),
    [
        ((162, 175), (153, 102, 0)),  # right shoulder to elbow: the third hue
        ((350, 175), (102, 153, 0)),  # left shoulder to elbow: the fifth
        ((256, 95), (0, 0, 153)),  # neck to nose: the thirteenth
        ((306, 445), (0, 51, 153)),  # left knee to ankle: the twelfth
    ],
)
def test_the_middle_of_a_limb_has_its_hue_at_60_percent(middle, colour):
    assert at(draw_openpose((512, 512), standing()), *middle) == colour


def test_joints_have_the_18_hues_in_openposes_order():
    picture, person = draw_openpose((512, 512), standing()), standing().keypoints[0]
    assert at(picture, *person[0, :2]) == (255, 0, 0)
    assert at(picture, 256, 130) == (255, 85, 0)  # the neck
    assert at(picture, *person[6, :2]) == (255, 170, 0)
    assert at(picture, *person[15, :2]) == (85, 0, 255)
    assert at(picture, *person[3, :2]) == (255, 0, 85)


def test_everything_else_is_black():
    picture = draw_openpose((512, 512), standing())
    assert (picture == 0).all(2).mean() > 0.9
    assert at(picture, 256, 200) == at(picture, 10, 10) == (0, 0, 0)


def test_a_limb_is_an_ellipse_widest_in_its_middle():
    picture = draw_openpose((512, 512), standing())
    shin = (picture[405:480, 290:322] > 0).any(2).sum(1)
    assert 7 <= shin[40] <= 11
    assert shin[70] < shin[40]


def test_without_both_shoulders_there_is_no_neck():
    person = standing()
    person.keypoints[0, 5, 2] = 0.2
    picture = draw_openpose((512, 512), person)
    assert at(picture, 256, 130) == at(picture, 256, 95) == (0, 0, 0)
    assert at(picture, 162, 175) == (153, 102, 0)


def test_points_below_the_threshold_are_left_out():
    assert not draw_openpose((512, 512), standing(score=0.2)).any()
    assert draw_openpose((512, 512), standing(score=0.2), threshold=0.1).any()


def test_hands_have_rainbow_bones_and_faces_white_dots():
    person = standing(133)
    person.keypoints[0, 91 + 20, :2] = (
        470,
        310,
    )  # the tip of the left little finger; the rest is at the wrist
    person.keypoints[0, 23 + 8, :2] = 256, 80  # the chin
    picture = draw_openpose((512, 512), person)
    assert at(picture, 425, 310) == (255, 0, 77)  # the last of 20 hues
    assert at(picture, 470, 310) == (0, 0, 255)
    assert at(picture, 256, 80) == (255, 255, 255)
    assert at(picture, 10, 10) == (0, 0, 0)  # OpenPose's body of 18 has no feet


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, 5e5])
def test_keypoints_far_away_do_no_harm(value):
    person = standing()
    person.keypoints[0, 7, :2] = value
    assert at(draw_openpose((512, 512), person), 162, 175) == (153, 102, 0)


def test_nobody_is_black():
    assert not draw_openpose((30, 40), standing()[:0]).any()
    assert draw_openpose((30, 40), standing()[:0]).shape == (30, 40, 3)


def test_boxes_alone_cannot_be_drawn():
    person = standing()
    with pytest.raises(ValueError, match="coco_17"):
        draw_openpose((512, 512), People(person.boxes, person.scores))
