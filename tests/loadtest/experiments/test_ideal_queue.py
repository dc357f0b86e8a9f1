"""The ideal queue is that of the textbooks."""

import pytest

from loadtest.experiments.ideal_queue import ideal_queue
from loadtest.experiments.load import poisson_arrivals


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_place_and_equal_images_wait_as_m_d_1_says(load):
    seconds, places = ideal_queue(poisson_arrivals(load / 2, 500_000, seed=0), alone=[2], rate=0.5)
    assert places == 1
    assert min(seconds) == pytest.approx(2)
    assert sum(seconds) / len(seconds) == pytest.approx(2 + 2 * load / (2 * (1 - load)), rel=0.02)


def test_images_come_in_turn_and_the_first_free_place_takes_the_next():
    assert ideal_queue([0, 0, 0, 9], alone=[1, 3], rate=1) == ([1, 3, 2, 3], 2)


def test_times_are_scaled_to_the_rate():
    seconds, places = ideal_queue([0, 10, 20, 30], alone=[1, 3], rate=0.8)
    assert places == 2
    assert seconds == pytest.approx([1.25, 3.75, 1.25, 3.75])
    assert ideal_queue([0], alone=[1], rate=0.4) == ([2.5], 1)
