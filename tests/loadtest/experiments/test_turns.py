"""Workers run side by side, and ratios are of the same round."""

import itertools
import threading

import numpy as np
import pytest
import torch

from loadtest.experiments.load import LEAST_RESPONSES
from loadtest.experiments.turns import (
    check_equal,
    instances_and_threads,
    median_ratio,
    run_side_by_side,
    times_in_turns,
)


def test_workers_run_side_by_side_and_count_their_people():
    meeting = threading.Barrier(2, timeout=30)  # breaks unless both workers are under way at once

    def work() -> int:
        meeting.wait()
        return 3

    responses = run_side_by_side([work, work], 0)
    assert [response.people for response in responses] == [3] * 2 * LEAST_RESPONSES
    for mine in (responses[:LEAST_RESPONSES], responses[LEAST_RESPONSES:]):  # one request after the other
        times = [moment for response in mine for moment in (response.sent, response.received)]
        assert times == sorted(times)
        assert all(response.sent < response.received for response in mine)


def test_an_error_of_a_worker_is_an_error():
    results = itertools.chain([1, 1], itertools.repeat(None))
    with pytest.raises(ZeroDivisionError):
        run_side_by_side([lambda: 1 if next(results) else 1 // 0], 0)


def test_a_ratio_is_the_median_over_the_rounds():
    assert median_ratio([9, 5, 8], [10, 10, 10]) == 0.8
    assert median_ratio([9, 18], [10, 20]) == 0.9  # a machine that is twice as fast for a while changes nothing


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a CPU's cores")
def test_the_limit_and_the_baselines_are_tuned_as_the_server_is():
    assert instances_and_threads(16) == [(1, 16), (2, 8), (4, 4), (8, 2), (16, 1)]
    assert instances_and_threads(6) == [(1, 6), (2, 3), (4, 1)]


def test_other_outputs_are_refused():
    keypoints = np.full((2, 17, 2), 7, np.float32)
    check_equal(keypoints + 0.05, keypoints)
    for others in (keypoints + 0.2, keypoints[:1]):
        with pytest.raises(RuntimeError, match="differ"):
            check_equal(others, keypoints)
    with pytest.raises(RuntimeError, match="differ"):
        check_equal(np.uint8([2]), np.uint8([3]))


def test_variants_take_turns():
    called = []
    variants = {name: lambda name=name: called.append(name) for name in "ab"}
    times = times_in_turns(variants, warm_up=1, rounds=2, requests=2)
    assert "".join(called) == "ab" + "aabb" * 2
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4}
