"""Annotations, detections and masks of files."""

import json

import cv2
import numpy as np
import pytest

from poseclient import InputError, ground_truth


def test_boxes_are_those_of_people_best_first():
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.75},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 0], "score": 0.9},
        {"image_id": 2, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 6, 6], "score": 0.25},
    ]
    boxes = ground_truth.boxes_by_image(rows, 1, least_score=0.4)
    assert {image: found.tolist() for image, found in boxes.items()} == {1: [[0, 0, 5, 5, 0.75], [10, 20, 40, 60, 0.5]]}


def test_the_annotations_of_the_first_images_alone(tmp_path, annotations):
    known = annotations()
    known["images"].append({"id": 8, "file_name": "8.jpg"})
    known["annotations"].append(known["annotations"][0] | {"id": 2, "image_id": 8})
    known["annotations"].append(known["annotations"][0] | {"id": 3, "category_id": 2})
    known["categories"].append({"id": 2, "name": "dog"})
    (tmp_path / "truth.json").write_text(json.dumps(known))
    found = ground_truth.read_annotations(tmp_path / "truth.json", limit=1)
    assert [row["id"] for row in found["annotations"]] == [1]
    assert [row["name"] for row in found["categories"]] == ["person"]


@pytest.mark.parametrize(
    ("masks", "images"),
    [(["a.png", "a.npy"], ["a.jpg"]), (["a.png"], ["a.jpg", "a.png"]), (["A.PNG", "A.npy"], ["A.jpg"])],
)
def test_masks_that_fit_two_images_are_refused(masks, images, tmp_path):
    for folder, names in (("masks", masks), ("images", images)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    twice = ", ".join(sorted(max(masks, images, key=len)))
    with pytest.raises(InputError, match=f"files of one stem: {twice}"):
        ground_truth.masks_and_images(tmp_path / "masks", tmp_path / "images")


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.NPY"])
def test_the_size_of_a_mask_is_known(name, tmp_path):
    if name.lower().endswith(".npy"):
        with (tmp_path / name).open("wb") as file:
            np.save(file, np.zeros((2, 3), np.int64))
    else:
        cv2.imwrite(str(tmp_path / name), np.zeros((2, 3), np.uint8))
    assert ground_truth.mask_size(tmp_path / name) == (2, 3)


def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path, annotations):
    path = tmp_path / "truth.json"
    path.write_text('{\n "images": [,\n')
    with pytest.raises(InputError, match=r"truth\.json is no COCO annotation file of people: line 2, column 13: Expec"):
        ground_truth.read_annotations(path)
    path.write_text(json.dumps({"images": []}))
    with pytest.raises(
        InputError, match=r"truth\.json is no COCO annotation file of people: there is no 'annotations'"
    ):
        ground_truth.read_annotations(path)


@pytest.mark.parametrize(("row", "fault"), [({"bbox": [0, 0, 9]}, "bbox"), ({"score": float("nan")}, "score")])
def test_detections_without_numbers_are_refused(row, fault, tmp_path):
    good = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
    (tmp_path / "boxes.json").write_text(json.dumps([good, good | row]))
    with pytest.raises(InputError, match=f"boxes.json: rows .*{fault}.*: 1$"):
        ground_truth.read_detections(tmp_path / "boxes.json")


@pytest.mark.parametrize("text", ["[", "{}x", '[{"image_id": 1}]', "[1]", '{"image_id": 1}'])
def test_a_bad_file_of_detections_is_refused(text, tmp_path):
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(ValueError, match=r"boxes\.json is no file of COCO results"):
        ground_truth.read_detections(tmp_path / "boxes.json")


def test_masks_find_their_images(tmp_path):
    for name in ("images/a.jpg", "images/b.webp", "images/c.jpg", "masks/a.png", "masks/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    np.save(tmp_path / "masks" / "b.npy", np.ones((2, 3), np.int64))
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.full((2, 3), 27, np.uint8))
    pairs = ground_truth.masks_and_images(tmp_path / "masks", tmp_path / "images")
    assert [(mask.name, image.name) for mask, image in pairs] == [("a.png", "a.jpg"), ("b.npy", "b.webp")]
    assert [ground_truth.read_mask(mask).tolist() for mask, _ in pairs] == [[[27] * 3] * 2, [[1] * 3] * 2]
    (tmp_path / "masks" / "d.png").touch()
    with pytest.raises(ValueError, match=r"masks without an image.*d\.png"):
        ground_truth.masks_and_images(tmp_path / "masks", tmp_path / "images")


@pytest.mark.parametrize("content", [np.zeros((2, 3), np.float32), np.zeros((2, 3, 3), np.uint8)])
def test_a_mask_that_holds_no_class_ids_is_refused(content, tmp_path):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match=r"a\.npy is no mask"):
        ground_truth.read_mask(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.npy", "a.png"])
@pytest.mark.parametrize("content", [b"", b"no mask"])
def test_a_file_that_holds_nothing_like_a_mask_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is no mask"):
        ground_truth.read_mask(tmp_path / name)


def test_equal_files_have_equal_digests(tmp_path):
    for name, content in {"a": b"1", "b": b"1", "c": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c = (ground_truth.digest(tmp_path / name) for name in "abc")
    assert a == b != c
