"""Calls run side by side, and shares are of the same round."""

import itertools
import threading

import numpy as np
import pytest
import torch

from loadtest.load import LAPS
from loadtest.turns import check_equal, paired, shares, side_by_side, times_in_turns


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


def test_a_share_is_the_median_over_the_rounds():
    assert paired([9, 5, 8], [10, 10, 10]) == 0.8
    assert paired([9, 18], [10, 20]) == 0.9  # a machine that is twice as fast for a while changes nothing


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a CPU's cores")
def test_the_limit_and_the_baselines_are_tuned_as_the_server_is():
    assert shares(16) == [(1, 16), (2, 8), (4, 4), (8, 2), (16, 1)]
    assert shares(6) == [(1, 6), (2, 3), (4, 1)]


def test_other_answers_are_refused():
    keypoints = np.full((2, 17, 2), 7, np.float32)
    check_equal(keypoints + 0.05, keypoints)
    for others in (keypoints + 0.2, keypoints[:1]):
        with pytest.raises(RuntimeError, match="differ"):
            check_equal(others, keypoints)
    with pytest.raises(RuntimeError, match="differ"):
        check_equal(np.uint8([2]), np.uint8([3]))


def test_ways_take_turns():
    called = []
    ways = {name: lambda name=name: called.append(name) for name in "ab"}
    times = times_in_turns(ways, warm_up=1, rounds=2, requests=2)
    assert "".join(called) == "ab" + "aabb" * 2
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4}
