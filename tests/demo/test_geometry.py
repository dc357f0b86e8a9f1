"""Depth, normals and 133 keypoints of rendered scenes: what they mean, and that training sees them so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from demo.body import FOOT, SHOE, build_body
from demo.dataset import Shard
from demo.pose import Pose
from demo.samples import Samples
from demo.scene import render_scene
from demo.train import geometry_loss
from poseclient.keypoints import keypoint_set

NAMES = keypoint_set("coco_wholebody_133").names


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(seed) for seed in range(12)]


def test_a_seed_gives_the_scene_that_it_gave_before():
    """Networks were trained and scored on these images: a scene must never change for its seed."""
    means = {0: (116.067, 122.165, 140.066), 7: (158.565, 161.207, 150.809), 1000003: (137.545, 151.186, 165.531)}
    for seed, mean in means.items():
        np.testing.assert_allclose(render_scene(seed).image.mean((0, 1)), mean, atol=0.02)


def test_normals_are_unit_vectors_and_depth_is_0_to_1_exactly_where_somebody_is(scenes):
    for scene in scenes:
        somebody = scene.parts > 0
        assert np.array_equal(np.isfinite(scene.depth), somebody)
        assert np.array_equal(np.isfinite(scene.normals).all(-1), somebody)
        lengths = np.linalg.norm(scene.normals[somebody].astype(np.float32), axis=-1)
        np.testing.assert_allclose(lengths, 1, atol=2e-3)
        if scene.people:
            assert (scene.depth[somebody].min(), scene.depth[somebody].max()) == (0, 1)


def test_surfaces_face_the_viewer_and_their_upper_edges_up(scenes):
    for scene in scenes:
        assert np.nanmin(scene.normals[..., 2]) >= 0
    lone = render_scene(1, (480, 640), people=1)
    rows, columns = np.nonzero(lone.parts)
    top, left, right = rows.argmin(), columns.argmin(), columns.argmax()
    assert lone.normals[rows[top], columns[top], 1] > 0.5
    assert lone.normals[rows[left], columns[left], 0] < -0.3
    assert lone.normals[rows[right], columns[right], 0] > 0.3


def test_depth_slopes_as_the_normals_say():
    """Depth grows away from the viewer: its slope to the right is normal x / z, downwards - y / z, in one unit."""
    scene = render_scene(3, (1200, 1200), people=1)
    depth, normals = scene.depth.astype(np.float64), scene.normals.astype(np.float64)
    step = 4
    whole = np.lib.stride_tricks.sliding_window_view(scene.parts, (2 * step + 1, 2 * step + 1))
    alike = (whole == whole[..., :1, :1]).all((2, 3))  # one solid, or nearly
    inner = slice(step, -step)
    facing = alike & (normals[inner, inner, 2] > 0.6)
    across = (depth[inner, 2 * step :] - depth[inner, : -2 * step])[facing]
    down = (depth[2 * step :, inner] - depth[: -2 * step, inner])[facing]
    x, y, z = normals[inner, inner][facing].T
    assert facing.sum() > 5000
    unit = np.median(np.abs(across[np.abs(x) > 0.3]) / np.abs(x / z)[np.abs(x) > 0.3])
    assert np.median(np.abs(across - unit * x / z)) < 0.05 * unit
    assert np.median(np.abs(down + unit * y / z)) < 0.05 * unit


def test_who_looks_larger_is_nearer():
    scene = render_scene(11, (720, 960), 5)
    far, near = (
        np.nanmedian(scene.depth[int(y1) : int(y2), int(x1) : int(x2)])
        for x1, y1, x2, y2 in (scene.people[0].box, scene.people[-1].box)
    )
    assert far > near + 0.2


def test_coco_keypoints_are_the_first_17_of_133(scenes):
    for person in (p for scene in scenes for p in scene.people):
        assert person.whole_body.shape == (133, 3)
        assert np.array_equal(person.keypoints, person.whole_body[:17])


def test_only_the_fingers_that_a_hand_has_are_labelled(scenes):
    people = np.stack([p.whole_body for scene in scenes for p in scene.people])
    fingers = ("forefinger", "middle_finger1", "middle_finger2", "middle_finger3", "ring", "pinky")
    missing = [k for k, name in enumerate(NAMES) if any(finger in name for finger in fingers)]
    assert len(missing) == 30
    assert sorted(missing) == np.flatnonzero((people == 0).all((0, 2))).tolist()


def test_visible_toes_lie_on_feet(scenes):
    feet = {*FOOT, *SHOE}
    classes = [
        int(scene.parts[round(float(y)), round(float(x))])
        for scene in scenes
        for person in scene.people
        for x, y, v in person.whole_body[17:23]
        if v == 2
    ]
    assert len(classes) > 50
    assert set(classes) <= feet


def test_pairs_of_points_mirror_each_other_and_left_is_left():
    joints = build_body(np.random.default_rng(0), Pose()).joints
    for a, b in keypoint_set("coco_wholebody_133").swap_pairs:
        np.testing.assert_allclose(joints[a] * [-1, 1, 1], joints[b], atol=1e-9)
        if NAMES[a].startswith("left") and np.isfinite(joints[a, 0]):
            assert joints[a, 0] > 0


def shard(seed: int) -> Shard:
    """One scene as the training sees it."""
    scene = render_scene(seed, (640, 640))
    people = [np.concatenate([[0], p.box, p.whole_body.ravel()]) for p in scene.people]
    return Shard(
        scene.image[None],
        scene.parts[None],
        scene.depth[None],
        np.rint(np.nan_to_num(scene.normals) * 127).astype(np.int8)[None],
        np.array([[640, 640]]),
        np.array(people, np.float32),
    )


def test_a_mirrored_sample_mirrors_depth_and_turns_the_normals_to_the_other_side():
    samples, rng = Samples("geometry", seed=0), np.random.default_rng(0)
    answers = []
    for view in (np.eye(3), np.array([[-1.0, 0, 640], [0, 1, 0], [0, 0, 1]])):
        samples._view = lambda *_, view=view: view  # type: ignore[method-assign]
        answers.append(samples._geometry(rng, shard(11)))
    (_, depth, normals), (_, mirrored_depth, mirrored_normals) = answers
    seen = np.isfinite(depth)
    assert seen.sum() > 1000
    assert np.array_equal(seen, np.isfinite(mirrored_depth[:, ::-1]))
    np.testing.assert_array_equal(mirrored_depth[:, ::-1][seen], depth[seen])
    turned = mirrored_normals[:, :, ::-1] * np.array([-1, 1, 1]).reshape(3, 1, 1)
    np.testing.assert_allclose(turned[:, seen], normals[:, seen], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(normals[:, seen], axis=0), 1, atol=0.02)


def test_the_true_geometry_has_no_loss_at_any_scale_and_shift():
    scene = shard(11)
    depth = torch.from_numpy(scene.depth.astype(np.float32))
    normals = torch.from_numpy(scene.normals / np.float32(127)).permute(0, 3, 1, 2)
    right = torch.cat([3 * depth[:, None].nan_to_num() + 5, 0.1 * normals], 1)
    assert geometry_loss(right, depth, normals) < 0.05
    assert geometry_loss(right * torch.tensor([-1, 1, 1, 1]).view(1, 4, 1, 1), depth, normals) > 1
    assert geometry_loss(right * torch.tensor([1, -1, 1, 1]).view(1, 4, 1, 1), depth, normals) > 0.3


def test_an_image_without_people_has_no_loss_and_no_broken_gradient():
    maps = torch.ones(2, 4, 8, 8, requires_grad=True)
    loss = geometry_loss(maps, torch.full((2, 8, 8), torch.nan), torch.zeros(2, 3, 8, 8))
    loss.backward()
    assert loss == 0
    assert maps.grad is not None
    assert not maps.grad.any()
