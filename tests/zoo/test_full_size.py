"""Networks at their full size, all the way: a file in the official container, `poseserve add`, a server, a client."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import golden
import numpy as np
import pytest
import safetensors.torch
import torch
import tritonclient.grpc

from poseclient import PoseClient
from poseserve import checkpoints, zoo
from poseserve.catalogue import CATALOGUE, FOLDERS
from poseserve.cli import main
from poseserve.server import Server

SMALL = {
    "vitpose-s-coco_25": "vitpose/vitpose_s",
    "posehrnet-w32": "posehrnet/posehrnet_w32",
    "simdr-w32": "simdr/simdr_w32",
    "rtmdet-m": "rtmdet/rtmdet_m",
}
LARGE = {"sapiens-0.3b-pose-308": "sapiens/pose_0.3b", "sapiens2-0.4b-pose": "sapiens2/pose_0.4b"}
PRINT_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def official_file(name: str, layout: str, folder: Path) -> Path:
    """Filled by the golden rule, in the container that the network's authors publish."""
    state = golden.filled(golden.layouts()[layout], gain=0.6 if "w32" in name else 1.0)
    if name.startswith("sapiens2"):
        periods = zoo.build(CATALOGUE[name]).state_dict()["backbone.rope_embed.periods"]
        path = folder / f"{name}.safetensors"
        safetensors.torch.save_file({**state, "backbone.rope_embed.periods": periods.float()}, path)
        return path
    path = folder / f"{name}.pth"
    torch.save({"meta": {"epoch": 1}, "state_dict": state} if name.startswith(("sapiens", "rtm")) else state, path)
    return path


def eager(name: str, file: Path, inputs: tuple[torch.Tensor, ...]) -> np.ndarray:
    """What the network itself answers, in its contract."""
    with torch.device("meta"):
        bare = zoo.build(CATALOGUE[name])
    checkpoints.load_strict(bare, checkpoints.read(file), name)
    with torch.inference_mode():
        return zoo.contract(CATALOGUE[name], bare)(*inputs).numpy()


def served(server: Server, name: str, inputs: tuple[torch.Tensor, ...]) -> np.ndarray:
    """What the network answers to a direct request."""
    tensors = []
    for i, value in enumerate(inputs):
        tensor = tritonclient.grpc.InferInput(f"INPUT__{i}", list(value.shape), "UINT8" if i == 0 else "FP32")
        tensor.set_data_from_numpy(value.numpy())
        tensors.append(tensor)
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        return client.infer(name, tensors).as_numpy("OUTPUT__0")


def go_the_whole_way(networks: dict[str, str], root: Path, folder: Path, image: bytes) -> None:
    files = {name: official_file(name, layout, folder) for name, layout in networks.items()}
    for name, file in files.items():
        assert main(["add", name, "--checkpoint", str(file), "--root", str(root)]) == 0
    with (
        Server([root / f for f in FOLDERS], http_port=0, grpc_port=0, metrics_port=0) as server,
        PoseClient(f"grpc://{server.grpc_url}", timeout=600) as client,
    ):
        for name, file in files.items():
            inputs = zoo.example(CATALOGUE[name])
            found, expected = served(server, name, inputs), eager(name, file, inputs)
            if CATALOGUE[name].task == "pose":
                # Other numbers of threads add in another order: a near tie between two peaks may go either way.
                assert (np.abs(found - expected) < 1e-2).mean() > 0.95, name
                people = client.pose_in_boxes(image, [[100, 100, 200, 300]], model=f"pose_in_boxes.{name}")
                assert people.keypoints.shape == (1, CATALOGUE[name].outputs, 3)
                assert np.isfinite(people.keypoints).all()
            else:  # weights that mean nothing give near-equal scores: which box comes first is chance
                np.testing.assert_allclose(found[..., 4], expected[..., 4], atol=1e-3, err_msg=name)
                people = client.detect(image, model=f"detect.{name}", score_threshold=0.05)
                assert np.isfinite(people.boxes).all()


def test_networks_of_tens_of_millions_of_parameters(root, tmp_path, scene):
    go_the_whole_way(SMALL, root, tmp_path, scene.jpeg)


def test_onnx_serves_what_torchscript_serves(root, vitpose_file):
    name, own = "vitpose-s-coco_25", ["--family", "vitpose", "--size", "s", "--keypoints", "coco_25"]
    assert main(["add", name, "--checkpoint", str(vitpose_file), "--root", str(root)]) == 0
    more = ["--checkpoint", str(vitpose_file), "--format", "onnx", "--root", str(root)]
    assert main(["add", "vitpose-onnx", *own, *more]) == 0
    inputs = zoo.example(CATALOGUE[name])
    with Server([root / f for f in FOLDERS], http_port=0, grpc_port=0, metrics_port=0) as server:
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
