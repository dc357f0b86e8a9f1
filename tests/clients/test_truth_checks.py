"""Ground truth that would give wrong figures is refused or said, by name."""

import json
import re
from functools import partial

import pytest
from PIL import ExifTags, Image

from poseclient import InputError, ground_truth, truth_checks


@pytest.fixture
def read(tmp_path, annotations):
    """Reads ground truth of two images with one person each, after changes to it."""

    def read(change):
        truth = annotations()
        truth["images"].append(truth["images"][0] | {"id": 8, "file_name": "8.jpg"})
        truth["annotations"].append(truth["annotations"][0] | {"id": 2, "image_id": 8})
        change(truth)
        (tmp_path / "truth.json").write_text(json.dumps(truth))
        return ground_truth.read_annotations(tmp_path / "truth.json")

    return read


def copy_the_first_image(truth, **changes):
    truth["images"].append(truth["images"][0] | changes)


def change_the_second(kind, truth, **changes):
    truth[kind][1] |= changes


REFUSED = {
    "a file name twice": (partial(copy_the_first_image, id=9), "two images have the same file_name: 7.jpg"),
    "a file twice": (partial(copy_the_first_image, id=9, file_name="./7.jpg"), "the same file_name: 7.jpg"),
    "an image id twice": (partial(copy_the_first_image, file_name="9.jpg"), "two images have the same id: 7"),
    "an image id in words": (partial(change_the_second, "images", id="8"), "must be an integer: '8'"),
    "an image id with a point": (partial(change_the_second, "images", id=8.5), "must be an integer: 8.5"),
    "an image id of yes": (partial(change_the_second, "images", id=True), "must be an integer: True"),
    "a box of three": (partial(change_the_second, "annotations", bbox=[0, 0, 9]), "bbox of four numbers: 2"),
    "a box in words": (partial(change_the_second, "annotations", bbox=["0", 0, 9, 9]), "bbox of four numbers: 2"),
    "a box of NaN": (partial(change_the_second, "annotations", bbox=[0, 0, 9, float("nan")]), "four numbers: 2"),
    "an area below 0": (partial(change_the_second, "annotations", area=-1), "area of 0 or more: 2"),
    "an area of NaN": (partial(change_the_second, "annotations", area=float("nan")), "area of 0 or more: 2"),
    "an area in words": (partial(change_the_second, "annotations", area="9"), "area of 0 or more: 2"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_judged_is_refused_by_name(kind, read):
    change, words = REFUSED[kind]
    with pytest.raises(InputError, match=f"truth.json: .*{words}"):
        read(change)


def test_annotations_of_none_of_the_images_are_refused(read):
    def string_ids(truth):
        for row in truth["annotations"]:
            row["image_id"] = str(row["image_id"])

    with pytest.raises(InputError, match=r"truth.json: annotations of images that are not in the file: 1, 2"):
        read(string_ids)


SAID = {
    "an unknown image": (partial(change_the_second, "annotations", image_id=99), "not in the file are left out: 2"),
    "an unknown category": (
        partial(change_the_second, "annotations", category_id=5),
        "not in the file are left out: 2",
    ),
    "an id twice": (partial(change_the_second, "annotations", id=1), "ids of annotations repeat; each row counts: 1"),
    "a person twice": (
        partial(change_the_second, "annotations", image_id=7),
        "twice, of which .*: 1, 2",
    ),
    "a box of nothing": (partial(change_the_second, "annotations", bbox=[5, 5, 0, 9]), "boxes without an area.*: 2"),
    "a box elsewhere": (partial(change_the_second, "annotations", bbox=[300, 0, 9, 9]), "boxes outside.*: 2"),
    "a box before": (partial(change_the_second, "annotations", bbox=[0, -9, 9, 9]), "boxes outside.*: 2"),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_does_not_count_as_meant_is_said_by_name(kind, read, caplog):
    change, words = SAID[kind]
    read(change)
    (said,) = caplog.messages
    assert said.startswith("warning: ")
    assert re.search(words, said)


def test_good_ground_truth_is_not_talked_about(read, caplog):
    def crowds(truth):
        truth["annotations"].append(truth["annotations"][0] | {"id": 3, "iscrowd": 1})
        truth["annotations"].append(truth["annotations"][0] | {"id": 4, "bbox": [290, 290, 50, 50]})
        for image in truth["images"][1:]:
            del image["width"], image["height"]

    assert len(read(crowds)["annotations"]) == 4
    assert caplog.messages == []


def test_labelled_people_need_an_area_and_numbers(annotations):
    check = partial(truth_checks.check_labelled, keys=["keypoints"])
    (good,) = annotations()["annotations"]
    check([good, good | {"area": 0, "iscrowd": 1}])
    with pytest.raises(InputError, match="area is 0; OKS divides by it: 1, 3"):
        check([good | {"area": 0}, good, good | {"id": 3, "area": 0.0}])
    with pytest.raises(InputError, match="keypoints that are no numbers: 1"):
        check([good | {"keypoints": [float("nan"), 0, 2]}])


def test_only_the_first_names_are_said():
    assert truth_checks.name_some(range(5)) == "0, 1, 2, 3, 4"
    assert truth_checks.name_some(range(7)) == "0, 1, 2, 3, 4 and 2 more"


def image(path, size, orientation=1):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", size).save(path, exif=exif)
    return path


def test_images_of_the_size_of_their_ground_truth_are_good(tmp_path, caplog):
    (tmp_path / "c.jpg").write_bytes(b"no image")  # the server will say so
    truth_checks.check_files(
        [
            (image(tmp_path / "a.jpg", (30, 20)), (20, 30)),
            (image(tmp_path / "b.jpg", (30, 20), 6), (30, 20)),
            (tmp_path / "c.jpg", (20, 30)),
            (image(tmp_path / "d.jpg", (30, 20)), None),
        ]
    )
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("size", "orientation", "words"),
    [
        ((30, 20), 6, r"of stored pixels, but the EXIF orientation turns these images: a.jpg \(20 x 30, not 30 x 20\)"),
        ((20, 30), 1, r"of another size than their ground truth: a.jpg \(20 x 30, not 30 x 20\)"),
        ((60, 40), 1, r"of another size than their ground truth: a.jpg \(60 x 40, not 30 x 20\)"),
    ],
)
def test_images_of_another_size_are_refused_by_name(size, orientation, words, tmp_path):
    with pytest.raises(InputError, match=words):
        truth_checks.check_files([(image(tmp_path / "a.jpg", size, orientation), (20, 30))])


def test_missing_images_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"images that are missing: .*/a.jpg, .*/b.jpg$"):
        truth_checks.check_files([(tmp_path / "a.jpg", None), (tmp_path / "b.jpg", (20, 30))])


@pytest.mark.parametrize(("size", "truth"), [((30, 20), (20, 30)), ((20, 20), (20, 20)), ((30, 20), None)])
def test_an_orientation_that_cannot_be_told_by_the_size_is_said(size, truth, tmp_path, caplog):
    orientation = 6 if size == (20, 20) else 3
    truth_checks.check_files([(image(tmp_path / "a.jpg", size, orientation), truth)])
    (said,) = caplog.messages
    assert said.endswith("as a viewer shows it: a.jpg")
