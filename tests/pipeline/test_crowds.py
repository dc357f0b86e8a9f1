"""Rendered crowds: suppression by OKS drops boxes of people who are in the answer already, and nobody else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from demo.evaluate import SIZES
from demo.scene import Scene, render_scene
from poseclient import People
from poseserve.in_process import InProcess, step_module

SEEDS = range(500, 512)  # of scenes that neither training nor the other figures use
PEOPLE = 12

suppression = step_module("crop_people", "suppression")


def seen(people: People, scene: Scene) -> set[int]:
    """The true people whose box overlaps one of the answer by half or more."""
    true = np.stack([person.box for person in scene.people])
    overlaps = suppression.iou(np.concatenate([true, people.boxes.astype(float)]))[: len(true), len(true) :]
    return set(np.flatnonzero(overlaps.max(1, initial=0) >= 0.5).tolist())


@pytest.mark.slow
def test_nobody_is_lost_in_a_crowd():
    steps, there, found, rows, kept = InProcess(), 0, 0, 0, 0
    for seed in SEEDS:
        scene = render_scene(seed, SIZES[seed % len(SIZES)], PEOPLE)
        image = cv2.imencode(".jpg", scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        usual, usual_all = steps.pose(image), steps.pose(image, oks_nms=1.0)
        assert usual.boxes.tolist() == usual_all.boxes.tolist()
        # Below the usual threshold there are many boxes of the same person.
        people, everyone = (steps.pose(image, score_threshold=0.05, **o) for o in ({}, {"oks_nms": 1.0}))
        assert seen(people, scene) == seen(everyone, scene)
        there, found = there + len(scene.people), found + len(seen(people, scene))
        rows, kept = rows + len(everyone), kept + len(people)
    print(f"{there} people, {found} found; {rows} boxes, of which {rows - kept} were of somebody else's pose")
    assert found > 0.9 * there
    assert kept < rows
