"""The features of the rendered face, and the 68 keypoints of COCO-WholeBody that they define.

Head frame: x to the person's left, y down, z out of the face, the origin is the middle of the skull; a head is about
0.15 units tall.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.solids import Point


class Feature(NamedTuple):
    """An ellipsoid; of a pair the left one."""

    centre: Point
    semi_axes: Point


EYE = Feature((0.022, -0.008, 0.056), (0.012, 0.008, 0.008))
BROW = Feature((0.023, -0.026, 0.053), (0.016, 0.0045, 0.006))
PUPIL = Feature((0.022, -0.008, 0.0605), (0.0065, 0.0065, 0.005))
EAR = Feature((0.056, 0.004, -0.002), (0.009, 0.019, 0.012))
LIPS = Feature((0.0, 0.043, 0.058), (0.019, 0.006, 0.009))
NOSE_TOP, NOSE_TIP, NOSE_RADII = (0.0, -0.01, 0.058), (0.0, 0.016, 0.069), (0.007, 0.011)


def _on(feature: Feature, side: int, x: NDArray[np.float64], y: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Points on the front of a feature, [n, 3]; `x` and `y` are shares of its semi-axes."""
    share = np.stack([x, y + 0 * x, np.sqrt(np.maximum(1 - x**2 - y**2, 0))], 1)
    points: NDArray[np.float64] = np.array(feature.centre) * [side, 1, 1] + np.array(feature.semi_axes) * share
    return points


def _face() -> NDArray[np.float64]:
    """f64 [68, 3] in the order of Sagonas et al., "300 Faces in-the-Wild Challenge", 2013: from the person's right to
    their left, then back below."""
    turn = np.linspace(0, np.pi, 17)
    jaw = np.stack([-0.052 * np.cos(turn), 0.073 * np.sin(turn), 0.016 + 0.02 * np.sin(turn) ** 4], 1)
    across = np.linspace(-1, 1, 5)
    ridge = np.linspace(NOSE_TOP, NOSE_TIP, 4)
    below = np.stack([across, np.sqrt(1 - across**2), 0 * across], 1)
    wings = np.array(NOSE_TIP) + NOSE_RADII[1] * below
    brows = [_on(BROW, side, across, 0.0) for side in (-1, 1)]
    lids = np.radians([180, 240, 300, 0, 60, 120])
    eyes = [_on(EYE, side, np.cos(lids), np.sin(lids)) for side in (-1, 1)]
    upper = np.linspace(-1, 1, 7)
    lower = upper[-2:0:-1]
    opening = np.array([-0.8, -0.4, 0, 0.4, 0.8, 0.4, 0, -0.4])  # the mouth is closed
    mouth = [
        _on(LIPS, 1, upper, -np.sqrt(1 - upper**2)),
        _on(LIPS, 1, lower, np.sqrt(1 - lower**2)),
        _on(LIPS, 1, opening, 0.0),
    ]
    return np.concatenate([jaw, *brows, ridge, wings, *eyes, *mouth])


FACE = _face()
