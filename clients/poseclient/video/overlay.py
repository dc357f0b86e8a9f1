"""Pictures of the people of a frame, in colours that stay with their ids."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from poseclient.draw import BOX_COLOURS
from poseclient.keypoints import Colour, keypoint_set
from poseclient.labels import Label
from poseclient.people import People
from poseclient.strokes import draw_bones, draw_box, draw_dot, seen_bones, seen_points
from poseclient.tracking import UNTRACKED
from poseclient.video.follow import TrackedFrame

LAYERS = ("skeletons", "boxes", "ids", "detections")  # what can be drawn
USUAL_LAYERS = LAYERS[:3]
GREY: Colour = (150, 150, 150)


@dataclass(frozen=True)
class Overlay:
    """How people are drawn.

    layers: of LAYERS; detections are the boxes before tracking. threshold: least score of a keypoint. line_width:
    pixels of bones and boxes; radius: pixels of keypoints. None for a width that fits the size of the picture.
    """

    layers: Collection[str] = USUAL_LAYERS
    threshold: float = 0.3
    line_width: int | None = None
    radius: float | None = None

    def draw(self, result: TrackedFrame) -> NDArray[np.uint8]:
        """A new picture u8 [h, w, 3] RGB of the frame and its people."""
        canvas = result.image.copy()
        width = self.line_width or max(1, round(sqrt(canvas.shape[0] * canvas.shape[1]) / 320))
        if "detections" in self.layers:
            for box in result.found.boxes:
                draw_box(canvas, box, GREY, width)
        for i in reversed(range(len(result.people))):  # the best on top
            person = result.people[i]
            colour = BOX_COLOURS[_number(person) % len(BOX_COLOURS)]
            if "skeletons" in self.layers:
                self._draw_skeleton(canvas, person, width)
            if "boxes" in self.layers:
                draw_box(canvas, person.boxes[0], colour, width)
            if "ids" in self.layers and _number(person) != UNTRACKED:
                label = Label(f"{_number(person)}", 0.3 + 0.15 * width)
                label.draw(canvas, *_corner(person.boxes[0], label, canvas), colour)
        return canvas

    def _draw_skeleton(self, canvas: NDArray[np.uint8], person: People, width: int) -> None:
        if person.keypoints is None or person.keypoint_set is None:
            return
        labels = keypoint_set(person.keypoint_set)
        points = seen_points(person.keypoints[0], self.threshold)
        bones = seen_bones(points, labels.links, labels.link_colours)
        draw_bones(canvas, bones, width, 1)
        # The more points, the smaller, so that a face of 68 points stays a face.
        radius = self.radius or max(1.0, 1.6 * width * min(1.0, sqrt(17 / len(labels.names))))
        for k, point in points.items():
            draw_dot(canvas, point, radius, labels.colours[k])


def _number(person: People) -> int:
    """The id of one person: 0 where nobody is tracked."""
    return 0 if person.track_ids is None else int(person.track_ids[0])


def _corner(box: NDArray[np.float32], label: Label, canvas: NDArray[np.uint8]) -> tuple[int, int]:
    """Left and top of a label at the upper left corner of a box, inside the picture."""
    left, top = int(box[0]), int(box[1]) - label.size[1]
    room = np.subtract(canvas.shape[1::-1], label.size)
    return int(np.clip(left, 0, max(0, room[0]))), int(np.clip(top, 0, max(0, room[1])))
