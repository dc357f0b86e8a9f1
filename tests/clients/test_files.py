"""What each command writes for one image: names, types and layouts."""

import json
import shutil

import cv2
import numpy as np
import pytest
from faster_coco_eval import COCO
from PIL import ExifTags, Image

from poseclient import InputError, People, keypoint_set
from poseclient.arguments import parser
from poseclient.files import OutputFiles, make_folder, whole_file, write_coco, write_lists
from poseclient.image_commands import IMAGE_COMMANDS

SIZE = 6, 8


def written(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("ids", ["uint8", "int64"])
def test_parts_in_sapiens_format_are_two_arrays(write, results, ids):
    mask, _ = results["parts"]
    folder = write("parts", results["parts"], "--format", "sapiens", "--no-overlay", "--ids", ids)
    assert written(folder) == {"a.jpg.npy", "a.jpg_seg.npy"}
    foreground, classes = np.load(folder / "a.jpg.npy"), np.load(folder / "a.jpg_seg.npy")
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
    assert written(folder) == {"a.jpg.npy"}
    array = np.load(folder / "a.jpg.npy")
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
    assert (row["image_id"], row["score"], row["segmentation"]["size"]) == (1, 0.25, list(SIZE))
    panoptic = json.loads((folder.parent / "panoptic.json").read_text())
    (annotation,) = panoptic["annotations"]
    assert panoptic["images"] == [{"id": 1, "file_name": "x/a.jpg", "height": 6, "width": 8}]
    assert (annotation["image_id"], annotation["file_name"]) == (1, "x/a.jpg_panoptic.png")
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


@pytest.mark.parametrize("command", ["pose", "people", "detect", "parts", "depth", "normals"])
def test_the_table_says_which_files_there_will_be(write, results, command):
    """So that a run can tell before the first request what it would overwrite."""
    for kind in IMAGE_COMMANDS[command].formats:
        args = parser().parse_args([command, "x/a.jpg", "--format", kind])
        folder = write(command, results[command], "--format", kind)
        assert written(folder) == {f"a.jpg{ending}" for ending in IMAGE_COMMANDS[command].endings(args)}
        lists = {path.name for path in folder.parent.iterdir() if path.is_file()}
        assert lists == set(IMAGE_COMMANDS[command].formats[kind].lists)
        shutil.rmtree(folder)
        for name in lists:
            (folder.parent / name).unlink()


def test_the_lists_of_coco_explain_themselves(write, results):
    """COCO's own reader takes them; the pairs of its skeletons count from 1."""
    folder = write("people", results["people"], "--no-overlay").parent
    truth = COCO(str(folder / "images.json"))
    assert truth.imgs[1] == {"id": 1, "file_name": "x/a.jpg", "height": 6, "width": 8}
    (person,) = truth.loadCats(truth.getCatIds())
    assert person["keypoints"] == list(keypoint_set("coco_17").names)
    assert [[a - 1, b - 1] for a, b in person["skeleton"]] == [list(pair) for pair in keypoint_set("coco_17").links]
    (row,) = truth.loadRes(str(folder / "results.json")).anns.values()
    assert (row["image_id"], row["category_id"]) == (1, 1)
    assert (row["score"], row["pose_score"], row["box_score"]) == (0.25, 0.25, 0.5)


def test_lists_without_anybody_are_lists(tmp_path):
    entries = {"b.jpg": {"size": None, "results": []}}
    assert write_lists(tmp_path, ["b.jpg"], entries, None, None) == ["results.json", "images.json"]
    assert json.loads((tmp_path / "results.json").read_text()) == []
    dataset = json.loads((tmp_path / "images.json").read_text())
    assert dataset["images"] == [{"id": 1, "file_name": "b.jpg"}]
    assert dataset["categories"] == [{"id": 1, "name": "person", "supercategory": "person"}]


def test_a_turned_image_has_the_size_that_a_viewer_shows(tmp_path):
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=turned)
    args = parser().parse_args(["detect", "a.jpg", "--out", str(tmp_path)])
    nobody = People(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    output = OutputFiles("a.jpg", (tmp_path / "a.jpg").read_bytes(), args)
    assert write_coco(output, nobody) == {"size": [30, 20], "results": []}


def test_a_file_that_is_not_finished_is_not_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail():
        with whole_file(path) as part:
            part.write_text("half")
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert written(tmp_path) == {"a.json"}
    assert path.read_text() == "old"
    with whole_file(path) as part:
        part.write_text("new")
    assert (written(tmp_path), path.read_text()) == ({"a.json"}, "new")


def test_folders_are_made_however_deep(tmp_path):
    args = parser().parse_args(["pose", "a.jpg", "--out", str(tmp_path / "out")])
    OutputFiles("x/y/z/a.jpg", b"", args).write_json(".json", [1])
    assert json.loads((tmp_path / "out" / "x" / "y" / "z" / "a.jpg.json").read_text()) == [1]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match="a is a file"):
        make_folder(tmp_path / "a")
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "c" / "d")
    assert list((tmp_path / "c" / "d").iterdir()) == []
