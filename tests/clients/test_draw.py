"""Pictures show what was found, and leave the image alone."""

import numpy as np
import PIL.Image
import pytest

from poseclient import InputError, People, class_set, draw_parts, draw_people, keypoint_set
from poseclient.draw import BOX_COLOURS, LIGHT, PALE, draw_depth, draw_normals, parts_legend


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


@pytest.mark.parametrize("size", [(300, 200), (2160, 3840), (60, 400), (400, 60)])
def test_where_there_is_nobody_the_upper_left_corner_says_so(size):
    image = np.full((*size, 3), 128, np.uint8)
    picture = draw_people(image, standing_person()[:0])
    rows, columns = (np.flatnonzero(changed(image, picture).any(axis)) for axis in (1, 0))
    height, width = len(rows), len(columns)
    assert (rows[-1], columns[-1]) == (height - 1, width - 1)  # one rectangle from the corner on
    assert width < size[1]
    assert height < max(20, size[0] / 14)
    assert width > 0.8 * size[1] or height > max(14, size[0] / 18)
    text = (picture[:height, :width] < 128).all(2)
    assert tuple(picture[0, 0]) == LIGHT
    assert 0.03 < text.mean() < 0.5


def left_arm(*points: tuple[float, float, float], box: tuple[float, ...] = (20, 20, 180, 280)) -> People:
    """One person of whom shoulder, elbow and wrist are there, x, y, score."""
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, (5, 7, 9)[: len(points)]] = points
    return People(np.array([box], np.float32), np.ones(1, np.float32), keypoints, "coco_17")


def test_keypoints_below_the_threshold_are_pale_and_so_are_their_bones(image):
    labels = keypoint_set("coco_17")
    forearm = labels.link_colours[labels.links.index((7, 9))]
    arm = [(60, 60, 0.9), (100, 100, 0.9), (140, 180, 0.2)]
    picture = draw_people(image, left_arm(*arm))
    assert tuple(picture[100, 100]) == labels.colours[7]
    for (x, y), colour in {(140, 180): labels.colours[9], (120, 140): forearm}.items():
        np.testing.assert_allclose(picture[y, x], PALE * np.array(colour) + (1 - PALE) * 128, atol=3)
    picture = draw_people(image, left_arm(*arm), threshold=0.1)
    assert tuple(picture[180, 140]) == labels.colours[9]
    np.testing.assert_allclose(picture[140, 120], forearm, atol=5)


def test_a_keypoint_of_score_0_is_not_there(image):
    person = standing_person()
    box_only = draw_people(image, People(person.boxes, person.scores))
    np.testing.assert_array_equal(draw_people(image, standing_person(0)), box_only)


@pytest.mark.parametrize(
    ("person", "bone", "outlined"), [(40, 1, 1), (80, 1, 5), (160, 3, 5), (400, 5, 7), (900, 5, 7)]
)
def test_strokes_grow_with_the_person_and_stay_thin_for_the_image(person, bone, outlined):
    """Pixels across a bone alone and with its outline; the image of 960 x 1706 allows no more."""
    image = np.full((960, 1706, 3), 128, np.uint8)
    arm = left_arm((800, 20, 1), (800, 20 + 0.9 * person, 1), box=(785, 10, 815, 10 + person))
    across = np.abs(draw_people(image, arm)[20 + person // 2, 793:808].astype(int) - 128).sum(1)
    assert ((across > 350).sum(), (across > 200).sum()) == (bone, outlined)


def crowd() -> People:
    """A hundred people of 12 x 30 pixels who stand close together, each of them in front of the feet of another."""
    x, y = (axis.ravel() for axis in np.meshgrid(20 + 14 * np.arange(10), 40 + 24 * np.arange(10)))
    return People(np.stack([x, y, x + 12, y + 30], 1).astype(np.float32), np.linspace(1, 0.3, 100, dtype=np.float32))


def test_scores_cover_no_heads(image):
    picture = draw_people(image, crowd())
    for x1, y1, x2, _ in crowd().boxes.astype(int):
        np.testing.assert_array_equal(picture[y1 + 8 : y1 + 10, x1 + 3 : x2 - 3], 128)
    above = picture[20:38, 20:160]  # of the first row, where there is place
    assert {tuple(c) for c in above.reshape(-1, 3).tolist()} & set(BOX_COLOURS[:4])


def test_scores_stand_above_the_boxes_and_the_better_one_has_its_place(image):
    people = People(np.array([[60, 100, 100, 180], [64, 100, 104, 180]], np.float32), np.array([0.9, 0.8], np.float32))
    picture = draw_people(image, people)
    assert tuple(picture[97, 60]) == BOX_COLOURS[0]
    assert tuple(picture[183, 64]) == BOX_COLOURS[1]  # below
    assert (picture[84:99, 95:] == 128).all()


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
    others = np.delete(person.keypoints[0, :, :2], [3, 4], 0).astype(int)
    assert all(drawn[y, x] for x, y in others)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (3000, 20)])
def test_any_size_of_image_can_be_drawn_on(size):
    """The nose in the middle of a person who fills the image."""
    height, width = size
    points = np.zeros((1, 17, 3), np.float32)
    points[0, 0] = width // 2, height // 2, 1
    person = People(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32), points, "coco_17")
    picture = draw_people(np.zeros((*size, 3), np.uint8), person)
    assert tuple(picture[height // 2, width // 2]) == keypoint_set("coco_17").colours[0]
    assert picture.shape == (*size, 3)
    assert draw_people(picture, person[:0]).shape == (*size, 3)


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
def test_the_legend_is_as_high_as_the_image_and_has_a_field_for_each_class(height):
    classes = class_set("sapiens_28")
    panel = parts_legend(np.resize(np.arange(28, dtype=np.uint8), (height, 30)), classes)
    assert panel.shape[0] == height
    row = min(max(height // 20, 12), 40)
    rows = max(1, height // row)
    column = panel.shape[1] // -(-27 // rows)
    for place in range(27):
        x, y = place // rows * column + row // 3 + row // 4, place % rows * row + row // 2
        if y < height:
            assert tuple(panel[y, x]) == classes.palette[place + 1]


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


@pytest.mark.parametrize(("value", "colour"), [(2.0, (0, 0, 4)), (np.nan, (100, 100, 100))])
def test_depth_of_one_value_or_none_can_be_drawn(value, colour):
    picture = draw_depth(np.full((2, 3), value, np.float16))
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, np.broadcast_to(colour, (2, 3, 3)))


def test_normals_become_colours_and_nothing_is_black():
    normals = np.array([[[1, 0, -1], [0, -1, 0], [np.nan] * 3, [-1.001, 1.001, 0.5]]], np.float16)
    expected = [[255, 128, 0], [128, 0, 128], [0, 0, 0], [0, 255, 191]]
    np.testing.assert_array_equal(draw_normals(normals)[0], expected)
