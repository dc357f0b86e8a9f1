"""Text on pictures: where it may stand, and how it is drawn on the canvas itself, u8 [h, w, 3] RGB."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.keypoints import Colour, keypoint_set
from poseclient.people import People
from poseclient.strokes import DARK

FONT = cv2.FONT_HERSHEY_SIMPLEX
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")  # keypoints
MARGIN = 2  # pixels around a text


@dataclass(frozen=True)
class Label:
    """One line of text of a size; `scale` is OpenCV's, 1 for capitals of 22 pixels."""

    text: str
    scale: float

    @property
    def thickness(self) -> int:
        """Pixels of its strokes."""
        return max(1, round(1.6 * self.scale))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, with its margin."""
        (width, height), drop = cv2.getTextSize(self.text, FONT, self.scale, self.thickness)
        return width + 2 * MARGIN, height + drop + MARGIN

    def draw(self, canvas: NDArray[np.uint8], left: int, top: int, ground: Colour) -> None:
        """Dark on a rectangle of the colour `ground`."""
        width, height = self.size
        drop = cv2.getTextSize(self.text, FONT, self.scale, self.thickness)[1]
        cv2.rectangle(canvas, (left, top), (left + width - 1, top + height - 1), ground, cv2.FILLED)
        place = left + MARGIN, top + height - drop
        cv2.putText(canvas, self.text, place, FONT, self.scale, DARK, self.thickness, cv2.LINE_AA)


def place_beside(
    size: tuple[int, int], box: NDArray[np.float32], kept_free: NDArray[np.float32], canvas: tuple[int, int]
) -> tuple[int, int] | None:
    """Left and top of a label of `size` (width, height) which names the person in a box.

    It stands above the box, else below it, on its right, on its left, or in the lower corner of a box that is much
    wider. None where it would leave the canvas (height, width) everywhere, or cover any of `kept_free`.

    box: x1, y1, x2, y2. kept_free: [n, 4] rectangles like it.
    """
    (width, height), (bottom, right) = size, canvas
    x1, y1, x2, y2 = np.round(np.clip(box, 0, [right, bottom, right, bottom])).astype(int).tolist()
    left, top = min(x1, right - width), min(y1, bottom - height)
    places = [(left, y1 - height), (left, y2), (x2, top), (x1 - width, top)]
    if x2 - x1 > 3 * width:
        places.append((left, y2 - height))
    for x, y in places:
        apart = (kept_free[:, :2] >= (x + width, y + height)) | (kept_free[:, 2:] <= (x, y))
        if 0 <= x <= right - width and 0 <= y <= bottom - height and apart.any(1).all():
            return x, y
    return None


def heads_of(people: People, threshold: float) -> NDArray[np.float32]:
    """A rectangle x1, y1, x2, y2 around the head of each person, f32 [n, 4].

    It surrounds the eyes, ears and nose that reach the threshold; without them it is the upper third of the box.
    """
    x1, y1, x2, y2 = people.boxes.T
    heads: NDArray[np.float32] = np.stack([x1, y1, x2, y1 + (y2 - y1) / 3], 1)
    if people.keypoints is None or people.keypoint_set is None:
        return heads
    face = [i for i, name in enumerate(keypoint_set(people.keypoint_set).names) if name in FACE]
    for i, points in enumerate(people.keypoints[:, face]):
        if len(seen := points[points[:, 2] >= threshold, :2]):
            low, high = seen.min(0), seen.max(0)
            side = max(x2[i] - x1[i], y2[i] - y1[i])
            margin = max(*(high - low), side / 8)  # of a person who stands the head is an eighth
            heads[i] = *(low - margin), *(high + margin)
    return heads
