"""The limit: one process batches the people of several images, and shares are of the same round."""

import itertools
import threading

import numpy as np
import pytest

from demo.evaluate import evaluation_scene
from loadtest.limit import LAPS, Way, best, paired, side_by_side, splits, summary
from poseserve.columns import columns
from poseserve.in_process import InProcess


@pytest.fixture(scope="module")
def pipeline() -> InProcess:
    return InProcess()


def test_the_people_of_several_images_get_the_answers_that_they_get_alone(pipeline):
    images = [evaluation_scene(seed)[0] for seed in range(44, 48)]
    together = pipeline.poses(images)
    assert sum(map(len, together)) > 4
    for image, people in zip(images, together, strict=True):
        alone = pipeline.pose(image)
        assert alone.found == people.found
        np.testing.assert_allclose(alone.boxes, people.boxes, atol=1e-2)
        np.testing.assert_allclose(alone.keypoints, people.keypoints, atol=1e-2)


def test_calls_run_side_by_side_and_count_their_people():
    meeting = threading.Barrier(2, timeout=30)  # breaks unless both calls are under way at once

    def call() -> int:
        meeting.wait()
        return 3

    answers = side_by_side([call, call], 0)
    assert [answer.people for answer in answers] == [3] * 2 * LAPS
    assert all(answer.sent <= answer.answered for answer in answers)


def test_an_error_of_a_call_is_an_error():
    calls = itertools.chain([1, 1], itertools.repeat(None))
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1 if next(calls) else 1 // 0], 0)


def test_the_fastest_way_is_taken(capsys):
    ways = [Way(name, [lambda n=n: sum(range(10**4)) and n], 1) for name, n in (("one", 1), ("hundred", 100))]
    assert best("ways", ways, 0).name == "hundred"
    assert capsys.readouterr().out.startswith("ways")


def test_cores_are_split_both_ways():
    assert splits(2) == [(1, 2), (2, 1)]
    assert splits(1) == [(1, 1)]


def test_a_share_is_the_median_over_the_rounds():
    assert paired([9, 5, 8], [10, 10, 10]) == 0.8
    assert paired([9, 18], [10, 20]) == 0.9  # a machine that is twice as fast for a while changes nothing


def test_the_table_has_the_shares_of_the_last_row():
    rates = {"network": [10.0, 20.0, 30.0], "server": [9.0, 18.0, 24.0]}
    lines = columns(summary(rates), left=1).splitlines()
    assert [line.split() for line in lines[1:]] == [["network", "20.00", "0.900"], ["server", "18.00", "1.000"]]
    assert len(set(map(len, lines))) == 1
