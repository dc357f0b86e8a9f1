"""The log of a video's answers: read again in order, and continued."""

import numpy as np
import pytest

from poseclient.people import PosedPeople
from poseclient.video.answers import AnswerLog

VIDEO = {"source": "a.mp4", "bytes": 10}


def people(x, n=2):
    rows = np.full((n, 17, 3), x, np.float32)
    return PosedPeople(rows[:, 0, [0, 1, 0, 1]], rows[:, 0, 0], rows, "coco_17", (4, 5), n, rows[:, 0, 0])


@pytest.fixture
def path(tmp_path):
    """A log of three answers, the second of which has nobody."""
    with AnswerLog(tmp_path / "day" / "a.jsonl", VIDEO) as log:
        assert log.recorded() is None
        for i in range(3):
            log.add(people(i / 3, n=0 if i == 1 else 2))
    return tmp_path / "day" / "a.jsonl"


def left(path, video=VIDEO):
    with AnswerLog(path, video) as log:
        return list(iter(log.recorded, None))


def test_answers_come_again_to_the_last_bit_and_others_are_added(path):
    with AnswerLog(path, VIDEO) as log:
        first, nobody, third = log.recorded(), log.recorded(), log.recorded()
        assert np.array_equal(first.keypoints, people(0).keypoints)
        assert len(nobody) == 0
        assert np.array_equal(third.keypoints, people(2 / 3).keypoints)
        assert third.keypoint_set == "coco_17"
        assert log.recorded() is None
        log.add(people(9.0))
        assert log.recorded() is None
    assert [len(answer) for answer in left(path)] == [2, 0, 2, 2]


def test_a_line_that_was_cut_is_dropped(path):
    path.write_bytes(path.read_bytes()[:-5])
    with AnswerLog(path, VIDEO) as log:
        assert [len(answer) for answer in iter(log.recorded, None)] == [2, 0]
        log.add(people(9.0, n=0))  # shorter than what was cut
    assert [len(answer) for answer in left(path)] == [2, 0, 0]


def test_answers_to_another_video_are_dropped(path):
    assert left(path, {**VIDEO, "bytes": 11}) == []
    assert left(path, VIDEO) == []


def test_an_empty_file_is_begun(tmp_path):
    (tmp_path / "a.jsonl").touch()
    assert left(tmp_path / "a.jsonl") == []
    assert (tmp_path / "a.jsonl").read_text().count("\n") == 1
