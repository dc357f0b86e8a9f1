"""Keypoints of people without a detector in every frame: a person's last keypoints say where to look for the next.

The detector sees every N-th frame. In the frames between, `pose_in_boxes` is asked with the boxes of those who were
found before:

>>> people = client.pose(frames[0])
>>> following = Following(people)
>>> for frame in frames[1:5]:
...     people = following.take(client.pose_in_boxes(frame, following.boxes))

What is asked in a frame depends on nothing but the frames since the last detection, not on track ids: a client may
follow the people of several detections at once, and give the results to the tracker in the order of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.keypoints import keypoint_count, keypoint_set
from poseclient.oks import distinct_rows
from poseclient.people import PosedPeople

CONFIDENT = 0.3  # least score of a keypoint that a box holds
LEAST_POSE = 0.3  # mean of the keypoint scores above 0.2; below it, nobody is there any more
SAME_PERSON = 0.7  # OKS of two poses
LEAST_SIDE = 2  # pixels of a box
USUAL_SIGMA = 0.08  # of keypoint sets without OKS sigmas: about the mean of COCO's


class Following:
    """The people of a detection, in the frames until the next.

    people: of a frame that the detector saw. InputError where they have no image_size: the server refuses boxes outside
    of the picture. boxes: f32 [n, 4], where to look for them in the next frame; [0, 4] when nobody is left.
    """

    def __init__(self, people: PosedPeople) -> None:
        if people.image_size is None:
            raise InputError("to follow people, the size of the image must be known: these have no image_size")
        self._size = people.image_size
        boxes, rows = self._in_picture(people.boxes)
        tight, side = keypoint_boxes(people.keypoints)
        # A box holds more than the joints; how much more depends on the keypoint set, the clothes and the view.
        margins = np.nan_to_num((boxes - tight) / side)
        self.boxes, self._scores, self._margins = boxes[rows], people.scores[rows], margins[rows]

    def take(self, people: PosedPeople) -> PosedPeople:
        """Those of the people whom `pose_in_boxes` found in `boxes` who are still there, in their boxes of this frame.

        A box is that of the keypoints, with the margins that the detector's box had around them. The scores are those
        of the detection. Who leaves: somebody whose keypoints are hardly seen or who is out of the picture, and of two
        who have become one person the one whose pose is worse. InputError for another number of people than of `boxes`.
        """
        if len(people) != len(self.boxes):
            got = f"{len(people)} people for {len(self.boxes)} boxes"
            raise InputError(f"{got}: each box needs one, leave oks_nms at 1")
        tight, side = keypoint_boxes(people.keypoints)
        boxes, rows = self._in_picture(tight + self._margins * side)
        rows = rows[people.pose_scores[rows] >= LEAST_POSE]
        moved = replace(people, boxes=boxes, scores=self._scores, pose_scores=people.pose_scores * self._scores)
        rows = np.sort(rows[distinct_rows(moved[rows], SAME_PERSON, _sigmas(people))])
        self.boxes, self._scores, self._margins = boxes[rows], self._scores[rows], self._margins[rows]
        return replace(moved[rows], found=len(rows), image_size=self._size)

    def _in_picture(self, boxes: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """The boxes [n, 4] as far as they are in the picture, and the rows of those of which something is left."""
        boxes = np.clip(boxes, 0, [*self._size[::-1]] * 2)
        return boxes.astype(np.float32), np.flatnonzero((boxes[:, 2:] - boxes[:, :2] > LEAST_SIDE).all(1))


def keypoint_boxes(keypoints: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The box f64 [n, 4] around the confident keypoints of [n, K, 3], and its longer side [n, 1], 1 pixel at least.

    NaN for people with fewer than two of them.
    """
    seen = keypoints[..., 2] >= CONFIDENT
    enough = seen.sum(1) >= 2
    low, high = (
        extreme(np.where(seen[..., None], keypoints[..., :2].astype(np.float64), outside), axis=1)
        for extreme, outside in ((np.min, np.inf), (np.max, -np.inf))
    )
    boxes = np.where(enough[:, None], np.concatenate([low, high], 1), np.nan)
    return boxes, np.maximum(1, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True))


def _sigmas(people: PosedPeople) -> Sequence[float]:
    known = keypoint_set(people.keypoint_set).oks_sigmas if keypoint_count(people.keypoint_set) else None
    return known or [USUAL_SIGMA] * people.keypoints.shape[1]
