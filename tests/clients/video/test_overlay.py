"""What is drawn of a frame: what was asked for, in colours that stay with the ids."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from poseclient.people import PosedPeople
from poseclient.video import command
from poseclient.video.follow import TrackedFrame
from poseclient.video.frames import Frame
from poseclient.video.overlay import LAYERS, USUAL_LAYERS, Overlay


@pytest.fixture
def result():
    """A grey frame with a person of id 3 on the left and one of id 4 on the right; a third was only detected."""
    boxes = np.array([[20, 40, 80, 160], [120, 40, 180, 160], [220, 40, 280, 160]], np.float32)
    keypoints = np.zeros((3, 17, 3), np.float32)
    keypoints[..., 0] = boxes[:, :1] + 30
    keypoints[..., 1] = np.linspace(60, 140, 17)
    keypoints[..., 2] = 0.9
    scores = np.full(3, 0.8, np.float32)
    found = PosedPeople(boxes, scores, keypoints, "coco_17", (200, 300), 3, scores)
    people = replace(found[:2], track_ids=np.array([3, 4]))
    frame = Frame(0, 0, Fraction(1, 25), np.full((200, 300, 3), 128, np.uint8))
    return TrackedFrame(frame, people, found)


def drawn(picture):
    """Whether something is drawn on the left, in the middle, on the right."""
    return [bool((picture[:, x : x + 100] != 128).any()) for x in (0, 100, 200)]


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_alone(layer, result):
    picture = Overlay([layer]).draw(result)
    assert drawn(picture) == [True, True, layer == "detections"]
    assert (result.image == 128).all()
    assert drawn(Overlay([]).draw(result)) == [False] * 3


def test_keypoints_below_the_threshold_are_not_drawn(result):
    assert drawn(Overlay(["skeletons"], threshold=0.95).draw(result)) == [False] * 3


@pytest.mark.parametrize("option", ["line_width", "radius"])
def test_strokes_are_as_wide_as_asked(option, result):
    thin, wide = (int((Overlay(["skeletons"], **{option: n}).draw(result) != 128).sum()) for n in (1, 12))
    assert wide > 2 * thin


def test_a_person_keeps_the_colour_when_the_order_changes(result):
    swapped = replace(result, people=result.people[[1, 0]])
    assert np.array_equal(Overlay(["boxes", "ids"]).draw(result), Overlay(["boxes", "ids"]).draw(swapped))


def test_who_is_not_tracked_yet_has_no_id(result):
    nobody = replace(result, people=replace(result.people, track_ids=np.array([-1, 4])))
    assert drawn(Overlay(["ids"]).draw(nobody)) == [False, True, False]


def test_the_command_line_offers_all_layers():
    assert (command.LAYERS, command.USUAL_LAYERS) == (LAYERS, USUAL_LAYERS)
