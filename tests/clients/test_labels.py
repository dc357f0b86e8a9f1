"""Text beside a box covers what may be covered, or is left out."""

import numpy as np
import pytest

from poseclient import People
from poseclient.labels import Label, heads_of, place_beside

CANVAS = 100, 200  # height, width
SIZE = 30, 10
BOX = np.array([50, 40, 70, 80], np.float32)
ABOVE, BELOW, RIGHT, LEFT = (50, 30), (50, 80), (70, 40), (20, 40)


def block(place):
    """A pixel in the middle of a label at this place, which is to be kept free."""
    x, y = place[0] + SIZE[0] // 2, place[1] + SIZE[1] // 2
    return x, y, x + 1, y + 1


@pytest.mark.parametrize(
    ("taken", "place"),
    [
        ([], ABOVE),
        ([ABOVE], BELOW),
        ([ABOVE, BELOW], RIGHT),
        ([ABOVE, BELOW, RIGHT], LEFT),
        ([ABOVE, BELOW, RIGHT, LEFT], None),
    ],
)
def test_a_label_stands_above_below_right_or_left_of_its_box_or_nowhere(taken, place):
    kept_free = np.array([block(other) for other in taken], np.float32).reshape(-1, 4)
    assert place_beside(SIZE, BOX, kept_free, CANVAS) == place


NOTHING = np.zeros((0, 4), np.float32)


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ([50, 5, 70, 40], (50, 40)),  # no place above
        ([50, 5, 70, 95], (70, 5)),  # nor below
        ([-20, 20, 10, 60], (0, 10)),  # a box that begins outside the image
        ([190, 20, 230, 60], (170, 10)),  # one that ends there
        ([0, 0, 200, 100], (0, 90)),  # one that is the image: its lower corner
        ([0, 0, 20, 100], (20, 0)),
        ([180, 0, 200, 100], (150, 0)),
        ([-1e30, 0, 1e30, 1e9], (0, 90)),
    ],
)
def test_a_label_stays_in_the_image(box, place):
    assert place_beside(SIZE, np.array(box, np.float32), NOTHING, CANVAS) == place


def test_a_label_larger_than_the_image_has_no_place():
    assert place_beside((300, 10), BOX, NOTHING, CANVAS) is None
    assert place_beside((30, 101), BOX, NOTHING, CANVAS) is None


def test_touching_is_not_covering():
    x, y = ABOVE
    kept_free = np.array([[x - 9, y, x, y + 10], [x, y + 10, x + 30, 99], [x + 30, 0, 200, 99]], np.float32)
    assert place_beside(SIZE, BOX, kept_free, CANVAS) == ABOVE


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_a_text_fills_its_rectangle_and_no_more(scale):
    label, canvas = Label("0.97", scale), np.full((120, 300, 3), 128, np.uint8)
    label.draw(canvas, 20, 30, (80, 200, 255))
    width, height = label.size
    assert (canvas[30 : 30 + height, 20 : 20 + width] != 128).any(2).all()
    canvas[30 : 30 + height, 20 : 20 + width] = 128
    assert (canvas == 128).all()


def test_a_head_is_around_the_face_or_else_the_upper_third_of_the_box():
    points = np.zeros((2, 17, 3), np.float32)
    points[0, :5] = [[110, 60, 0.9], [120, 50, 0.9], [100, 50, 0.9], [500, 500, 0.1], [90, 55, 0.8]]
    boxes = np.array([[40, 40, 200, 360], [300, 30, 360, 180]], np.float32)
    people = People(boxes, np.ones(2, np.float32), points, "coco_17")
    # 320 / 8 pixels around 90..120, 50..60
    np.testing.assert_allclose(heads_of(people, 0.3), [[50, 10, 160, 100], [300, 30, 360, 80]])
    np.testing.assert_allclose(heads_of(People(boxes, people.scores), 0.3)[0], [40, 40, 200, 40 + 320 / 3], rtol=1e-6)
