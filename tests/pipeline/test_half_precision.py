"""In half precision the demo networks answer nearly as in float32, from files half as large."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from demo.evaluate import Scores, evaluation_scene, ground_truth, keypoint_ap, offline_answers, score
from demo.networks import CentrePeaks, Detector, Parts, Pose
from demo.scene import Scene
from poseclient import People, PoseClient
from poseserve.catalogue import CATALOGUE
from poseserve.deployment import Deployment
from poseserve.export.onnx import export_onnx
from poseserve.export.torchscript import export
from poseserve.in_process import InProcess
from poseserve.networks import build
from poseserve.networks.contracts import DetectorContract, Normalise
from poseserve.networks.folding import fold_batch_norms
from poseserve.repository.config import write_configs
from poseserve.repository.folders import FOLDERS, MODEL_REPOSITORY, ROOT
from poseserve.repository.installed import Installed, read_repository
from poseserve.serving.server import scratch_server

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
        dtype = build.DTYPES[precision]
        return DetectorContract(network.to(dtype), torch.jit.script(CentrePeaks()), Normalise(dtype=dtype))
    kin = replace(CATALOGUE[f"demo_{task}"], family="sapiens")  # whose raw outputs are of the same kind
    return build.contract(kin, network, precision, flip_test=True)


def exported(task: str, precision: str, folder: Path) -> Path:
    path = model_file(folder, task)
    export(contract(task, precision), build.example(CATALOGUE[f"demo_{task}"]), path)
    return path


def pipeline(precision: str, tasks: list[str], folder: Path) -> InProcess:
    """The steps in this process, with the networks of these tasks at that precision."""
    networks = folder / MODEL_REPOSITORY.name
    shutil.copytree(MODEL_REPOSITORY, networks)
    for task in tasks:
        exported(task, precision, networks)
    return InProcess(replace(read_repository(), root=folder))


@pytest.fixture(scope="module")
def on_openvino(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoseClient]:
    """A client of a server whose `pose` is the demo network as `--format openvino --precision bf16` serves it."""
    root = tmp_path_factory.mktemp("openvino")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name)
    network = CATALOGUE["demo_pose"]
    repository = read_repository(root).with_network(Installed(network, Deployment("bf16", "openvino")))
    export_onnx(contract("pose", "fp32"), build.example(network), repository.model_file(network.name))
    write_configs(repository)
    with (
        scratch_server(repository.folders) as server,
        PoseClient(f"grpc://{server.grpc_url}") as client,
    ):
        yield client


def median_move(before: Iterable[People], after: Iterable[People]) -> float:
    """Of the keypoints of the same people, in pixels."""
    pairs = zip(before, after, strict=True)
    return float(np.median(np.concatenate([np.hypot(*(b.keypoints - a.keypoints).T[:2]).ravel() for a, b in pairs])))


@pytest.mark.slow
@pytest.mark.parametrize("task", NETWORKS)
def test_files_are_half_as_large(task, tmp_path):
    sizes = {precision: exported(task, precision, tmp_path / precision).stat().st_size for precision in build.DTYPES}
    assert max(sizes["bf16"], sizes["fp16"]) < 0.55 * sizes["fp32"]


@pytest.fixture(scope="module")
def some() -> list[bytes]:
    return [evaluation_scene(i)[0] for i in range(SOME)]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_keypoints_move_by_less_than_a_tenth_of_a_pixel(precision, some, tmp_path):
    whole, half = InProcess(), pipeline(precision, ["pose"], tmp_path)
    assert 0 < median_move(map(whole.pose, some), map(half.pose, some)) < 0.1


def test_keypoints_move_by_less_than_a_tenth_of_a_pixel_on_openvino(on_openvino, some):
    assert 0 < median_move(map(InProcess().pose, some), map(on_openvino.pose, some)) < 0.1


def scores_of(steps: InProcess, scenes: Sequence[tuple[bytes, Scene]]) -> Scores:
    jpegs, true_scenes = zip(*scenes, strict=True)
    return score(true_scenes, *offline_answers(jpegs, steps))


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


@pytest.mark.slow
def test_keypoints_on_openvino_score_within_two_thousandths(whole, scenes, on_openvino):
    jpegs, true_scenes = zip(*scenes, strict=True)
    people = [on_openvino.pose(jpeg, score_threshold=0.05) for jpeg in jpegs]
    half = keypoint_ap(ground_truth(true_scenes), people, "coco_17")["keypoints"]
    print(whole.keypoint_ap, half)
    assert abs(half - whole.keypoint_ap) < 0.002
