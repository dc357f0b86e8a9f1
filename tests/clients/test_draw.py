"""Pictures show what was found, and leave the image alone."""

import numpy as np
import PIL.Image
import pytest

from poseclient import InputError, People, class_set, draw_parts, draw_people
from poseclient.draw import draw_depth, draw_normals, parts_legend


def standing_person(scores: float = 0.9) -> People:
    """One person of 17 keypoints on a grid, within the box 20, 20, 180, 280."""
    keypoints = np.array([[[40 + 20 * (k % 7), 40 + 14 * k, scores] for k in range(17)]], np.float32)
    return People(
        np.array([[20, 20, 180, 280]], np.float32), np.array([0.9], np.float32), keypoints, "coco_17", found=1
    )


@pytest.fixture
def image():
    return np.full((300, 200, 3), 128, np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(2)


def test_every_keypoint_and_the_box_are_drawn(image):
    person = standing_person()
    drawn = changed(image, draw_people(image, person))
    for x, y in person.keypoints[0, :, :2].astype(int):
        assert drawn[y, x]
    assert drawn[20:280, 19:21].any(1).all()
    assert drawn[279:281, 20:180].any(0).all()


def test_the_image_itself_stays_as_it_was(image):
    before = image.copy()
    draw_people(image, standing_person())
    draw_parts(image, np.ones(image.shape[:2], np.uint8), class_set("sapiens_28"))
    np.testing.assert_array_equal(image, before)


def test_nobody_leaves_no_trace(image):
    np.testing.assert_array_equal(draw_people(image, standing_person()[:0]), image)


def test_a_keypoint_below_the_threshold_takes_its_links_along(image):
    person = standing_person()
    box_only = draw_people(image, People(person.boxes, person.scores))
    np.testing.assert_array_equal(draw_people(image, standing_person(0.2)), box_only)
    assert changed(box_only, draw_people(image, standing_person(0.2), threshold=0.1)).any()


def test_left_is_green_and_right_is_orange(image):
    person = standing_person()
    picture = draw_people(image, person)
    for k, colour in ((9, (0, 255, 0)), (10, (255, 128, 0))):
        x, y = person.keypoints[0, k, :2].astype(int)
        assert tuple(picture[y, x]) == colour


@pytest.mark.parametrize("kind", ["grey", "grey of one channel", "RGBA", "Pillow", "Pillow's RGBA", "read-only"])
def test_every_kind_of_image_gets_the_same_strokes(image, kind):
    rgba = np.dstack([image, np.full(image.shape[:2], 7, np.uint8)])
    kinds = {
        "grey": image[..., 0],
        "grey of one channel": image[..., :1],
        "RGBA": rgba,
        "Pillow": PIL.Image.fromarray(image),
        "Pillow's RGBA": PIL.Image.fromarray(rgba),
        "read-only": np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape),
    }
    np.testing.assert_array_equal(draw_people(kinds[kind], standing_person()), draw_people(image, standing_person()))
    mask, classes = np.full(image.shape[:2], 3, np.uint8), class_set("sapiens_28")
    np.testing.assert_array_equal(draw_parts(kinds[kind], mask, classes), draw_parts(image, mask, classes))


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (np.zeros((4, 5, 3)), r"float64 \[4, 5, 3\]"),
        (np.zeros((4, 5, 2), np.uint8), r"uint8 \[4, 5, 2\]"),
        (np.zeros(4, np.uint8), r"uint8 \[4\]"),
        (b"jpeg", "a bytes"),
    ],
)
def test_what_cannot_be_drawn_on_is_named(pixels, got):
    with pytest.raises(InputError, match=f"must be uint8 .* got {got}"):
        draw_people(pixels, standing_person())


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, 1e9, -5000])
def test_keypoints_far_away_do_no_harm(image, value):
    person = standing_person()
    person.keypoints[0, 3, :2] = value
    person.keypoints[0, 4, 0] = value
    drawn = changed(image, draw_people(image, person))
    assert drawn.shape == image.shape[:2]
    others = np.delete(person.keypoints[0, :, :2], [3, 4], 0).astype(int)
    assert all(drawn[y, x] for x, y in others)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (3000, 20)])
def test_any_size_of_image_can_be_drawn_on(size):
    picture = draw_people(np.zeros((*size, 3), np.uint8), standing_person())
    assert picture.shape == (*size, 3)


@pytest.mark.parametrize("count", [133, 308])
def test_dense_sets_are_drawn_too(image, count):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(20, 180, (1, count, 2)), np.ones((1, count, 1))], 2)
    name = {133: "coco_wholebody_133", 308: "goliath_308"}[count]
    person = standing_person()
    people = People(person.boxes, person.scores, points.astype(np.float32), name)
    picture = changed(image, draw_people(image, people))
    assert all(picture[round(y), round(x)] for x, y in points[0, :, :2])


def test_background_shows_the_image_and_classes_their_colour(image):
    classes = class_set("sapiens_28")
    mask = np.zeros((300, 200), np.uint8)
    mask[100:200] = 21
    picture = draw_parts(image, mask, classes, alpha=0.5)
    np.testing.assert_array_equal(picture[50], image[50])
    expected = (np.array(classes.palette[21]) + 128) / 2
    np.testing.assert_allclose(picture[150], np.broadcast_to(expected, (200, 3)), atol=1)


def test_a_mask_of_another_size_is_refused(image):
    with pytest.raises(ValueError, match=r"\[300, 201\].*\[300, 200\]"):
        draw_parts(image, np.zeros((300, 201), np.uint8), class_set("sapiens_28"))


@pytest.mark.parametrize("height", [1, 40, 480, 3000])
def test_the_legend_is_as_high_as_the_image(height):
    mask = np.resize(np.arange(28, dtype=np.uint8), (height, 30))
    assert parts_legend(mask, class_set("sapiens_28")).shape[0] == height


def test_the_legend_shows_the_classes_of_the_mask_only():
    classes = class_set("sapiens_28")
    mask = np.zeros((480, 10), np.uint8)
    mask[:5] = 3
    colours = {tuple(c) for c in parts_legend(mask, classes).reshape(-1, 3).tolist()}
    assert classes.palette[3] in colours
    assert not colours & (set(classes.palette) - {classes.palette[3]})


def test_the_nearest_is_the_brightest_and_nothing_is_grey():
    depth = np.array([[0.5, 1.0, 1.5, np.nan, np.inf]], np.float16)
    near, middle, far, *nothing = draw_depth(depth)[0].astype(int)
    assert near.sum() > middle.sum() > far.sum()
    assert far.sum() < 20
    np.testing.assert_array_equal(nothing, 100)


@pytest.mark.parametrize("value", [2.0, np.nan])
def test_depth_of_one_value_or_none_can_be_drawn(value):
    picture = draw_depth(np.full((2, 3), value, np.float16))
    assert (picture.shape, picture.dtype) == ((2, 3, 3), np.uint8)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1


def test_normals_become_colours_and_nothing_is_black():
    normals = np.array([[[1, 0, -1], [0, -1, 0], [np.nan] * 3, [-1.001, 1.001, 0.5]]], np.float16)
    expected = [[255, 128, 0], [128, 0, 128], [0, 0, 0], [0, 255, 191]]
    np.testing.assert_array_equal(draw_normals(normals)[0], expected)
