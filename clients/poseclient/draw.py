"""Pictures of people, masks and maps, always a new image.

Images are u8 [h, w, 3] RGB, [h, w] or [h, w, 1] grey, or [h, w, 4] RGBA, whose alpha is dropped; or an image of Pillow.
InputError for others. Pictures are u8 [h, w, 3] RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.keypoints import ClassSet, Colour, keypoint_set
from poseclient.labels import FONT, Label, heads_of, place_beside
from poseclient.people import People
from poseclient.strokes import DARK, draw_box, draw_skeleton

Pixels = NDArray[np.uint8] | PIL.Image.Image

BOX_COLOURS: tuple[Colour, ...] = (
    (80, 200, 255), (255, 190, 60), (140, 230, 120), (250, 130, 150),
    (190, 160, 255), (110, 235, 215), (255, 150, 90), (225, 220, 110),
)  # fmt: skip
LIGHT: Colour = (240, 240, 240)
NO_DEPTH: Colour = (100, 100, 100)
PALE = 0.35  # opacity of keypoints below the threshold
LEAST_SCORE = 1e-6  # of a keypoint that is drawn at all: a score of 0 means that there is none
NOBODY = "no people found"


def draw_people(image: Pixels, people: People, threshold: float = 0.3) -> NDArray[np.uint8]:
    """Boxes with scores, and skeletons; a keypoint below `threshold` is pale, and so are its bones.

    Strokes grow with the person and the image. A score that would cover a head is left out. Where there is nobody, the
    picture says so.
    """
    canvas = _canvas(image)
    if not len(people):
        _draw_nobody(canvas)
        return canvas
    units = [_unit(canvas, box) for box in people.boxes]
    best_last = range(len(people))[::-1]
    labels = None if people.keypoints is None or people.keypoint_set is None else keypoint_set(people.keypoint_set)
    if people.keypoints is not None and labels:
        pale = canvas.copy()
        for i in best_last:
            draw_skeleton(pale, people.keypoints[i], labels, LEAST_SCORE, units[i])
        cv2.addWeighted(pale, PALE, canvas, 1 - PALE, 0, dst=canvas)
    for i in best_last:
        draw_box(canvas, people.boxes[i], _box_colour(i), max(1, round(units[i] * 0.7)))
        if people.keypoints is not None and labels:
            draw_skeleton(canvas, people.keypoints[i], labels, threshold, units[i])
    _draw_scores(canvas, people, heads_of(people, threshold), units)
    return canvas


def draw_parts(image: Pixels, mask: NDArray[np.uint8], classes: ClassSet, alpha: float = 0.5) -> NDArray[np.uint8]:
    """The mask u8 [h, w] over the image in the colours of its classes; InputError when the sizes differ."""
    canvas = _canvas(image)
    if mask.shape != canvas.shape[:2]:
        raise InputError(f"mask {list(mask.shape)} and image {list(canvas.shape[:2])} differ in size")
    colours = np.array(classes.palette, np.uint8)[mask]
    kernel = np.ones((3, 3), np.uint8)
    border = cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
    cover = np.where(border, (1 + alpha) / 2, alpha) * (mask > 0)
    return (canvas + cover[..., None] * (colours.astype(np.float32) - canvas) + 0.5).astype(np.uint8)


def parts_legend(mask: NDArray[np.uint8], classes: ClassSet) -> NDArray[np.uint8]:
    """Colours and names of the classes in the mask, u8 [h, width, 3], as high as the mask."""
    height = len(mask)
    row = int(np.clip(height / 20, 12, 40))
    scale, rows = row / 40, max(1, height // row)
    ids = [i for i in np.unique(mask).tolist() if i > 0]
    names = [classes.names[i].replace("_", " ") for i in ids]
    widths = [cv2.getTextSize(name, FONT, scale, 1)[0][0] for name in names]
    column = max(widths, default=0) + 2 * row
    panel = np.full((height, column * max(1, -(-len(ids) // rows)), 3), DARK, np.uint8)
    for place, (i, name) in enumerate(zip(ids, names, strict=True)):
        x, y = place // rows * column + row // 3, place % rows * row
        cv2.rectangle(panel, (x, y + row // 5), (x + row * 3 // 5, y + row * 4 // 5), classes.palette[i], cv2.FILLED)
        cv2.putText(panel, name, (x + row, y + row * 7 // 10), FONT, scale, LIGHT, 1, cv2.LINE_AA)
    return panel


def draw_depth(depth: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Depth [h, w] of any float type in the colours of inferno, the nearest bright; grey where it is not finite.

    The colours span the range of the map, so those of two maps do not compare.
    """
    finite = np.isfinite(depth)
    values = depth[finite].astype(np.float32)
    picture = np.full((*depth.shape, 3), NO_DEPTH, np.uint8)
    if len(values):
        nearness = (values.max() - values) / max(np.ptp(values), np.finfo(np.float32).tiny)
        shades = np.round(255 * nearness).astype(np.uint8)
        picture[finite] = cv2.applyColorMap(shades, cv2.COLORMAP_INFERNO)[:, 0, ::-1]
    return picture


def draw_normals(normals: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Unit vectors [h, w, 3] of any float type as colours, -1 to 1 as 0 to 255; black where there is none."""
    levels: NDArray[np.float32] = (np.nan_to_num(normals.astype(np.float32), nan=-1) + 1) * 127.5
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


def _canvas(image: Pixels) -> NDArray[np.uint8]:
    """A copy to draw on, u8 [h, w, 3] RGB."""
    if isinstance(image, PIL.Image.Image):
        return np.array(image.convert("RGB"))
    pixels = image[..., None] if isinstance(image, np.ndarray) and image.ndim == 2 else image
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 3
        or pixels.shape[2] not in (1, 3, 4)
    ):
        got = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
        raise InputError(f"to draw on, pixels must be uint8 [h, w, 3] RGB, [h, w, 4] RGBA or [h, w] grey; got {got}")
    return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels[..., :3].copy()


def _unit(canvas: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
    """Width of a stroke in pixels: fits the image, and does not cover a small person."""
    height, width = canvas.shape[:2]
    person = max(box[2] - box[0], box[3] - box[1])
    return min(sqrt(height * width) / 320, float(person) / 80)


def _draw_scores(canvas: NDArray[np.uint8], people: People, heads: NDArray[np.float32], units: Sequence[float]) -> None:
    """Beside the boxes, the best first, where there is a place that covers no head and no other score."""
    kept_free, (height, width) = heads, canvas.shape[:2]
    for i, (box, unit) in enumerate(zip(people.boxes, units, strict=True)):
        label = Label(f"{people.scores[i]:.2f}", 0.25 + 0.15 * max(1.0, unit))
        if place := place_beside(label.size, box, kept_free, (height, width)):
            label.draw(canvas, *place, _box_colour(i))
            kept_free = np.vstack([kept_free, (*place, *np.add(place, label.size))])


def _draw_nobody(canvas: NDArray[np.uint8]) -> None:
    """Says in the upper left corner that nobody was found, in a size that fits the image."""
    height, width = canvas.shape[:2]
    at_1 = Label(NOBODY, 1.0).size
    Label(NOBODY, min(0.9 * width / at_1[0], max(16, height / 16) / at_1[1])).draw(canvas, 0, 0, LIGHT)


def _box_colour(person: int) -> Colour:
    return BOX_COLOURS[person % len(BOX_COLOURS)]
