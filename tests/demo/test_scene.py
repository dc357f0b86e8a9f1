"""Rendered scenes: the same from the same seed, and exact."""

from __future__ import annotations

import numpy as np
import pytest

from demo.body import SHOWN_CLASSES, Body, build_body
from demo.pose import Pose
from demo.render import render
from demo.scene import MAX_PEOPLE, render_scene
from demo.solids import Material, Solid, rotation
from poseclient.keypoints import class_set


def test_a_seed_gives_one_scene():
    a, b, other = render_scene(5), render_scene(5), render_scene(6)
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(a.parts, b.parts)
    assert not np.array_equal(a.image, other.image)


@pytest.mark.parametrize("count", [0, 1, MAX_PEOPLE])
def test_a_scene_holds_at_most_the_people_asked_for(count):
    scene = render_scene(1, (480, 640), people=count)
    assert len(scene.people) <= count
    assert (scene.parts > 0).any() == (count > 0)


def test_boxes_are_tight_around_the_visible_pixels():
    scene = render_scene(2, (333, 501), people=1)
    rows, columns = np.nonzero(scene.parts)
    box = scene.people[0].box
    assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert scene.people[0].area == rows.size


def test_masks_hold_the_classes_that_a_body_shows():
    seen = set()
    for seed in range(40):
        seen |= set(np.unique(render_scene(seed, (240, 320)).parts).tolist())
    assert seen == set(SHOWN_CLASSES)
    assert len(class_set("sapiens_28").names) > max(SHOWN_CLASSES)


def test_visible_keypoints_lie_on_the_person():
    on_person = [
        scene.parts[round(float(y)), round(float(x))] > 0
        for scene in (render_scene(seed) for seed in range(6))
        for person in scene.people
        for x, y, v in person.keypoints
        if v > 0
    ]
    assert len(on_person) > 100
    assert all(on_person)


def test_left_is_left():
    """Who faces the viewer has their left hand on the right of the image, in keypoints and in parts alike."""
    body = build_body(np.random.default_rng(0), Pose(arm_raise=[80.0, 80.0], elbow=[0.0, 0.0])).placed(300, 200, 200)
    assert body.joints[9, 0] > body.joints[10, 0]
    left_hand, right_hand = ([s.a[0] for s in body.solids if s.part == part] for part in (5, 14))
    assert min(left_hand) > max(right_hand)


def test_everybody_in_a_crowd_stays_visible():
    areas = [p.area for p in render_scene(4, (480, 640), people=MAX_PEOPLE).people]
    assert len(areas) > 4
    assert min(areas) > 100


def plain(**shape) -> Solid:
    return Solid(1, Material(np.ones(3)), **shape)


def test_a_sphere_is_round_and_as_near_as_it_should_be():
    ball = plain(a=np.array([20.3, 15.6, 2.0]), b=np.array([20.3, 15.6, 2.0]), ra=9.0, rb=9.0)
    surface = render([ball], 0, 0, 40, 32)
    y, x = np.mgrid[:32, :40]
    inside = (x - 20.3) ** 2 + (y - 15.6) ** 2 <= 81
    assert np.array_equal(surface.solid == 0, inside)
    depth = 2 + np.sqrt(81 - (x - 20.3) ** 2 - (y - 15.6) ** 2, where=inside, out=np.zeros(inside.shape))
    np.testing.assert_allclose(surface.depth[inside], depth[inside], atol=1e-3)


@pytest.mark.parametrize("turn", [0, 35, 90])
def test_a_round_cone_is_the_hull_of_its_spheres(turn):
    a, b = (
        np.array([20.0, 30.0, 0.0]),
        np.array([20.0, 30.0, 0.0]) + rotation(y=turn, z=20) @ np.array([40.0, 0.0, 0.0]),
    )
    cone = render([plain(a=a, b=b, ra=10.0, rb=5.0)], 0, 0, 80, 70)
    beads = [plain(a=a + t * (b - a), b=a + t * (b - a), ra=10 - 5 * t, rb=10 - 5 * t) for t in np.linspace(0, 1, 400)]
    spheres = render(beads, 0, 0, 80, 70)
    assert ((cone.solid >= 0) ^ (spheres.solid >= 0)).sum() <= 4  # pixels that the finite beads just miss
    both = (cone.solid >= 0) & (spheres.solid >= 0)
    assert np.abs(cone.depth[both] - spheres.depth[both]).max() < 0.3
    assert (cone.normals * spheres.normals).sum(-1)[both].min() > 0.98
    np.testing.assert_allclose(np.linalg.norm(cone.normals[both], axis=-1), 1, atol=1e-3)


def test_an_ellipsoid_of_equal_axes_is_a_sphere():
    at = np.array([12.2, 13.9, 1.0])
    sphere = render([plain(a=at, b=at, ra=7.0, rb=7.0)], 0, 0, 26, 28)
    turned = plain(a=at, b=at, ra=0.0, rb=0.0, axes=rotation(30, 50, 70) @ np.diag([7.0, 7.0, 7.0]))
    ellipsoid = render([turned], 0, 0, 26, 28)
    assert np.array_equal(sphere.solid, ellipsoid.solid)
    seen = sphere.solid >= 0
    np.testing.assert_allclose(sphere.depth[seen], ellipsoid.depth[seen], atol=1e-2)


def test_more_samples_show_the_same_shape():
    body: Body = build_body(np.random.default_rng(3)).placed(60, 40, 40)
    coarse, fine = render(body.solids, 0, 0, 80, 80), render(body.solids, 0, 0, 80, 80, samples=3)
    assert np.array_equal(coarse.solid, fine.solid[1::3, 1::3])
