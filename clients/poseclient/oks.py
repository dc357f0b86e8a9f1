"""Object keypoint similarity (OKS) between the people of one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poseclient.people import PosedPeople

CROP_SCALE, ASPECT = 1.25, 0.75  # of a crop: how much larger it is than the box, and its width : height


def oks_nms(people: PosedPeople, most: float, sigmas: Sequence[float]) -> PosedPeople:
    """The people, best pose first, without those more similar (OKS) than `most` to one with a better pose."""
    return people[distinct_rows(people, most, sigmas)]


def distinct_rows(people: PosedPeople, most: float, sigmas: Sequence[float]) -> list[int]:
    """The rows, best pose first, of the people who are not more similar (OKS) than `most` to one with a better pose.

    As in top-down evaluations on COCO (Papandreou et al., arXiv 1701.01779); the area of two people is the mean of the
    areas of their crops. The server does the same with boxes that it found, but knows no scores of boxes of a file.
    """
    width, height = CROP_SCALE * (people.boxes[:, 2:] - people.boxes[:, :2]).T
    areas = np.maximum(width, ASPECT * height) ** 2 / ASPECT
    kept: list[int] = []
    for row in np.argsort(-people.pose_scores, kind="stable").tolist():
        apart = ((people.keypoints[kept, :, :2] - people.keypoints[row, :, :2]) ** 2).sum(2)
        pair = (areas[kept, None] + areas[row]) / 2
        if (np.exp(-apart / (8 * np.square(sigmas) * pair)).mean(1) <= most).all():
            kept.append(row)
    return kept
