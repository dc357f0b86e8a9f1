"""What each command writes for one image: names, types and layouts."""

import json

import cv2
import numpy as np
import pytest

from poseclient.files import file_stems

SIZE = 6, 8


def written(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("ids", ["uint8", "int64"])
def test_parts_in_sapiens_format_are_two_arrays(write, results, ids):
    mask, _ = results["parts"]
    folder = write("parts", results["parts"], "--format", "sapiens", "--no-overlay", "--ids", ids)
    assert written(folder) == {"a.npy", "a_seg.npy"}
    foreground, classes = np.load(folder / "a.npy"), np.load(folder / "a_seg.npy")
    assert (foreground.dtype, classes.dtype) == (bool, np.dtype(ids))
    np.testing.assert_array_equal(foreground, mask > 0)
    np.testing.assert_array_equal(classes, mask)


@pytest.mark.parametrize(
    ("command", "values", "options"),
    [
        ("depth", np.linspace(0, 1, 48, dtype=np.float16).reshape(SIZE), ["--format", "sapiens", "--no-overlay"]),
        ("normals", np.full((*SIZE, 3), -0.5, np.float16), ["--format", "sapiens", "--no-overlay"]),
        ("features", np.ones((5, 2, 3), np.float16), []),
        ("features", np.ones(5, np.float32), ["--pooled"]),
        ("pointmap", np.full((*SIZE, 3), 2.5, np.float32), []),
    ],
)
def test_maps_are_arrays_of_float32(write, command, values, options):
    folder = write(command, values, *options)
    assert written(folder) == {"a.npy"}
    array = np.load(folder / "a.npy")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values)


def test_depth_is_a_picture_of_16_bits_beside_its_range(write, results):
    folder = write("depth", results["depth"], "--no-overlay")
    assert written(folder) == {"a.jpg_depth.png", "a.jpg_depth.json"}
    levels = cv2.imread(str(folder / "a.jpg_depth.png"), cv2.IMREAD_UNCHANGED)
    span = json.loads((folder / "a.jpg_depth.json").read_text())
    assert levels.dtype == np.uint16
    depth = span["min"] + (levels - 1.0) / 65534 * (span["max"] - span["min"])
    np.testing.assert_allclose(depth, results["depth"], atol=1 / 65535)


def test_normals_and_mattes_are_pictures(write, results):
    write("normals", results["normals"])
    folder = write("matting", np.full((*SIZE, 4), 128, np.uint8))
    normals, matte = (
        cv2.imread(str(folder / f"a.jpg_{kind}.png"), cv2.IMREAD_UNCHANGED) for kind in ("normals", "matte")
    )
    assert normals[0, 0].tolist() == [0, 128, 128]  # OpenCV's order: blue is z
    assert matte[0, 0].tolist() == [255, 255, 255, 128]


def test_people_are_results_and_segments_of_coco(write, results):
    folder = write("people", results["people"])
    (row,) = json.loads((folder.parent / "results.json").read_text())
    assert (row["image_id"], row["score"], row["segmentation"]["size"]) == (3, 0.25, list(SIZE))
    panoptic = json.loads((folder.parent / "panoptic.json").read_text())
    (annotation,) = panoptic["annotations"]
    assert panoptic["images"] == [{"id": 3, "file_name": "x/a.jpg"}]
    assert (annotation["image_id"], annotation["file_name"]) == (3, "x/a.jpg_panoptic.png")
    (segment,) = annotation["segments_info"]
    pixels = cv2.imread(str(folder / "a.jpg_panoptic.png"))[..., ::-1].astype(int)
    np.testing.assert_array_equal(pixels @ [1, 256, 65536] == segment["id"], results["people"].mask > 0)
    names = {category["id"]: category["name"] for category in panoptic["categories"]}
    assert names[segment["category_id"]] == "Torso"


def test_people_without_masks_have_no_panoptic_file(write, results):
    folder = write("detect", results["detect"], "--no-overlay")
    assert written(folder.parent) == {"results.json", "images.json"}


def test_poses_in_openposes_format_are_a_list_and_a_skeleton(write, results):
    folder = write("pose", results["pose"], "--format", "openpose", "--no-overlay")
    assert written(folder) == {"a.jpg_keypoints.json", "a.jpg_openpose.png"}
    assert len(json.loads((folder / "a.jpg_keypoints.json").read_text())["people"][0]["pose_keypoints_2d"]) == 54
    assert cv2.imread(str(folder / "a.jpg_openpose.png")).shape == (*SIZE, 3)


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
