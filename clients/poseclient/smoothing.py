"""Keypoints of a video without their trembling: the One-Euro filter.

Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012. It smooths most what stands still, and follows without delay what moves fast. Speeds are in sides of the
person's box per second, so that near and far people are treated alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.people import PosedPeople

MIN_CUTOFF = 2.0  # Hz, of a keypoint that stands still
BETA = 40.0  # Hz more for each side of the box per second
SPEED_CUTOFF = 1.0  # Hz, of the speed itself
CONFIDENT = 0.3  # least score of a keypoint that counts
GAP = 0.5  # seconds without a keypoint, after which it starts anew


class Smoother:
    """Smooths the keypoints of each tracked person, frame after frame in their order.

    >>> smoother = Smoother()
    >>> people = smoother.smooth(tracker.track(people, time), time)
    """

    def __init__(self) -> None:
        # By track id, f64 [K, 5]: x, y, their speeds in pixels per second, and the time in seconds.
        self._states: dict[int, NDArray[np.float64]] = {}

    def smooth(self, people: PosedPeople, time: float) -> PosedPeople:
        """The people of the next frame, at `time` in seconds, with smoothed keypoints; scores stay as they are.

        A keypoint that is not seen confidently stays where it was found and does not pull those of later frames.
        People who are not tracked stay as they are. InputError for people without track_ids.
        """
        if people.track_ids is None:
            raise InputError("smoothing needs to know who is who: these people have no track_ids")
        rows = np.flatnonzero(people.track_ids >= 0)
        ids, found = people.track_ids[rows].tolist(), people.keypoints[rows].astype(np.float64)
        sides = (people.boxes[:, 2:] - people.boxes[:, :2]).max(1)[rows, None, None]
        fresh = np.full((found.shape[1], 5), -np.inf)
        before = np.array([self._states.get(i, fresh) for i in ids]).reshape(-1, *fresh.shape)
        after = _filtered(before, found[..., :2], time, np.maximum(sides, 1))
        after = np.where(found[..., 2:] >= CONFIDENT, after, before)
        self._states |= dict(zip(ids, after, strict=True))
        self._states = {i: state for i, state in self._states.items() if time - state[:, 4].max() <= GAP}
        keypoints = people.keypoints.copy()
        keypoints[rows, :, :2] = np.where(found[..., 2:] >= CONFIDENT, after[..., :2], found[..., :2])
        return replace(people, keypoints=keypoints)


def _filtered(
    before: NDArray[np.float64], found: NDArray[np.float64], time: float, sides: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """States [n, K, 5] at `time`; found: [n, K, 2]. sides: [n, 1, 1] of the boxes in pixels."""
    elapsed = time - before[..., 4:]
    known = elapsed <= GAP
    elapsed = np.clip(elapsed, 1e-6, GAP)  # two frames may have one time
    place, speed = (np.where(known, part, new) for part, new in ((before[..., :2], found), (before[..., 2:4], 0)))
    speed = speed + _weight(elapsed, SPEED_CUTOFF) * ((found - place) / elapsed - speed)
    cutoff = MIN_CUTOFF + BETA * np.linalg.norm(speed, axis=-1, keepdims=True) / sides
    place = place + _weight(elapsed, cutoff) * (found - place)
    return np.concatenate([place, speed, np.full_like(elapsed, time)], -1)


def _weight(elapsed: NDArray[np.float64], cutoff: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a new value in a low-pass filter whose cutoff frequency is in Hz."""
    weight: NDArray[np.float64] = elapsed / (elapsed + 1 / (2 * np.pi * cutoff))
    return weight
