"""One person of a video: who that is, and where in each frame."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.tracking import MEMORY, Somebody

RULES = "largest, center, a track id, or a point X,Y in pixels"


class Focus:
    """Follows one person through frames in their order.

    rule: `largest` (box), `center` (nearest to the middle of the picture), a track id, or a point `X,Y` in pixels (in
    whose box it lies). InputError for others. It chooses in the first frame in which somebody fits, and anew by the
    same rule when that person has been lost for as long as the tracker remembers people.

    track_id: who is followed, None before somebody is.

    >>> focus = Focus("largest")
    >>> alone = focus.follow(tracker.track(people, time), time)
    """

    def __init__(self, rule: str) -> None:
        point = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*,\s*(\d+(?:\.\d*)?)\s*", rule)
        if not (point or rule in ("largest", "center") or re.fullmatch(r"[1-9]\d*", rule)):
            raise InputError(f"focus {rule!r} must be {RULES}")
        self._rule = rule
        self._point = np.array(point.groups(), np.float64) if point else None
        self._seen = -math.inf
        self.track_id = int(rule) if rule.isdigit() else None

    def follow(self, people: Somebody, time: float) -> Somebody:
        """The followed person in the next frame, at `time` in seconds; nobody while they are lost.

        InputError for people without track_ids, and for `center` without the size of the image.
        """
        if people.track_ids is None:
            raise InputError("a focus needs to know who is who: these people have no track_ids")
        if not self._rule.isdigit() and time - self._seen > MEMORY and self.track_id not in people.track_ids:
            self.track_id = self._choose(people[people.track_ids >= 0])
        followed = people[people.track_ids == self.track_id]
        if len(followed):
            self._seen = time
        return followed

    def _choose(self, people: Somebody) -> int | None:
        boxes, ids = people.boxes.astype(np.float64), people.track_ids
        assert ids is not None
        if self._rule == "largest":
            worth = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        elif self._point is not None:
            holds = (boxes[:, :2] <= self._point).all(1) & (self._point <= boxes[:, 2:]).all(1)
            boxes, ids = boxes[holds], ids[holds]
            worth = -_distances(boxes, self._point)
        elif people.image_size is None:
            raise InputError("the focus on the center needs the size of the image")
        else:
            worth = -_distances(boxes, np.array(people.image_size[::-1]) / 2)
        return int(ids[worth.argmax()]) if len(ids) else None


def _distances(boxes: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the middles of the boxes [n, 4] to the point [2]."""
    distances: NDArray[np.float64] = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - point, axis=1)
    return distances
