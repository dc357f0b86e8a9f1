"""Accuracy computed by hand."""

import numpy as np
import pytest

from poseclient import metrics
from poseclient.keypoints import keypoint_set

AREA = 10_000.0
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def dataset(points, groups, **more):
    """COCO's truth of one person with keypoints [K, 3]."""
    annotation = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 200, 100], "area": AREA, "iscrowd": 0}
    flat, start = points.ravel().tolist(), 0
    for key, count in groups.values():
        annotation[key] = flat[3 * start : 3 * (start + count)]
        start += count
    images = [{"id": 7, "file_name": "7.jpg", "height": 300, "width": 300}]
    person = [{"id": 1, "name": "person"}]
    return {"images": images, "annotations": [annotation | more], "categories": person}


def results(points, groups, score=0.9):
    """COCO's results with that person."""
    row = {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "score": score, "keypoints": points.ravel().tolist()}
    return [metrics.results_row(row, groups)]


def spread(count):
    """[K, 3] labelled keypoints at different places."""
    return np.stack([np.arange(count) % 20 * 7.0, np.arange(count) // 20 * 9.0, np.full(count, 2.0)], axis=1)


def moved(points, pixels):
    return points + np.array([pixels, 0, 0])


COCO = metrics.keypoint_groups("coco_17", 17)
FOX = metrics.keypoint_groups("fox", 3)
WHOLE = metrics.keypoint_groups("coco_wholebody_133", 133)


def test_the_ap_of_perfect_keypoints_is_1():
    points = spread(17)
    figures = metrics.keypoint_figures(
        dataset(points, COCO), results(points, COCO), COCO, keypoint_set("coco_17").oks_sigmas
    )
    assert figures["keypoints"]["AP_all"] == figures["keypoints"]["AR_all"] == pytest.approx(1)


def test_the_ap_of_moved_keypoints_is_what_the_formula_says():
    # exp(-10^2 / (2 x 10000 x (2 x 0.05)^2)) = exp(-1/2) = 0.607, which is above 0.5, 0.55 and 0.6
    points = spread(3)
    figures = metrics.keypoint_figures(dataset(points, FOX), results(moved(points, 10), FOX), FOX, [0.05] * 3)
    assert figures["keypoints"]["AP_all"] == pytest.approx(0.3)


def test_keypoints_that_are_not_labelled_do_not_count():
    points = spread(3)
    found = points.copy()
    found[2, :2] += 1000
    points[2] = 0
    figures = metrics.keypoint_figures(dataset(points, FOX), results(found, FOX), FOX, [0.05] * 3)
    assert figures["keypoints"]["AP_all"] == pytest.approx(1)


def test_the_ap_without_results_is_0():
    points = spread(3)
    assert metrics.keypoint_figures(dataset(points, FOX), [], FOX, [0.05] * 3)["keypoints"]["AP_all"] == 0
    assert metrics.box_figures(dataset(points, FOX), [])["boxes"]["AP_all"] == 0


def test_parts_of_the_whole_body_are_kept_apart():
    points = spread(133)
    found = points.copy()
    found[91:] = moved(points[91:], 5000)
    sigmas = keypoint_set("coco_wholebody_133").oks_sigmas
    figures = metrics.keypoint_figures(dataset(points, WHOLE), results(found, WHOLE), WHOLE, sigmas)
    ap = {part: row["AP_all"] for part, row in figures.items()}
    hands = {"left hand": 0, "right hand": 0, "hand": 0}
    # 91 of 133 keypoints are right, 0.684: above 0.5, 0.55, 0.6 and 0.65
    assert ap == pytest.approx({"body": 1, "foot": 1, "face": 1, **hands, "whole": 0.4})


def test_a_part_is_judged_by_its_own_sigmas_and_the_area_of_the_person():
    points = spread(133)
    found = points.copy()
    found[91:112] = moved(points[91:112], 3)
    sigmas = np.array(keypoint_set("coco_wholebody_133").oks_sigmas)
    figures = metrics.keypoint_figures(dataset(points, WHOLE), results(found, WHOLE), WHOLE, sigmas)
    oks = np.exp(-(3**2) / (2 * AREA * (2 * sigmas[91:112]) ** 2)).mean()
    expected = (oks >= THRESHOLDS).mean()
    assert 0 < expected < 1
    assert figures["left hand"]["AP_all"] == pytest.approx(expected)
    assert figures["right hand"]["AP_all"] == pytest.approx(1)
    assert figures["hand"]["AP_all"] == pytest.approx((1 + expected) / 2)


def test_a_part_that_nobody_has_labelled_has_no_figure():
    points = spread(133)
    points[112:] = 0
    sigmas = keypoint_set("coco_wholebody_133").oks_sigmas
    figures = metrics.keypoint_figures(dataset(points, WHOLE), results(spread(133), WHOLE), WHOLE, sigmas)
    assert figures["right hand"]["AP_all"] == figures["hand"]["AP_all"] == -1
    assert figures["left hand"]["AP_all"] == figures["whole"]["AP_all"] == pytest.approx(1)


def test_results_of_the_whole_body_have_the_official_keys():
    (row,) = results(spread(133), WHOLE, score=0.5)
    lengths = {key: len(row[key]) for key in row if isinstance(row[key], list)}
    assert lengths == {"keypoints": 51, "foot_kpts": 18, "face_kpts": 204, "lefthand_kpts": 63, "righthand_kpts": 63}
    assert row["righthand_kpts"][-3:] == spread(133)[-1].tolist()
    assert {row[key] for key in row if key.endswith("score")} == {0.5}
    assert len([key for key in row if key.endswith("score")]) == 6


@pytest.mark.parametrize(("size", "expected"), [((200, 100), 0.5), ((60, 60), 1)])
@pytest.mark.parametrize("part", ["foot", "face", "left hand", "right hand", "whole"])
def test_a_result_that_matches_nobody_is_as_large_as_its_body(part, size, expected):
    """It ranks above the right one: a precision of 1/2 where its body is large too, else it does not count.

    xtcocotools 1.14.3 has the same figures here (`COCOeval(truth, results, "keypoints_lefthand", sigmas)` and so on),
    and on two sets of 36 random people and 72 results AP, AP medium and AP large of all six parts within 1e-15.
    """
    points = spread(133)
    wrong = moved(points, 5000)
    wrong[:17, :2] = 5000 + np.linspace(0, 1, 17)[:, None] * size
    found = results(wrong, WHOLE, score=0.9) + results(points, WHOLE, score=0.5)
    sigmas = keypoint_set("coco_wholebody_133").oks_sigmas
    figures = metrics.keypoint_figures(dataset(points, WHOLE), found, WHOLE, sigmas)
    assert figures[part]["AP_large"] == pytest.approx(expected)
    assert figures[part]["AP_all"] == pytest.approx(0.5)


def test_people_in_images_without_people_are_counted_but_for_crowds():
    row = {"category_id": 1, "area": 1}
    truth = {
        "images": [{"id": i} for i in (1, 2, 3, 4)],
        "annotations": [
            row | {"image_id": 2, "bbox": [10, 20, 100, 50], "iscrowd": 1},
            row | {"image_id": 3, "bbox": [10, 20, 100, 50], "iscrowd": 1},
            row | {"image_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 0},
            row | {"image_id": 4, "bbox": [0, 0, 5, 5]},
        ],
    }
    crowds = metrics.crowds_without_people(truth)
    assert {image_id: boxes.tolist() for image_id, boxes in crowds.items()} == {1: [], 2: [[10, 20, 110, 70]]}
    boxes = np.array([[0, 0, 20, 40], [60, 20, 160, 70], [61, 20, 161, 70], [20, 30, 22, 32]], np.float32)
    assert metrics.in_crowds(boxes, crowds[2]).tolist() == [False, True, False, True]
    assert metrics.in_crowds(boxes, crowds[1]).tolist() == [False] * 4
    assert metrics.in_crowds(boxes[:0], crowds[2]).tolist() == []
    assert metrics.false_people_figures([0, 3, 0, 0]) == {"false people": {"per_image": 0.75, "images": 4}}
    assert metrics.false_people_figures([])["false people"]["per_image"] == -1


def test_annotations_of_another_keypoint_set_are_refused():
    (annotation,) = dataset(spread(3), FOX)["annotations"]
    with pytest.raises(ValueError, match=r"annotation 1 .*17 .*'keypoints'"):
        metrics.count_labelled(annotation, COCO)
    with pytest.raises(ValueError, match=r"annotation 1 .*6 .*'foot_kpts'"):
        metrics.count_labelled(dataset(spread(17), COCO)["annotations"][0], WHOLE)


def test_the_iou_of_masks_is_counted_by_class():
    true = np.array([[0, 0, 1], [1, 1, 255]], np.uint8)
    found = np.array([[0, 1, 1], [1, 2, 2]], np.uint8)
    counts = metrics.mask_counts(true, found, 4)
    assert counts.tolist() == [[1, 2, 0, 0], [2, 3, 0, 0], [1, 3, 1, 0]]
    figures = metrics.mask_figures(counts, ["background", "arm", "leg", "hat"])
    # what the truth does not show has no figure of its own, however much of it was found
    assert figures == {"background": {"IoU": 1 / 2}, "arm": {"IoU": 2 / 4}, "mean": {"IoU": 1 / 2}}


@pytest.mark.parametrize("no_class", [3, 255, -1])
def test_an_id_that_names_no_class_is_left_out(no_class):
    counts = metrics.mask_counts(np.array([[0, 1, no_class, 2]], np.int16), np.array([[0, 1, 1, 2]], np.uint8), 3)
    assert counts.tolist() == [[1, 1, 1]] * 3


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 3\].*\[3, 2\]"):
        metrics.mask_counts(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 4)
