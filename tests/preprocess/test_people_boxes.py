"""Which people there are: detections, client boxes, suppression, request parameters."""

import numpy as np
import pytest

from poseserve.in_process import step_module

people_boxes = step_module("crop_people", "boxes")
options = step_module("crop_people", "options")
suppression = step_module("crop_people", "suppression")
DEFAULTS = options.Options(0.3, 0.6, 100)
SCALE = np.array([0.5, 0.25], np.float32)


def detected(rows: list, threshold: float = 0.3) -> tuple[list, list]:
    boxes, scores = people_boxes.detected_boxes(np.array(rows, np.float32), SCALE, 400, 600, threshold)
    assert boxes.shape == (len(scores), 4)
    assert scores.dtype == np.float32
    return boxes.tolist(), scores.tolist()


def test_detections_become_image_pixels_best_first():
    boxes, scores = detected([[10, 10, 20, 20, 0.5], [5, 5, 10, 10, 0.75], [0, 0, 0, 0, 0]])
    assert boxes == [[10, 20, 20, 40], [20, 40, 40, 80]]
    assert scores == [0.75, 0.5]


def test_detections_are_clipped_to_the_image():
    assert detected([[-10, -10, 400, 400, 0.5]])[0] == [[0, 0, 600, 400]]


@pytest.mark.parametrize(
    "row",
    [
        [10, 10, 20, 20, 0.5],  # the threshold itself
        [10, 10, 10, 20, 0.9],
        [20, 10, 10, 20, 0.9],
        [400, 10, 500, 20, 0.9],  # right of the image
        [10, -20, 20, -1, 0.9],  # above it
        [np.nan, 10, 20, 20, 0.9],
        [10, 10, 20, 20, np.nan],
    ],
)
def test_detection_without_score_or_area_is_dropped(row):
    assert detected([row, [1, 1, 2, 2, 0.75]], 0.5)[1] == [0.75]


def test_detections_that_differ_in_their_last_bits_are_one_box():
    rows = np.array([[10.061, 20.02, 30.1, 50.187, 0.5]], np.float32)
    noisy = [rows + np.float32([6.1e-5, -6.1e-5, 6.1e-5, -6.1e-5, 0]), rows]
    alone, merged = (people_boxes.detected_boxes(r, np.ones(2, np.float32), 400, 600, 0.3)[0] for r in noisy)
    np.testing.assert_array_equal(alone, merged)
    np.testing.assert_array_equal(alone, [[10.0, 20.0, 30.125, 50.125]])


def test_equal_scores_keep_their_order():
    rows = [[i, 0, i + 1, 1, 0.5 + 0.25 * (i == 2)] for i in range(4)]
    assert [box[0] for box in detected(rows)[0]] == [4, 0, 2, 6]


def test_threshold_zero_keeps_empty_rows_out():
    assert detected([[0, 0, 0, 0, 0], [0, 0, 9, 9, 0]], 0) == ([], [])


def test_usable_client_boxes_are_unchanged():
    boxes = np.array([[10, 20, 30, 40], [-500, -500, 5000, 5000], [599.9, 0, 600.1, 1]], np.float32)
    np.testing.assert_array_equal(people_boxes.checked_boxes(boxes, 400, 600, 3), boxes)
    assert people_boxes.checked_boxes(np.zeros((0, 4), np.float32), 400, 600, 3).shape == (0, 4)


@pytest.mark.parametrize(
    "box",
    [
        [np.nan, 0, 10, 10],
        [0, 0, np.inf, 10],
        [-1e30, 0, 10, 10],
        [0, 0, 100_001, 10],
        [10, 0, 10, 10],
        [0, 10, 10, 5],
        [600, 0, 700, 10],
        [0, 400, 10, 500],
        [-10, 0, 0, 10],
        [0, -10, 10, 0],
    ],
)
def test_first_unusable_client_box_is_named(box):
    boxes = np.array([[1, 2, 3, 4], box, [5, 5, 0, 0]], np.float32)
    with pytest.raises(ValueError, match=r"BOXES row 1 is \[.*; accepted are .*\(0, 0, 600, 400\)") as refusal:
        people_boxes.checked_boxes(boxes, 400, 600, 100)
    assert str(boxes[1].tolist()) in str(refusal.value)


def test_too_many_client_boxes_are_refused():
    with pytest.raises(ValueError, match="101 rows; accepted are at most 100"):
        people_boxes.checked_boxes(np.tile(np.float32([0, 0, 9, 9]), (101, 1)), 400, 600, 100)


@pytest.mark.parametrize(
    ("boxes", "max_iou", "kept"),
    [
        ([], 0.6, []),
        ([[0, 0, 10, 10]] * 4, 0.6, [0]),  # identical
        ([[0, 0, 10, 10]] * 3, 1.0, [0, 1, 2]),  # nothing overlaps by more than wholly
        ([[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20]], 0.0, [0, 1, 2]),  # touching
        ([[0, 0, 10, 10], [20, 20, 30, 30]], 0.0, [0, 1]),  # apart in both directions
        ([[20, 0, 30, 10], [0, 20, 10, 30]], 0.0, [0, 1]),
        ([[0, 0, 10, 10], [0, 0, 10, 6]], 0.6, [0, 1]),  # exactly the limit
        ([[0, 0, 10, 10], [0, 0, 10, 6.01]], 0.6, [0]),
        ([[0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]], 0.6, [0, 2]),  # a dropped box drops nobody
        ([[4 * i, 0, 4 * i + 10, 30] for i in range(9)], 0.6, list(range(9))),  # a crowd in a row
        ([[0, 0, 100, 100], [40, 40, 50, 50]], 0.6, [0, 1]),  # a child before its parent
    ],
)
def test_suppression(boxes, max_iou, kept):
    assert suppression.suppress(np.array(boxes, float).reshape(-1, 4), max_iou).tolist() == kept


def test_suppression_equals_the_definition_on_a_crowd():
    corners = np.random.default_rng(0).uniform(0, 60, (100, 2))
    boxes = np.concatenate([corners, corners + np.array([25, 60])], 1)
    kept: list[int] = []
    for i, a in enumerate(boxes):
        overlaps = []
        for b in boxes[kept]:
            shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
            overlaps.append(shared / (2 * 25 * 60 - shared))
        if all(overlap <= 0.4 for overlap in overlaps):
            kept.append(i)
    assert suppression.suppress(boxes, 0.4).tolist() == kept
    assert 5 < len(kept) < 60


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, options.Options(0.3, 0.6, 100)),
        ({"score_threshold": 0.5, "nms_iou": 1, "max_people": 3}, options.Options(0.5, 1.0, 3)),
        ({"score_threshold": "0", "nms_iou": "0.25", "max_people": "100"}, options.Options(0.0, 0.25, 100)),
    ],
)
def test_request_parameters(parameters, expected):
    assert options.parse_options(parameters, DEFAULTS) == expected


@pytest.mark.parametrize("name", ["score_threshold", "nms_iou", "max_people"])
@pytest.mark.parametrize("value", [-1, 101, "-0.5", "nan", float("nan"), "inf", "", "much", True, None, [1], 10**400])
def test_unusable_parameter_is_named(name, value):
    with pytest.raises(ValueError, match=f"parameter {name} is .*; accepted is a number from [01] to 1"):
        options.parse_options({name: value}, DEFAULTS)


@pytest.mark.parametrize("value", [2.5, "2.5"])
def test_half_a_person_is_refused(value):
    with pytest.raises(ValueError, match=r"max_people is 2\.5; accepted is a whole number from 1 to 100"):
        options.parse_options({"max_people": value}, DEFAULTS)


def test_long_values_are_shortened():
    with pytest.raises(ValueError, match="parameter nms_iou") as refusal:
        options.parse_options({"nms_iou": "é" * 1_000_000}, DEFAULTS)
    assert len(str(refusal.value)) < 200
    assert str(refusal.value).isascii()
