"""What the command line draws of one image and its result: u8 [h, w, 3] RGB from the image and the result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient import draw
from poseclient.keypoints import ClassSet, class_set
from poseclient.people import People

Picture = NDArray[np.uint8]

draw_people = draw.draw_people


def draw_parts(image: Picture, parts: tuple[NDArray[np.uint8], ClassSet]) -> Picture:
    """The parts in their colours, and a legend."""
    return np.hstack([draw.draw_parts(image, *parts), draw.parts_legend(*parts)])


def draw_people_and_parts(image: Picture, people: People) -> Picture:
    """The skeletons on the parts, and a legend."""
    assert people.mask is not None
    classes = class_set(people.class_set or "")
    picture = draw.draw_people(draw.draw_parts(image, people.mask, classes), people)
    return np.hstack([picture, draw.parts_legend(people.mask, classes)])


def draw_depth(_: Picture, depth: NDArray[np.floating[Any]]) -> Picture:
    """The depth alone."""
    return draw.draw_depth(depth)


def draw_normals(_: Picture, normals: NDArray[np.floating[Any]]) -> Picture:
    """The normals alone."""
    return draw.draw_normals(normals)


def side_by_side(image: Picture, picture: Picture) -> Picture:
    """The image on the left of the picture."""
    return np.hstack([image, picture])
