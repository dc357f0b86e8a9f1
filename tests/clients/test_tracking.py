"""Ids stay with people whose boxes move; what the package wants and answers is hidden."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from poseclient import InputError, MissingExtraError, People
from poseclient.tracking import MEMORY, TRACKERS, UNTRACKED, Tracker

FPS = 25
WALKERS = np.array([[0, 0, 40, 100], [300, 0, 340, 100], [150, 200, 190, 300]], np.float32)
SPEEDS = np.array([[4, 0, 4, 0], [-4, 0, -4, 0], [0, -2, 0, -2]], np.float32)  # pixels per frame


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def frame(number: int, rows=(0, 1, 2), score: float = 0.6) -> People:
    rows = list(rows)
    return People((WALKERS + number * SPEEDS)[rows], np.full(len(rows), score, np.float32))


@pytest.mark.parametrize("name", TRACKERS)
def test_ids_stay_with_people_in_whatever_order_they_come(name):
    tracker, rng = Tracker(name), np.random.default_rng(0)
    ids = {}
    for number in range(50):
        rows = rng.permutation(3)
        people = tracker.track(frame(number, rows), number / FPS)
        assert people.track_ids.dtype == np.int64
        ids[number] = dict(zip(rows.tolist(), people.track_ids.tolist(), strict=True))
    assert sorted(ids[49].values()) == [1, 2, 3]
    assert all(ids[number] == ids[49] for number in range(4, 50))


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("least", [0.1, 0.3, 0.6])
def test_people_who_just_reach_the_threshold_keep_their_ids_but_do_not_get_new_ones(name, least):
    tracker = Tracker(name, score_threshold=least)
    for number in range(5):
        first = tracker.track(frame(number, score=least + 0.2 * (1 - least)), number / FPS)
    assert (first.track_ids > 0).all()
    for number in range(5, 10):
        weak = tracker.track(frame(number, score=least + 0.01), number / FPS)
        assert weak.track_ids.tolist() == first.track_ids.tolist()
    weak_only = Tracker(name, score_threshold=least)
    for number in range(5):
        people = weak_only.track(frame(number, score=least + 0.01), number / FPS)
    assert (people.track_ids > 0).any() == (name == "ocsort")  # which takes up everybody


@pytest.mark.parametrize("name", TRACKERS)
def test_who_comes_back_in_time_is_the_same_person(name):
    def after(seconds: float) -> bool:
        tracker = Tracker(name)
        for number in range(10):
            before = tracker.track(frame(0), number / FPS)
        for number in range(10, 10 + round(seconds * FPS)):
            tracker.track(frame(0, [0, 1]), number / FPS)
        for more in range(4):
            people = tracker.track(frame(0), (number + 1 + more) / FPS)
        assert people.track_ids[:2].tolist() == before.track_ids[:2].tolist()
        return people.track_ids[2] == before.track_ids[2]

    assert after(0.7 * MEMORY)
    assert not after(1.3 * MEMORY)


def test_the_first_sight_of_somebody_has_no_id():
    tracker = Tracker()
    assert tracker.track(frame(0), 0).track_ids.tolist() == [UNTRACKED] * 3
    assert sorted(tracker.track(frame(1), 1 / FPS).track_ids.tolist()) == [1, 2, 3]


def test_frames_without_people():
    tracker = Tracker()
    assert tracker.track(frame(0, []), 0).track_ids.shape == (0,)
    tracker.track(frame(1), 0.1)
    assert tracker.track(frame(2, []), 0.2).track_ids.tolist() == []


def test_time_does_not_run_backwards_but_may_stand_still():
    tracker = Tracker()
    for _ in range(4):
        people = tracker.track(frame(0), 1.0)
    assert (people.track_ids > 0).all()
    for time in (0.9, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"a frame at {time} s cannot follow one at 1"):
            tracker.track(frame(1), time)


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="unknown tracker 'deepsort', must be one of bytetrack, cbiou, ocsort, sort"):
        Tracker("deepsort")
    with pytest.raises(InputError, match=r"score_threshold is 30, must be 0 to 1"):
        Tracker(score_threshold=30)


def test_the_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'poseclient\[track\]'"):
        Tracker()


@pytest.mark.parametrize("seed", range(15))
def test_who_is_hidden_is_expected_where_they_were_going_although_boxes_tremble(seed):
    tracker, rng, hidden = Tracker(), np.random.default_rng(seed), range(25, 48)
    for number in range(52):
        people = frame(number, [0, 1] if number in hidden else [0, 1, 2])
        noise = rng.normal(0, 7, people.boxes.shape).astype(np.float32)
        people = tracker.track(replace(people, boxes=people.boxes + noise), number / FPS)
        if number == hidden.start - 1:
            before = people.track_ids
    assert people.track_ids.tolist() == before.tolist()


def test_people_keep_what_they_were():
    people = replace(frame(0), image_size=(480, 640), found=7)
    tracked = Tracker().track(people, 0)
    assert (tracked.image_size, tracked.found) == ((480, 640), 7)
    assert tracked.boxes is people.boxes
