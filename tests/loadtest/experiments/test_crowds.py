"""A crowd in one image holds the people of eight."""

from itertools import islice

import numpy as np

from loadtest.experiments.crowds import HEIGHT, IMAGES, PEOPLE, WIDTH, compare, full_scenes, side_by_side


def test_the_crowd_is_the_scenes_and_their_people():
    scenes = list(islice(full_scenes(), IMAGES))
    image, boxes = side_by_side(scenes)
    assert image.shape == (2 * HEIGHT, 4 * WIDTH, 3)
    assert len(boxes) == IMAGES * PEOPLE
    for i, (scene, own) in enumerate(scenes):
        x, y = WIDTH * (i % 4), HEIGHT * (i // 4)
        np.testing.assert_array_equal(image[y : y + HEIGHT, x : x + WIDTH], scene)
        np.testing.assert_array_equal(boxes[PEOPLE * i : PEOPLE * (i + 1)] - np.float32([x, y, x, y]), own)


def test_both_variants_are_measured(server):
    times = compare(f"grpc://{server.grpc_url}", rounds=1)
    assert {variant: len(values) for variant, values in times.items()} == {"one image": 2, "eight images": 2}
    assert all((values > 1).all() for values in times.values())
