"""The scores of maps: perfect answers are perfect, and each error costs what it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demo.evaluate import angles, depth_errors, ground_truth, keypoint_ap, score_maps
from demo.scene import Scene, render_scene
from poseclient import People


@pytest.fixture(scope="module")
def scene() -> Scene:
    return render_scene(11, (480, 640), 4)


def answered(scene: Scene, points: int) -> People:
    """The ground truth as an answer."""
    boxes = np.array([p.box for p in scene.people])
    keypoints = np.array([p.whole_body[:points] for p in scene.people])
    keypoints[..., 2] = 1
    ones = np.ones(len(boxes), np.float32)
    return People(boxes, ones, keypoints, pose_scores=ones)


def test_depth_is_right_at_any_scale_and_shift(scene):
    rmse, order = depth_errors(scene.depth, 40 * np.nan_to_num(scene.depth.astype(np.float32)) - 7)
    assert rmse < 1e-3
    assert order > 0.999


def test_depth_that_calls_near_far_orders_no_pair_right(scene):
    assert depth_errors(scene.depth, -np.nan_to_num(scene.depth))[1] < 0.001


def test_depth_of_noise_is_as_good_as_none(scene):
    noise = np.random.default_rng(0).normal(size=scene.depth.shape)
    rmse, order = depth_errors(scene.depth, noise)
    assert rmse == pytest.approx(np.nanstd(scene.depth.astype(np.float64)), rel=0.02)
    assert order == pytest.approx(0.5, abs=0.05)


def test_angles_are_those_by_which_normals_were_turned(scene):
    turned = np.nan_to_num(scene.normals.astype(np.float32))
    x, z = turned[..., 0].copy(), turned[..., 2].copy()
    cos, sin = np.cos(np.radians(20)), np.sin(np.radians(20))
    turned[..., 0], turned[..., 2] = cos * x + sin * z, cos * z - sin * x
    found = angles(scene.normals, turned)
    y = np.abs(scene.normals[np.isfinite(scene.normals[..., 0])][:, 1])
    assert found.max() < 20.5
    np.testing.assert_allclose(found[y < 0.1], 20, atol=0.5)


def test_scores_of_maps_count_people_only(scene):
    nobody = render_scene(1, (480, 640), people=0)
    scenes = [scene, nobody]
    depths = [np.nan_to_num(s.depth) for s in scenes]
    normals = [np.nan_to_num(s.normals) for s in scenes]
    scores = score_maps(scenes, depths, normals)
    assert scores.depth_rmse < 1e-3
    assert scores.normals_mean < 2
    assert scores.normals_within_11 == scores.normals_within_30 == 1


@pytest.mark.parametrize(("labels", "points"), [("coco_17", 17), ("coco_wholebody_133", 133)])
def test_the_ground_truth_itself_has_a_keypoint_ap_of_one(scene, labels, points):
    found = keypoint_ap(ground_truth([scene]), [answered(scene, points)], labels)
    assert min(found.values()) == pytest.approx(1)


def test_misplaced_toes_cost_feet_alone(scene):
    people = answered(scene, 133)
    moved = people.keypoints.copy()
    moved[:, 17:23, 0] += 100
    found = keypoint_ap(ground_truth([scene]), [replace(people, keypoints=moved)], "coco_wholebody_133")
    assert found["foot"] < 0.01
    assert found["body"] == found["face"] == pytest.approx(1)
