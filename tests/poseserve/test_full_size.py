"""Networks at their full size, all the way: a file in the official container, `poseserve add`, a server, a client."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import tritonclient.grpc

from poseclient import PoseClient
from poseserve.catalogue import CATALOGUE
from poseserve.cli import main
from poseserve.networks import build
from poseserve.repository.folders import FOLDERS
from poseserve.serving.server import Server, scratch_server
from poseserve.weights import checkpoints
from tests import golden

SMALL = {
    "vitpose-s-coco_25": "vitpose/vitpose_s",
    "posehrnet-w32": "posehrnet/posehrnet_w32",
    "simdr-w32": "simdr/simdr_w32",
    "rtmdet-m": "rtmdet/rtmdet_m",
}
GOLDEN = {  # whose whole answers to the golden images were decoded
    "vitpose-s-coco_25": "vitpose/vitpose_s_coco25",
    "posehrnet-w32": "posehrnet/posehrnet_w32",
    "simdr-w32": "simdr/simdr_w32",
}
LARGE = {"sapiens-0.3b-pose-308": "sapiens/pose_0.3b", "sapiens2-0.4b-pose": "sapiens2/pose_0.4b"}
PRINT_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def official_file(name: str, layout: str, folder: Path) -> Path:
    """Filled by the golden rule, in the container that `poseserve fetch` gets of its authors."""
    network = CATALOGUE[name]
    state = golden.filled(golden.layouts()[layout], gain=0.6 if "w32" in name else 1.0)
    path = folder / Path(network.checkpoint.file).name
    if network.family == "sapiens2":
        periods = build.bare(network).state_dict()["backbone.rope_embed.periods"]
        safetensors.torch.save_file({**state, "backbone.rope_embed.periods": periods.float()}, path)
    elif network.family == "sapiens":
        bare = build.bare(network)
        bare.load_state_dict(state)
        with torch.inference_mode():
            torch.jit.trace(bare, torch.zeros(1, 3, *network.input_size), check_trace=False).save(path)
    else:
        torch.save({"meta": {"epoch": 1}, "state_dict": state} if network.family == "rtmdet" else state, path)
    return path


def eager(name: str, file: Path, inputs: tuple[torch.Tensor, ...]) -> np.ndarray:
    """What the network itself answers, in its contract."""
    with torch.device("meta"):
        bare = build.bare(CATALOGUE[name])
    checkpoints.load_strict(bare, checkpoints.read(file), name)
    with torch.inference_mode():
        return build.contract(CATALOGUE[name], bare)(*inputs).numpy()


def served(server: Server, name: str, inputs: tuple[torch.Tensor, ...]) -> np.ndarray:
    """What the network answers to a direct request."""
    tensors = []
    for i, value in enumerate(inputs):
        tensor = tritonclient.grpc.InferInput(f"INPUT__{i}", list(value.shape), "UINT8" if i == 0 else "FP32")
        tensor.set_data_from_numpy(value.numpy())
        tensors.append(tensor)
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        return client.infer(name, tensors).as_numpy("OUTPUT__0")


def keypoints_equal_the_golden_ones(server: Server, name: str) -> None:
    """The golden images, each of them one region: nothing of ours stands between the authors' numbers and these."""
    variant = GOLDEN[name]
    batch, _, height, width = golden.META[variant]["input"]["shape"]
    images = torch.from_numpy(golden.image(batch, height, width))
    regions = torch.tensor([[width / 2, height / 2, width, height]]).repeat(batch, 1)
    found = served(server, name, (images, regions))
    np.testing.assert_allclose(found, golden.keypoints(variant), atol=1e-3, err_msg=name)


def boxes_equal(found: np.ndarray, expected: np.ndarray) -> None:
    """Rows [100, 5] of weights that mean nothing: scores are near-equal, and which box comes first is chance."""
    np.testing.assert_allclose(found[:, 4], expected[:, 4], atol=1e-5)
    assert (expected[:, 4] > 0).all()
    low = np.maximum(found[:, None, :2], expected[:, :2])
    high = np.minimum(found[:, None, 2:4], expected[:, 2:4])
    both = (high - low).clip(0).prod(2)
    areas = [(rows[:, 2:4] - rows[:, :2]).prod(1) for rows in (found, expected)]
    iou = both / (areas[0][:, None] + areas[1] - both)
    same = (iou > 0.99) & (np.abs(found[:, None, 4] - expected[:, 4]) < 1e-5)
    assert same.any(0).mean() > 0.9  # the last of a hundred are chosen by chance too


def go_the_whole_way(networks: dict[str, str], root: Path, folder: Path, image: bytes) -> None:
    files = {name: official_file(name, layout, folder) for name, layout in networks.items()}
    for name, file in files.items():
        assert main(["add", name, "--checkpoint", str(file), "--root", str(root)]) == 0
    with (
        scratch_server([root / f for f in FOLDERS]) as server,
        PoseClient(f"grpc://{server.grpc_url}", timeout=600) as client,
    ):
        for name, file in files.items():
            inputs = build.example(CATALOGUE[name])
            found, expected = served(server, name, inputs), eager(name, file, inputs)
            if CATALOGUE[name].task == "pose":
                # Other numbers of threads add in another order: a near tie between two peaks may go either way.
                assert (np.abs(found - expected) < 1e-2).mean() > 0.95, name
                people = client.pose_in_boxes(image, [[100, 100, 200, 300]], model=f"pose_in_boxes.{name}")
                assert people.keypoints.shape == (1, CATALOGUE[name].outputs, 3)
                assert np.isfinite(people.keypoints).all()
            else:
                boxes_equal(found[0], expected[0])
                people = client.detect(image, model=f"detect.{name}", score_threshold=0.05)
                assert len(people) > 0
                assert (people.boxes[:, 2:] > people.boxes[:, :2]).all()
            if name in GOLDEN:
                keypoints_equal_the_golden_ones(server, name)


@pytest.mark.slow
def test_networks_of_tens_of_millions_of_parameters(root, tmp_path, scene):
    go_the_whole_way(SMALL, root, tmp_path, scene.jpeg)


@pytest.mark.slow
def test_onnx_serves_what_torchscript_serves(root, vitpose_file):
    name, own = "vitpose-s-coco_25", ["--family", "vitpose", "--size", "s", "--keypoints", "coco_25"]
    assert main(["add", name, "--checkpoint", str(vitpose_file), "--root", str(root)]) == 0
    more = ["--checkpoint", str(vitpose_file), "--format", "onnx", "--root", str(root)]
    assert main(["add", "vitpose-onnx", *own, *more]) == 0
    inputs = build.example(CATALOGUE[name])
    with scratch_server([root / f for f in FOLDERS]) as server:
        difference = np.abs(served(server, "vitpose-onnx", inputs) - served(server, name, inputs))
    assert (difference < 1e-2).mean() > 0.9  # two runtimes: a near tie between two peaks may go either way


@pytest.mark.slow
def test_add_takes_less_than_three_times_the_weights_in_memory(root, tmp_path):
    name = "sapiens-0.3b-pose-308"
    file = official_file(name, LARGE[name], tmp_path)
    command = [sys.executable, "-m", "poseserve", "add", name, "--checkpoint", str(file), "--root", str(root)]
    started = time.perf_counter()
    # Through a small process: what a process starts inherits its peak, and that of the tests may be larger.
    printed = subprocess.run([sys.executable, "-c", PRINT_PEAK, *command], check=True, stdout=subprocess.PIPE).stdout
    peak, weights = int(printed.split()[-1]) * 1024, file.stat().st_size
    print(f"{time.perf_counter() - started:.0f} s, peak {peak / 1e9:.2f} GB: {peak / weights:.2f} times the weights")
    assert peak < 3 * weights


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_networks_of_hundreds_of_millions_of_parameters(name, root, tmp_path, scene):
    go_the_whole_way({name: LARGE[name]}, root, tmp_path, scene.jpeg)
