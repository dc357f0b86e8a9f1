"""Who is who from one frame of a video to the next, by the boxes: trackers of the package `trackers`.

What they are and how well they do on rendered videos: docs/video.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from poseclient.errors import InputError, MissingExtraError
from poseclient.people import People

Somebody = TypeVar("Somebody", bound=People)

UNTRACKED = -1  # the track id of a person who is not tracked (yet)
SCORE_THRESHOLD = 0.3  # least score of a person's box, where nothing else was asked of the server
MEMORY = 1.0  # seconds for which a person who is lost keeps their id

# The package is tuned for detectors that are surer of people and whose boxes tremble less. So scores are stretched:
# `score_threshold` becomes SURE, and 1 stays 1. And its Kalman filters are told of more noise in the boxes: else the
# speed of somebody who is hidden for a moment is that of a tremble.
SURE = 0.6  # least score of somebody whom a tracker may take for a person whom it knows
NEW = 0.66  # least score of somebody whom it takes up as a new person; 0.4 where score_threshold is 0.3
NOISE = 30  # times the variance that the package assumes
FARTHEST = -0.2  # DIoU (Zheng et al., AAAI 2020) of where a person is expected and found; below 0 the boxes are apart

# Class in the package, whether it has `iou` as a setting, and its other settings.
TRACKERS: dict[str, tuple[str, bool, dict[str, float]]] = {
    "bytetrack": ("ByteTrackTracker", True, {"track_activation_threshold": NEW}),
    "cbiou": ("CBIoUTracker", False, {"track_activation_threshold": NEW}),
    "ocsort": ("OCSORTTracker", True, {}),
    "sort": ("SORTTracker", True, {"track_activation_threshold": NEW}),
}


class Tracker:
    """Gives the people of a video ids, frame after frame in their order.

    name: one of TRACKERS. score_threshold: least score of a person's box, 0..1, as it was asked of the server; 0.3 is
    the server's own. InputError for others, MissingExtraError without `poseclient[track]`.

    >>> tracker = Tracker()
    >>> tracker.track(client.pose("frame_1.jpg"), time=0.04).track_ids
    array([1, 2, -1])
    """

    def __init__(self, name: str = "bytetrack", score_threshold: float = SCORE_THRESHOLD) -> None:
        if name not in TRACKERS:
            raise InputError(f"unknown tracker {name!r}, must be one of {', '.join(sorted(TRACKERS))}")
        if not 0 <= score_threshold <= 1:
            raise InputError(f"score_threshold is {score_threshold}, must be 0 to 1")
        try:
            import supervision

            self._tracker = _made(name)
        except ModuleNotFoundError as error:
            raise MissingExtraError("tracking needs trackers: pip install 'poseclient[track]'") from error
        self._detections: Callable[..., Any] = supervision.Detections
        self._least, self._time, self._clock = score_threshold, -math.inf, -math.inf

    def track(self, people: Somebody, time: float) -> Somebody:
        """The people of the next frame with their track_ids, from 1.

        An id is UNTRACKED for people whose score is low, and in the first frame in which somebody is seen: a false
        detection is rarely there twice. Who was lost for longer than MEMORY gets a new id.

        time: of the frame in seconds; InputError if it is before that of the last one.
        """
        if not self._time <= time < math.inf:  # false for NaN too
            raise InputError(f"a frame at {time} s cannot follow one at {self._time} s")
        self._time = time
        self._clock = max(time, math.nextafter(self._clock, math.inf))  # the package warns of frames at the same time
        scores = SURE + (1 - SURE) * (people.scores - self._least) / max(1 - self._least, 1e-6)
        rows = {"row": np.arange(len(people))}  # it may change their order
        detections = self._detections(people.boxes, confidence=scores, data=rows)
        found = self._tracker.update(detections, timestamp=self._clock)
        tracked = found[found.tracker_id >= 0]
        ids = np.full(len(people), UNTRACKED, np.int64)
        if len(tracked):
            ids[tracked.data["row"]] = tracked.tracker_id + 1  # it counts from 0
        return replace(people, track_ids=ids)


def _made(name: str) -> Any:
    """The package's tracker; ModuleNotFoundError without the package."""
    import trackers
    from trackers.utils import state_representations

    class Estimator(state_representations.XYXYStateEstimator):
        def set_kf_covariances(
            self, measurement_noise: Any = None, process_noise: Any = None, state_covariance: Any = None
        ) -> None:
            noise = None if measurement_noise is None else measurement_noise * NOISE
            super().set_kf_covariances(noise, process_noise, state_covariance)

    made_of, by_iou, settings = TRACKERS[name]
    more: dict[str, Any] = {"iou": trackers.DIoU(), "minimum_iou_threshold": FARTHEST} if by_iou else {}
    buffer = round(30 * MEMORY)  # it counts in frames of 1/30 s
    return getattr(trackers, made_of)(lost_track_buffer=buffer, state_estimator_class=Estimator, **settings, **more)
