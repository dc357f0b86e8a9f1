"""In half precision the demo networks answer nearly as in float32, from files half as large."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from demo.evaluate import Scores, evaluation_scene, offline_answers, score
from demo.networks import CentrePeaks, Detector, Parts, Pose
from demo.scene import Scene
from poseserve import zoo
from poseserve.catalogue import CATALOGUE, MODEL_REPOSITORY
from poseserve.contracts import DetectorContract, Normalise
from poseserve.export import export, fold_batch_norms
from poseserve.in_process import InProcess
from poseserve.repository import read_repository

NETWORKS: dict[str, type[nn.Module]] = {"detector": Detector, "pose": Pose, "parts": Parts}
SOME = 5  # scenes


def model_file(folder: Path, task: str) -> Path:
    return folder / f"demo_{task}" / "1" / "model.pt"


def contract(task: str, precision: str) -> nn.Module:
    """The network that is installed, at that precision."""
    network = NETWORKS[task]().eval()
    fold_batch_norms(network)
    state = torch.jit.load(str(model_file(MODEL_REPOSITORY, task))).network.state_dict()
    state.pop("mirrored", None)  # of the flip test; weights may be stored in half
    names = (name.removeprefix("network.").replace(".parametrizations.weight.original", ".weight") for name in state)
    network.load_state_dict({name: value.float() for name, value in zip(names, state.values(), strict=True)})
    if task == "detector":
        dtype = zoo.DTYPES[precision]
        return DetectorContract(network.to(dtype), torch.jit.script(CentrePeaks()), Normalise(dtype=dtype))
    return zoo.contract(CATALOGUE[f"demo_{task}"], network, precision, flip_test=True)


def exported(task: str, precision: str, folder: Path) -> Path:
    path = model_file(folder, task)
    export(contract(task, precision), zoo.example(CATALOGUE[f"demo_{task}"]), path)
    return path


def pipeline(precision: str, tasks: list[str], folder: Path) -> InProcess:
    """The steps in this process, with the networks of these tasks at that precision."""
    networks = folder / MODEL_REPOSITORY.name
    shutil.copytree(MODEL_REPOSITORY, networks)
    for task in tasks:
        exported(task, precision, networks)
    return InProcess(replace(read_repository(), root=folder))


@pytest.mark.slow
@pytest.mark.parametrize("task", NETWORKS)
def test_files_are_half_as_large(task, tmp_path):
    sizes = {precision: exported(task, precision, tmp_path / precision).stat().st_size for precision in zoo.DTYPES}
    assert max(sizes["bf16"], sizes["fp16"]) < 0.55 * sizes["fp32"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_keypoints_move_by_less_than_a_tenth_of_a_pixel(precision, tmp_path):
    whole, half = InProcess(), pipeline(precision, ["pose"], tmp_path)
    moved = []
    for image, _ in map(evaluation_scene, range(SOME)):
        before, after = (p.pose(image).keypoints[..., :2] for p in (whole, half))
        moved.append(np.hypot(*(after - before).T).ravel())
    assert 0 < np.median(np.concatenate(moved)) < 0.1


def scores_of(steps: InProcess, scenes: Sequence[tuple[bytes, Scene]]) -> Scores:
    jpegs, truth = zip(*scenes, strict=True)
    return score(truth, *offline_answers(jpegs, steps))


@pytest.fixture(scope="module")
def whole(scenes):
    """Scores in float32."""
    return scores_of(InProcess(), scenes)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_scores_stay_within_two_thousandths(precision, whole, scenes, tmp_path):
    half = scores_of(pipeline(precision, list(NETWORKS), tmp_path), scenes)
    print(whole, half)
    assert abs(half.keypoint_ap - whole.keypoint_ap) < 0.002
    assert abs(half.detection_ap50 - whole.detection_ap50) < 0.002
    assert abs(half.parts_miou - whole.parts_miou) < 0.002
