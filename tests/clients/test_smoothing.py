"""The One-Euro filter takes the trembling away, not the movement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseclient import InputError, PosedPeople
from poseclient.smoothing import GAP, Smoother

FPS = 25


def somebody(x: float, track_id: int = 1, score: float = 0.9, side: float = 100) -> PosedPeople:
    """One person with one keypoint at (x, 2x)."""
    return PosedPeople(
        np.array([[0, 0, side, side / 2]], np.float32), np.ones(1, np.float32),
        np.array([[[x, 2 * x, score]]], np.float32), pose_scores=np.ones(1, np.float32),
        track_ids=np.array([track_id]),
    )  # fmt: skip


def smoothed(places, smoother=None, **changes):
    smoother = smoother or Smoother()
    return np.array([smoother.smooth(somebody(x, **changes), i / FPS).keypoints[0, 0, 0] for i, x in enumerate(places)])


def test_a_keypoint_that_stands_still_trembles_less():
    noise = np.random.default_rng(0).normal(50, 0.4, 200)
    assert smoothed(noise)[20:].std() < 0.75 * noise[20:].std()
    assert abs(smoothed(noise)[20:].mean() - 50) < 0.2


def test_a_fast_one_is_followed():
    run = np.arange(0, 400, 4.0)  # 100 pixels a second, the side of the box
    assert np.abs(smoothed(run) - run)[10:].max() < 4


def test_far_people_are_smoothed_as_near_ones():
    path = 50 + 30 * np.sin(np.arange(60) / 5)
    np.testing.assert_allclose(smoothed(path / 4, side=25), smoothed(path) / 4, rtol=1e-5)


def test_the_filter_is_that_of_the_paper():
    """Its algorithm, one number at a time."""
    from poseclient.smoothing import BETA, MIN_CUTOFF, SPEED_CUTOFF

    places = np.random.default_rng(1).normal(50, 5, 30)
    place, speed, expected = places[0], 0.0, [places[0]]
    for x in places[1:]:
        alpha = 1 / (1 + FPS / (2 * np.pi * SPEED_CUTOFF))
        speed = alpha * (x - place) * FPS + (1 - alpha) * speed
        cutoff = MIN_CUTOFF + BETA * np.hypot(1, 2) * abs(speed) / 100  # the keypoint is at (x, 2x)
        alpha = 1 / (1 + FPS / (2 * np.pi * cutoff))
        place = alpha * x + (1 - alpha) * place
        expected.append(place)
    np.testing.assert_allclose(smoothed(places), expected, rtol=1e-5)


def test_who_is_gone_for_long_starts_anew():
    smoother = Smoother()
    smoother.smooth(somebody(10), 0)
    assert smoother.smooth(somebody(90), 2 * GAP).keypoints[0, 0, 0] == 90
    assert 10 < place_after(somebody(10), somebody(90), GAP / 2) < 90


def place_after(first, second, seconds):
    smoother = Smoother()
    smoother.smooth(first, 0)
    return smoother.smooth(second, seconds).keypoints[0, 0, 0]


def test_keypoints_that_are_not_seen_do_not_pull():
    smoother, other = Smoother(), Smoother()
    for i, x in enumerate((10, 10, 10)):
        smoother.smooth(somebody(x), i / FPS)
        other.smooth(somebody(x), i / FPS)
    assert smoother.smooth(somebody(80, score=0.1), 3 / FPS).keypoints[0, 0, 0] == 80
    after = [s.smooth(somebody(11), 4 / FPS).keypoints[0, 0, 0] for s in (smoother, other)]
    assert after[0] == after[1]


def test_each_person_has_a_state():
    smoother = Smoother()
    smoother.smooth(somebody(10, track_id=1), 0)
    assert smoother.smooth(somebody(90, track_id=2), 1 / FPS).keypoints[0, 0, 0] == 90
    assert smoother.smooth(somebody(50, track_id=-1), 2 / FPS).keypoints[0, 0, 0] == 50
    assert smoother.smooth(somebody(60, track_id=-1), 3 / FPS).keypoints[0, 0, 0] == 60
    assert len(smoother.smooth(somebody(1)[:0], 4 / FPS)) == 0


def test_two_frames_of_one_time_are_no_harm():
    smoother = Smoother()
    smoother.smooth(somebody(10), 1)
    assert np.isfinite(smoother.smooth(somebody(90), 1).keypoints).all()


def test_it_needs_ids():
    with pytest.raises(InputError, match="no track_ids"):
        Smoother().smooth(replace(somebody(1), track_ids=None), 0)
