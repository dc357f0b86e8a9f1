"""What each command writes for one image: names, types and layouts."""

import json

import cv2
import numpy as np
import pytest

from poseclient import People, class_set
from poseclient.cli import parser
from poseclient.commands import COMMANDS
from poseclient.files import CocoFiles, Target, file_stems
from poseclient.images import encode_image

SIZE = 6, 8
MASK = np.zeros(SIZE, np.uint8)
MASK[1:4, 2:5] = 21
DEPTH = np.linspace(0, 1, 48, dtype=np.float16).reshape(SIZE)
NORMALS = np.dstack([np.zeros(SIZE), np.zeros(SIZE), -np.ones(SIZE)]).astype(np.float16)
PEOPLE = People(
    np.array([[2, 1, 5, 4]], np.float32), np.array([0.5], np.float32), np.ones((1, 17, 3), np.float32), "coco_17",
    pose_scores=np.array([0.25], np.float32), mask=MASK, class_set="sapiens_28",
    instance_ids=(MASK > 0).astype(np.uint8),
)  # fmt: skip
IMAGE = np.full((*SIZE, 3), 200, np.uint8)


@pytest.fixture
def write(tmp_path):
    """Writes the answer for the image x/a.jpg with a command's options; gives the folder that its files are in."""

    def write(command, answer, *options):
        given = parser().parse_args([command, "x/a.jpg", "--out", str(tmp_path), *options])
        target = Target(3, "x/a.jpg", "x/a", encode_image(IMAGE), given, CocoFiles())
        COMMANDS[command].write(target, answer)
        if given.format == "coco":
            target.coco.write(tmp_path)
        return tmp_path / "x"

    return write


def written(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("ids", ["uint8", "int64"])
def test_parts_in_sapiens_layout_are_two_arrays(write, ids):
    folder = write("parts", (MASK, class_set("sapiens_28")), "--format", "sapiens", "--no-overlay", "--ids", ids)
    assert written(folder) == {"a.npy", "a_seg.npy"}
    foreground, classes = np.load(folder / "a.npy"), np.load(folder / "a_seg.npy")
    assert (foreground.dtype, classes.dtype) == (bool, np.dtype(ids))
    np.testing.assert_array_equal(foreground, MASK > 0)
    np.testing.assert_array_equal(classes, MASK)


@pytest.mark.parametrize(
    ("command", "values", "options"),
    [
        ("depth", DEPTH, ["--format", "sapiens", "--no-overlay"]),
        ("normals", NORMALS, ["--format", "sapiens", "--no-overlay"]),
        ("features", np.ones((5, 2, 3), np.float16), []),
        ("features", np.ones(5, np.float32), ["--pooled"]),
        ("pointmap", NORMALS.astype(np.float32), []),
    ],
)
def test_maps_are_arrays_of_float32(write, command, values, options):
    folder = write(command, values, *options)
    assert written(folder) == {"a.npy"}
    array = np.load(folder / "a.npy")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values)


def test_depth_is_a_picture_of_16_bits_beside_its_range(write):
    folder = write("depth", DEPTH, "--no-overlay")
    assert written(folder) == {"a.jpg_depth.png", "a.jpg_depth.json"}
    levels = cv2.imread(str(folder / "a.jpg_depth.png"), cv2.IMREAD_UNCHANGED)
    span = json.loads((folder / "a.jpg_depth.json").read_text())
    assert levels.dtype == np.uint16
    np.testing.assert_allclose(
        span["min"] + (levels - 1.0) / 65534 * (span["max"] - span["min"]), DEPTH, atol=1 / 65535
    )


def test_normals_and_mattes_are_pictures(write):
    write("normals", NORMALS)
    folder = write("matting", np.full((*SIZE, 4), 128, np.uint8))
    normals, matte = (
        cv2.imread(str(folder / f"a.jpg_{kind}.png"), cv2.IMREAD_UNCHANGED) for kind in ("normals", "matte")
    )
    assert normals[0, 0].tolist() == [0, 128, 128]  # OpenCV's order: blue is z
    assert matte[0, 0].tolist() == [255, 255, 255, 128]


def test_people_are_results_and_segments_of_coco(write):
    folder = write("people", PEOPLE)
    (row,) = json.loads((folder.parent / "results.json").read_text())
    assert (row["image_id"], row["score"], row["segmentation"]["size"]) == (3, 0.25, list(SIZE))
    panoptic = json.loads((folder.parent / "panoptic.json").read_text())
    (annotation,) = panoptic["annotations"]
    assert panoptic["images"] == [{"id": 3, "file_name": "x/a.jpg"}]
    assert (annotation["image_id"], annotation["file_name"]) == (3, "x/a.jpg_panoptic.png")
    (segment,) = annotation["segments_info"]
    pixels = cv2.imread(str(folder / "a.jpg_panoptic.png"))[..., ::-1].astype(int)
    np.testing.assert_array_equal(pixels @ [1, 256, 65536] == segment["id"], MASK > 0)
    names = {category["id"]: category["name"] for category in panoptic["categories"]}
    assert names[segment["category_id"]] == "Torso"


def test_people_without_masks_have_no_panoptic_file(write):
    folder = write("detect", People(PEOPLE.boxes, PEOPLE.scores), "--no-overlay")
    assert written(folder.parent) == {"results.json", "images.json"}


def test_poses_in_openposes_layout_are_a_list_and_a_skeleton(write):
    folder = write("pose", PEOPLE, "--format", "openpose", "--no-overlay")
    assert written(folder) == {"a.jpg_keypoints.json", "a.jpg_openpose.png"}
    assert len(json.loads((folder / "a.jpg_keypoints.json").read_text())["people"][0]["pose_keypoints_2d"]) == 54
    assert cv2.imread(str(folder / "a.jpg_openpose.png")).shape == (*SIZE, 3)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("pose", PEOPLE), ("people", PEOPLE), ("parts", (MASK, class_set("sapiens_28"))), ("depth", DEPTH),
        ("normals", NORMALS),
    ],
)  # fmt: skip
def test_an_overlay_shows_the_image_beside_it_on_demand(write, command, answer):
    alone, beside = (
        cv2.imread(str(write(command, answer, *options) / "a.jpg_overlay.jpg")) for options in ([], ["--side-by-side"])
    )
    assert beside.shape[1] == SIZE[1] + alone.shape[1]
    np.testing.assert_allclose(beside[:, :4], 200, atol=12)


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.jpg", "b.png", "x/a.jpg"], ["a", "b", "x/a"]),
        (["a.jpg", "a.png", "b.png"], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg", "a.png", "a.jpg.png"]),
        (["a.jpg", "a_seg.jpg", "b.jpg"], ["a.jpg", "a_seg.jpg", "b"]),
        (["a.jpg", "a_seg", "b"], ["a.jpg", "a_seg", "b"]),
    ],
)
def test_a_stem_that_two_files_would_share_keeps_its_suffix(names, stems):
    assert file_stems(names) == dict(zip(names, stems, strict=True))
    written = [stem + ending for stem in stems for ending in (".npy", "_seg.npy")]
    assert len(set(written)) == len(written)
