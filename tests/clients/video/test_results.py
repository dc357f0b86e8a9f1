"""Files of the people of a video, as other tools read them."""

import csv
import json
from fractions import Fraction

import numpy as np
import pyarrow.parquet
import pytest

from poseclient import keypoint_set
from poseclient.people import PosedPeople
from poseclient.video import results as results_module
from poseclient.video.command import FORMATS
from poseclient.video.follow import TrackedFrame
from poseclient.video.frames import Frame
from poseclient.video.results import COLUMNS, RESULT_FORMATS, About, write_results

ABOUT = About("day/walk.mp4", keypoint_set("coco_17"))


def people(*track_ids, tracked=True):
    n = len(track_ids)
    boxes = np.array([[10 * i, 5, 10 * i + 8, 25] for i in range(n)], np.float32).reshape(n, 4)
    keypoints = np.arange(n * 51, dtype=np.float32).reshape(n, 17, 3) / 4
    ids = np.array(track_ids, np.int64) if tracked else None
    scores = np.full(n, 0.5, np.float32)
    return PosedPeople(boxes, scores, keypoints, "coco_17", (40, 60), n, scores / 2, track_ids=ids)


@pytest.fixture
def video():
    """Frames 0, 2 and 4 of a video: nobody; two, one of them not tracked yet; both in the other order."""
    frames = []
    for index, found in ((0, people()), (2, people(7, -1)), (4, people(8, 7))):
        frame = Frame(index, index, Fraction(1, 25), np.zeros((40, 60, 3), np.uint8))
        frames.append(TrackedFrame(frame, found, found))
    return frames


def write(folder, video, *names):
    with write_results(folder / "day" / "walk.mp4", list(names), ABOUT) as add:
        assert not [path for path in (folder / "day").iterdir() if not path.name.startswith(".part-")]
        for result in video:
            add(result)
    return folder / "day"


def test_easy_vitposes_json_has_ids_and_y_before_x(video, tmp_path):
    written = json.loads((write(tmp_path, video, "easy_vitpose") / "walk.mp4.json").read_text())
    assert [list(frame) for frame in written["keypoints"]] == [[], ["7"], ["8", "7"]]
    assert written["keypoints"][1]["7"][1] == [1.0, 0.75, 1.25]
    assert written["skeleton"]["0"] == "nose"


def test_without_a_tracker_people_are_numbered_in_each_frame(video, tmp_path):
    free = [TrackedFrame(video[0].frame, people(0, 0, tracked=False), people())]
    written = json.loads((write(tmp_path, free, "easy_vitpose") / "walk.mp4.json").read_text())
    assert [list(frame) for frame in written["keypoints"]] == [["0", "1"]]


def test_cocos_results_count_frames(video, tmp_path):
    rows = json.loads((write(tmp_path, video, "coco") / "walk.mp4_results.json").read_text())
    assert [(row["image_id"], row["track_id"]) for row in rows] == [(2, 7), (2, -1), (4, 8), (4, 7)]
    assert rows[0]["bbox"] == [0, 5, 8, 20]


def test_posetracks_json_has_frames_without_people_too(video, tmp_path):
    written = json.loads((write(tmp_path, video, "posetrack") / "walk.mp4_posetrack.json").read_text())
    assert [image["frame_id"] for image in written["images"]] == [0, 2, 4]
    assert {image["vid_id"] for image in written["images"]} == {"day/walk.mp4"}
    rows = written["annotations"]
    assert [(row["id"], row["image_id"], row["track_id"]) for row in rows] == [(0, 2, 7), (1, 4, 8), (2, 4, 7)]
    assert rows[0]["scores"] == rows[0]["keypoints"][2::3]
    assert len(written["categories"][0]["keypoints"]) == 17


def test_mots_text_counts_from_1(video, tmp_path):
    lines = (write(tmp_path, video, "mot") / "walk.mp4.txt").read_text().splitlines()
    assert lines[0] == "3,7,0.00,5.00,8.00,20.00,0.5000,-1,-1,-1"
    assert [line.split(",")[:2] for line in lines] == [["3", "7"], ["5", "8"], ["5", "7"]]


def test_csv_and_parquet_hold_the_same_long_table(video, tmp_path, monkeypatch):
    monkeypatch.setattr(results_module, "ROWS", 30)
    folder = write(tmp_path, video, "csv", "parquet")
    with (folder / "walk.mp4.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.parquet.read_table(folder / "walk.mp4.parquet")
    assert pyarrow.parquet.ParquetFile(folder / "walk.mp4.parquet").num_row_groups == 2
    assert tuple(table.column_names) == tuple(rows[0]) == COLUMNS
    assert len(rows) == table.num_rows == 4 * 17
    for row, same in zip(rows, table.to_pylist(), strict=True):
        for name, value in same.items():
            assert type(value)(row[name]) == (pytest.approx(value, abs=1e-4) if isinstance(value, float) else value)
    assert (rows[17]["id"], rows[17]["frame"], rows[17]["time"], rows[17]["keypoint"]) == ("-1", "2", "0.08", "nose")


@pytest.mark.parametrize("name", RESULT_FORMATS)
def test_a_video_without_people_and_one_without_frames_make_whole_files(name, video, tmp_path):
    for frames in ([], video[:1]):
        folder = write(tmp_path, frames, name)
        (path,) = folder.iterdir()
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".parquet":
            assert pyarrow.parquet.read_table(path).num_rows == 0
        path.unlink()


def test_after_an_error_there_is_no_file(video, tmp_path):
    def fail():
        with write_results(tmp_path / "a", list(RESULT_FORMATS), ABOUT) as add:
            add(video[1])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def test_the_command_line_offers_all_formats():
    assert tuple(RESULT_FORMATS) == FORMATS
    assert len({each.ending for each in RESULT_FORMATS.values()}) == len(FORMATS)
