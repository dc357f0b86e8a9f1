"""Keypoints as OpenPose and ControlNet have them: an 18-point body with a neck, faces and hands."""

from __future__ import annotations

from math import atan2, degrees, hypot
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.image_commands import OPENPOSE_SETS
from poseclient.keypoints import Colour, Pair, hues
from poseclient.people import People
from poseclient.strokes import FRACTION_BITS, Point, draw_dot, seen_bones, seen_points

NECK = 17  # is put behind COCO's 17 points
BODY = (0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)  # OpenPose's order
FACE, LEFT_HAND, RIGHT_HAND = slice(23, 91), slice(91, 112), slice(112, 133)  # of COCO-WholeBody
LIMBS: tuple[Pair, ...] = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
FINGERS: tuple[Pair, ...] = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)
LIMB_ALPHA = 0.6
HAND_DOT: Colour = (0, 0, 255)
FACE_DOT: Colour = (255, 255, 255)
HUES, FINGER_HUES = hues(len(BODY)), hues(len(FINGERS))  # 18 of them are OpenPose's own


class OpenposeKeypoints(NamedTuple):
    """x, y, score of n people: body f32 [n, 18, 3], face [n, 68, 3], hands [n, 21, 3].

    Face and hands are [n, 0, 3] for a keypoint set without them.
    """

    body: NDArray[np.float32]
    face: NDArray[np.float32]
    left_hand: NDArray[np.float32]
    right_hand: NDArray[np.float32]


def openpose_keypoints(people: People, threshold: float = 0.3) -> OpenposeKeypoints:
    """The keypoints in OpenPose's groups and order.

    The neck lies midway between the shoulders, with score 1 where both reach `threshold`; else it is 0, 0, 0.
    InputError for people of another keypoint set than `coco_17` and `coco_wholebody_133`.
    """
    if people.keypoints is None or people.keypoint_set not in OPENPOSE_SETS:
        raise InputError(f"OpenPose's format is made of {' or '.join(OPENPOSE_SETS)}, got {people.keypoint_set}")
    keypoints = people.keypoints
    shoulders = keypoints[:, 5:7]
    seen = (shoulders[..., 2] >= threshold).all(1)
    neck = np.zeros((len(people), 1, 3), np.float32)
    neck[seen, 0, :2] = shoulders[seen, :, :2].mean(1)
    neck[seen, 0, 2] = 1
    body = np.concatenate([keypoints[:, :NECK], neck], 1)[:, BODY]
    return OpenposeKeypoints(body, keypoints[:, FACE], keypoints[:, LEFT_HAND], keypoints[:, RIGHT_HAND])


def draw_openpose(size: tuple[int, int], people: People, threshold: float = 0.3) -> NDArray[np.uint8]:
    """The skeletons on black, u8 [h, w, 3] RGB of `size` (h, w), as ControlNet's OpenPose models want them.

    Limbs are ellipses in 18 hues at 60 %, bones of hands lines in 20 hues, faces white dots; strokes grow with the
    picture, 4 pixels for 512. A keypoint below `threshold` is left out. Errors of `openpose_keypoints`.
    """
    canvas = np.zeros((*size, 3), np.uint8)
    unit = max(1.0, 4 * min(size) / 512)
    groups = openpose_keypoints(people, threshold)
    for i in reversed(range(len(people))):  # the best on top
        body, face, *hands = (seen_points(points[i], threshold) for points in groups)
        for start, end, colour in seen_bones(body, LIMBS, HUES[: len(LIMBS)]):
            _draw_limb(canvas, start, end, colour, unit)
        for k, point in body.items():
            draw_dot(canvas, point, unit, HUES[k])
        for hand in hands:
            for start, end, colour in seen_bones(hand, FINGERS, FINGER_HUES):
                cv2.line(canvas, start, end, colour, max(1, round(unit / 2)), cv2.LINE_AA, FRACTION_BITS)
            for point in hand.values():
                draw_dot(canvas, point, unit / 2, HAND_DOT)
        for point in face.values():
            draw_dot(canvas, point, unit / 2, FACE_DOT)
    return canvas


def _draw_limb(canvas: NDArray[np.uint8], start: Point, end: Point, colour: Colour, unit: float) -> None:
    (x1, y1), (x2, y2) = start, end
    axes = round(hypot(x2 - x1, y2 - y1) / 2), round(unit * 2**FRACTION_BITS)
    angle, shade = degrees(atan2(y2 - y1, x2 - x1)), [LIMB_ALPHA * c for c in colour]
    middle = (x1 + x2) // 2, (y1 + y2) // 2
    cv2.ellipse(canvas, middle, axes, angle, 0, 360, shade, cv2.FILLED, cv2.LINE_AA, FRACTION_BITS)
