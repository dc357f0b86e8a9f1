"""Skeletons as strokes of OpenCV, drawn on the canvas itself: u8 [h, w, 3] RGB."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.keypoints import Colour, KeypointSet, Pair

Point = tuple[int, int]  # x, y in OpenCV's fixed-point coordinates

DARK: Colour = (24, 26, 30)
FRACTION_BITS = 4  # OpenCV's fixed-point coordinates
FARTHEST = 1e6  # pixels; beyond that a fixed-point coordinate may overflow


def fixed(x: float, y: float) -> Point:
    """A place in OpenCV's fixed-point coordinates; the middle of the first pixel is 0, 0."""
    return round(float(x) * 2**FRACTION_BITS), round(float(y) * 2**FRACTION_BITS)


def seen_points(keypoints: NDArray[np.float32], threshold: float) -> dict[int, Point]:
    """Where to draw the keypoints [K, 3] that reach the threshold, by index."""
    seen = (keypoints[:, 2] >= threshold) & (np.abs(keypoints[:, :2]) < FARTHEST).all(1)
    return {k: fixed(*keypoints[k, :2]) for k in np.flatnonzero(seen).tolist()}


def seen_bones(
    points: dict[int, Point], links: Sequence[Pair], colours: Sequence[Colour]
) -> list[tuple[Point, Point, Colour]]:
    """Start, end and colour of the links of which both ends are seen."""
    return [
        (points[a], points[b], colour)
        for (a, b), colour in zip(links, colours, strict=True)
        if a in points and b in points
    ]


def draw_dot(canvas: NDArray[np.uint8], point: Point, radius: float, colour: Colour) -> None:
    """A filled circle; the radius in pixels."""
    length = round(radius * 2**FRACTION_BITS)
    cv2.circle(canvas, point, length, colour, cv2.FILLED, cv2.LINE_AA, FRACTION_BITS)


def draw_box(canvas: NDArray[np.uint8], box: NDArray[np.float32], colour: Colour, thickness: int) -> None:
    """The outline of a box x1, y1, x2, y2, `thickness` pixels wide."""
    # Boxes are measured at pixel edges, OpenCV draws at pixel centres.
    x1, y1, x2, y2 = np.clip(box, -FARTHEST, FARTHEST) - 0.5
    cv2.rectangle(canvas, fixed(x1, y1), fixed(x2, y2), colour, thickness, cv2.LINE_AA, FRACTION_BITS)


def draw_bones(
    canvas: NDArray[np.uint8], bones: Sequence[tuple[Point, Point, Colour]], thickness: int, outline: int
) -> None:
    """Lines of `thickness` pixels, with a dark border of `outline` pixels beneath all of them."""
    for start, end, _ in bones if outline else ():
        cv2.line(canvas, start, end, DARK, thickness + 2 * outline, cv2.LINE_AA, FRACTION_BITS)
    for start, end, colour in bones:
        cv2.line(canvas, start, end, colour, thickness, cv2.LINE_AA, FRACTION_BITS)


def draw_skeleton(
    canvas: NDArray[np.uint8], keypoints: NDArray[np.float32], labels: KeypointSet, threshold: float, unit: float
) -> None:
    """The keypoints [K, 3] that reach the threshold, and the bones between them, `unit` pixels wide.

    They have a dark outline where that leaves something of the person to be seen.
    """
    points = seen_points(keypoints, threshold)
    bones = seen_bones(points, labels.links, labels.link_colours)
    thickness, outline = max(1, round(unit)), 1 if unit >= 1 else 0
    # The more points, the smaller, so that a face of 68 points stays a face.
    radius = max(0.8, 1.6 * unit * min(1.0, (17 / len(keypoints)) ** 0.5))
    draw_bones(canvas, bones, thickness, outline)
    for k, point in points.items():
        if outline:
            draw_dot(canvas, point, radius + 1, DARK)
        draw_dot(canvas, point, radius, labels.colours[k])
