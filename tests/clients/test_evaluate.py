"""Accuracy by hand-made truths, and runs that go on where they were stopped."""

import json

import cv2
import numpy as np
import pytest

from poseclient import metrics, truth
from poseclient.answers import Answers, ask_missing
from poseclient.evaluate import main, oks_nms
from poseclient.keypoints import keypoint_set
from poseclient.people import People

AREA = 10_000.0
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def dataset(points, where, **more):
    """COCO's truth of one person with keypoints [K, 3]."""
    annotation = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 200, 100], "area": AREA, "iscrowd": 0}
    flat, start = points.ravel().tolist(), 0
    for key, count in where.values():
        annotation[key] = flat[3 * start : 3 * (start + count)]
        start += count
    images = [{"id": 7, "file_name": "7.jpg", "height": 300, "width": 300}]
    person = [{"id": 1, "name": "person"}]
    return {"images": images, "annotations": [annotation | more], "categories": person}


def results(points, where, score=0.9):
    """COCO's results with that person."""
    row = {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "score": score, "keypoints": points.ravel().tolist()}
    return [metrics.results_row(row, where)]


def spread(count):
    """[K, 3] labelled keypoints at different places."""
    return np.stack([np.arange(count) % 20 * 7.0, np.arange(count) // 20 * 9.0, np.full(count, 2.0)], axis=1)


def moved(points, pixels):
    return points + np.array([pixels, 0, 0])


COCO = metrics.layout("coco_17", 17)
FOX = metrics.layout("fox", 3)
WHOLE = metrics.layout("coco_wholebody_133", 133)


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


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 3\].*\[3, 2\]"):
        metrics.mask_counts(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 4)


def people(keypoints, boxes, pose_scores):
    n = len(keypoints)
    return People(np.array(boxes, np.float32), np.ones(n, np.float32), keypoints, pose_scores=np.array(pose_scores))


def test_of_two_that_are_alike_the_better_pose_stays():
    # the crop is 200 x 1.25 wide, 250 x 250 / 0.75 = 83333 in area: exp(-50^2 / (2 x 83333 x 0.1^2)) = 0.223
    one = spread(3)
    three = np.stack([one, moved(one, 50), moved(one, 5000)])
    boxes = [[0, 0, 200, 100]] * 3
    assert oks_nms(people(three, boxes, [0.1, 0.3, 0.2]), 0.22, [0.05] * 3).pose_scores.tolist() == [0.3, 0.2]
    assert oks_nms(people(three, boxes, [0.1, 0.3, 0.2]), 0.23, [0.05] * 3).pose_scores.tolist() == [0.3, 0.2, 0.1]


def test_boxes_are_those_of_people_best_first():
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.75},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 0], "score": 0.9},
        {"image_id": 2, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 6, 6], "score": 0.25},
    ]
    boxes = truth.boxes_by_image(rows, 1, least_score=0.4)
    assert {image: found.tolist() for image, found in boxes.items()} == {1: [[0, 0, 5, 5, 0.75], [10, 20, 40, 60, 0.5]]}


def test_the_truth_of_the_first_images_alone(tmp_path):
    known = dataset(spread(3), FOX)
    known["images"].append({"id": 8, "file_name": "8.jpg"})
    known["annotations"].append(known["annotations"][0] | {"id": 2, "image_id": 8})
    known["annotations"].append(known["annotations"][0] | {"id": 3, "category_id": 2})
    known["categories"].append({"id": 2, "name": "dog"})
    (tmp_path / "truth.json").write_text(json.dumps(known))
    found = truth.read_truth(tmp_path / "truth.json", limit=1)
    assert [row["id"] for row in found["annotations"]] == [1]
    assert [row["name"] for row in found["categories"]] == ["person"]


BAD_TRUTH = {
    "no JSON": "{",
    "a list": "[]",
    "other keys": '{"frames": []}',
    "two categories": json.dumps(
        dataset(spread(3), FOX) | {"categories": [{"id": 1, "name": n} for n in ("cat", "dog")]}
    ),
    "no area": json.dumps(dataset(spread(3), FOX, area=None)),
    "no box": json.dumps(dataset(spread(3), FOX, bbox=None)),
    "nobody": json.dumps(dataset(spread(3), FOX, image_id=9)),
}


@pytest.mark.parametrize("kind", BAD_TRUTH)
def test_a_bad_annotation_file_is_one_clear_line(kind, tmp_path, capsys):
    (tmp_path / "truth.json").write_text(BAD_TRUTH[kind])
    assert main(["--annotations", str(tmp_path / "truth.json"), "--images", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path / "truth.json") in said


@pytest.mark.parametrize("text", ["[", "{}x", '[{"image_id": 1}]', "[1]", '{"image_id": 1}'])
def test_a_bad_file_of_detections_is_refused(text, tmp_path):
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(ValueError, match=r"boxes\.json is no file of COCO results"):
        truth.read_detections(tmp_path / "boxes.json")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--task", "keypoints"], "--annotations"),
        (["--task", "parts"], "--masks"),
        (["--task", "boxes", "--annotations", "a.json", "--truth-boxes"], "--truth-boxes"),
        (["--annotations", "missing.json"], "missing.json"),
        (["--annotations", "a.json", "--concurrency", "0"], "--concurrency"),
        (["--annotations", "a.json", "--url", "gpu"], "gpu"),
    ],
)
def test_a_run_that_cannot_begin_says_why(arguments, word, tmp_path, capsys):
    assert main(["--images", str(tmp_path), "--out", str(tmp_path / "out"), *arguments]) == 1
    assert word in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_masks_find_their_images(tmp_path):
    for name in ("images/a.jpg", "images/b.webp", "images/c.jpg", "masks/a.png", "masks/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    np.save(tmp_path / "masks" / "b.npy", np.ones((2, 3), np.int64))
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.full((2, 3), 27, np.uint8))
    pairs = truth.masks_and_images(tmp_path / "masks", tmp_path / "images")
    assert [(mask.name, image.name) for mask, image in pairs] == [("a.png", "a.jpg"), ("b.npy", "b.webp")]
    assert [truth.read_mask(mask).tolist() for mask, _ in pairs] == [[[27] * 3] * 2, [[1] * 3] * 2]
    (tmp_path / "masks" / "d.png").touch()
    with pytest.raises(ValueError, match=r"1 masks.*d\.png"):
        truth.masks_and_images(tmp_path / "masks", tmp_path / "images")


@pytest.mark.parametrize("content", [np.zeros((2, 3), np.float32), np.zeros((2, 3, 3), np.uint8)])
def test_a_mask_that_holds_no_class_ids_is_refused(content, tmp_path):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match=r"a\.npy is no mask"):
        truth.read_mask(tmp_path / "a.npy")


SETTINGS = {"model": "pose", "oks_nms": None}


def written(path, answers):
    with Answers(path, SETTINGS) as kept:
        for name, answer in answers.items():
            kept.add(name, answer)
    return path


def test_answers_are_there_again(tmp_path):
    path = written(tmp_path / "answers.jsonl", {"a": [1, 2], "b": {"ü": None}})
    with Answers(path, SETTINGS) as kept:
        assert kept.given == {"a": [1, 2], "b": {"ü": None}}
        kept.add("c", 3)
    with Answers(path, SETTINGS) as kept:
        assert list(kept.given) == ["a", "b", "c"]


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_an_answer_that_was_not_written_to_its_end_is_forgotten(cut, tmp_path):
    path = written(tmp_path / "answers.jsonl", {"a": 1, "b": "x" * 30})
    path.write_bytes(path.read_bytes()[:-cut])
    with Answers(path, SETTINGS) as kept:
        assert kept.given == {"a": 1}
        kept.add("b", 2)
    with Answers(path, SETTINGS) as kept:
        assert kept.given == {"a": 1, "b": 2}


def test_answers_to_other_settings_are_refused(tmp_path):
    path = written(tmp_path / "answers.jsonl", {"a": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"model 'pose', now 'pose\.b'"):
        Answers(path, SETTINGS | {"model": "pose.b"})
    with pytest.raises(ValueError, match=r"oks_nms None, now 0\.9"):
        Answers(path, SETTINGS | {"oks_nms": 0.9})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["hello\n", "{}\n", '{"settings": 3}\n', '{"settings": {"model": "pose"}}\n{}\n'])
def test_another_file_is_not_taken_for_answers(text, tmp_path):
    (tmp_path / "answers.jsonl").write_text(text)
    with pytest.raises(ValueError, match="no file of answers"):
        Answers(tmp_path / "answers.jsonl", SETTINGS)
    assert (tmp_path / "answers.jsonl").read_text() == text


async def test_only_what_is_missing_is_asked_and_failures_stay_missing(tmp_path, capsys):
    asked = []

    def question(name):
        async def ask():
            asked.append(name)
            if name == "bad":
                raise ValueError("no image")
            return len(asked)

        return ask

    questions = {name: question(name) for name in ("a", "bad", "b", "c")}
    path = written(tmp_path / "answers.jsonl", {"b": 1})
    for expected in (["a", "bad", "c"], ["bad"]):
        asked.clear()
        with Answers(path, SETTINGS) as kept:
            assert await ask_missing(questions, kept, concurrency=2) == 1
            assert set(kept.given) == {"a", "b", "c"}
        assert sorted(asked) == expected
    assert "bad: no image" in capsys.readouterr().err
