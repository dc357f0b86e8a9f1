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
from poseclient.keypoints import ClassSet, Colour, KeypointSet, Pair, keypoint_set
from poseclient.people import People

Pixels = NDArray[np.uint8] | PIL.Image.Image
Point = tuple[int, int]  # x, y in OpenCV's fixed-point coordinates

BOX_COLOURS: tuple[Colour, ...] = (
    (80, 200, 255), (255, 190, 60), (140, 230, 120), (250, 130, 150),
    (190, 160, 255), (110, 235, 215), (255, 150, 90), (225, 220, 110),
)  # fmt: skip
DARK, LIGHT = (24, 26, 30), (240, 240, 240)
FONT = cv2.FONT_HERSHEY_SIMPLEX
FRACTION_BITS = 4  # OpenCV's fixed-point coordinates
NO_DEPTH: Colour = (100, 100, 100)
FARTHEST = 1e6  # pixels; beyond that a fixed-point coordinate may overflow


def draw_people(image: Pixels, people: People, threshold: float = 0.3) -> NDArray[np.uint8]:
    """Boxes with scores, and skeletons; a keypoint below `threshold` is left out, and so are its links."""
    canvas = _canvas(image)
    for i in reversed(range(len(people))):  # the best on top
        box, colour = people.boxes[i], BOX_COLOURS[i % len(BOX_COLOURS)]
        unit = _unit(canvas, box)
        _draw_box(canvas, box, f"{people.scores[i]:.2f}", colour, unit)
        if people.keypoints is not None and people.keypoint_set is not None:
            _draw_skeleton(canvas, people.keypoints[i], keypoint_set(people.keypoint_set), threshold, unit)
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
    return max(1.0, min(sqrt(height * width) / 320, float(box[3] - box[1]) / 80))


def _fixed(x: float, y: float) -> Point:
    return round(float(x) * 2**FRACTION_BITS), round(float(y) * 2**FRACTION_BITS)


def seen_points(keypoints: NDArray[np.float32], threshold: float) -> dict[int, Point]:
    """Where to draw the keypoints [K, 3] that reach the threshold, by index, in OpenCV's fixed-point coordinates."""
    seen = (keypoints[:, 2] >= threshold) & (np.abs(keypoints[:, :2]) < FARTHEST).all(1)
    return {k: _fixed(*keypoints[k, :2]) for k in np.flatnonzero(seen).tolist()}


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
    """A filled circle on the canvas itself; the radius in pixels."""
    length = round(radius * 2**FRACTION_BITS)
    cv2.circle(canvas, point, length, colour, cv2.FILLED, cv2.LINE_AA, FRACTION_BITS)


def _draw_box(canvas: NDArray[np.uint8], box: NDArray[np.float32], label: str, colour: Colour, unit: float) -> None:
    # Boxes are measured at pixel edges, OpenCV draws at pixel centres.
    x1, y1, x2, y2 = np.clip(box, -FARTHEST, FARTHEST) - 0.5
    thickness = max(1, round(unit * 0.7))
    cv2.rectangle(canvas, _fixed(x1, y1), _fixed(x2, y2), colour, thickness, cv2.LINE_AA, FRACTION_BITS)
    scale = 0.3 + 0.1 * unit
    (width, height), drop = cv2.getTextSize(label, FONT, scale, 1)
    left = int(np.clip(x1, 0, max(0, canvas.shape[1] - width - 4)))
    bottom = int(y1) if y1 > height + drop else int(y1) + height + drop + 2
    cv2.rectangle(canvas, (left, bottom - height - drop), (left + width + 3, bottom), colour, cv2.FILLED)
    cv2.putText(canvas, label, (left + 2, bottom - drop + 1), FONT, scale, DARK, 1, cv2.LINE_AA)


def _draw_skeleton(
    canvas: NDArray[np.uint8], keypoints: NDArray[np.float32], labels: KeypointSet, threshold: float, unit: float
) -> None:
    points = seen_points(keypoints, threshold)
    bones = seen_bones(points, labels.links, labels.link_colours)
    thickness = max(1, round(unit))
    for start, end, _ in bones:
        cv2.line(canvas, start, end, DARK, thickness + 2, cv2.LINE_AA, FRACTION_BITS)
    for start, end, colour in bones:
        cv2.line(canvas, start, end, colour, thickness, cv2.LINE_AA, FRACTION_BITS)
    # The more points, the smaller, so that a face of 68 points stays a face.
    radius = max(1.0, 1.6 * unit * min(1.0, (17 / len(keypoints)) ** 0.5))
    for k, point in points.items():
        draw_dot(canvas, point, radius + 1, DARK)
        draw_dot(canvas, point, radius, labels.colours[k])
