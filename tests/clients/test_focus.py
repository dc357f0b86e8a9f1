"""One person of a video is followed."""

from __future__ import annotations

import numpy as np
import pytest

from poseclient import InputError, People
from poseclient.focus import Focus
from poseclient.tracking import MEMORY

SMALL, LARGE, MIDDLE = [0, 0, 10, 20], [60, 0, 100, 80], [40, 40, 60, 60]


def people(boxes: dict[int, list[float]], size: tuple[int, int] | None = (100, 100)) -> People:
    """By track id."""
    ids = np.array(list(boxes), np.int64)
    rows = np.array(list(boxes.values()), np.float32).reshape(-1, 4)
    return People(rows, np.ones(len(ids), np.float32), image_size=size, track_ids=ids)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("largest", 2), ("center", 3), ("3", 3), ("5,5", 1), ("70, 50.5", 2), ("50,50", 3)],
)
def test_a_rule_chooses(rule, expected):
    focus = Focus(rule)
    assert focus.follow(people({1: SMALL, 2: LARGE, 3: MIDDLE, -1: [0, 0, 100, 100]}), 0).track_ids.tolist() == [
        expected
    ]
    assert focus.track_id == expected


def test_who_was_chosen_stays_when_another_grows():
    focus = Focus("largest")
    focus.follow(people({1: SMALL, 2: LARGE}), 0)
    assert focus.follow(people({1: [0, 0, 100, 100], 2: SMALL}), 5 * MEMORY).track_ids.tolist() == [2]


def test_who_is_lost_is_waited_for_and_then_replaced():
    focus = Focus("largest")
    focus.follow(people({1: SMALL, 2: LARGE}), 0)
    assert len(focus.follow(people({1: SMALL}), MEMORY)) == 0
    assert focus.track_id == 2
    assert focus.follow(people({1: SMALL}), MEMORY + 0.1).track_ids.tolist() == [1]


def test_an_id_is_never_replaced():
    focus = Focus("2")
    assert len(focus.follow(people({1: SMALL}), 0)) == 0
    assert focus.track_id == 2
    assert len(focus.follow(people({1: SMALL}), 10 * MEMORY)) == 0
    assert len(focus.follow(people({1: SMALL, 2: LARGE}), 10 * MEMORY)) == 1


def test_it_waits_until_somebody_fits():
    focus = Focus("90,10")
    assert len(focus.follow(people({1: SMALL}), 0)) == 0
    assert focus.track_id is None
    assert len(focus.follow(people({}), 0.1)) == 0
    assert focus.follow(people({1: SMALL, 2: LARGE}), 0.2).track_ids.tolist() == [2]


@pytest.mark.parametrize("rule", ["", "smallest", "-1", "0", "1,2,3", "x,y", "1.5"])
def test_an_unknown_rule_is_refused(rule):
    with pytest.raises(InputError, match="must be largest, center, a track id, or a point X,Y in pixels"):
        Focus(rule)


def test_what_it_cannot_know_is_said():
    with pytest.raises(InputError, match="no track_ids"):
        Focus("largest").follow(People(np.ones((1, 4), np.float32), np.ones(1, np.float32)), 0)
    with pytest.raises(InputError, match="size of the image"):
        Focus("center").follow(people({1: SMALL}, None), 0)
