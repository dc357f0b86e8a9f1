"""Export trained demo networks into the model repository and install them: `python -m demo.export [pose] ...`."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from demo.networks import CentrePeaks, Geometry
from demo.scene import render_scene
from demo.train import CHECKPOINTS, NETWORKS
from poseclient import class_set, keypoint_set
from poseserve.catalogue import CATALOGUE
from poseserve.export.torchscript import export
from poseserve.families.flip import FlipTest
from poseserve.families.outputs import Depth, Normals, RankedClasses, UdpHeatmaps
from poseserve.networks.batch_sizes import map_rows
from poseserve.networks.contracts import DetectorContract, ImageContract, PoseContract
from poseserve.networks.folding import fold_batch_norms
from poseserve.repository.config import write_configs
from poseserve.repository.folders import MODEL_REPOSITORY
from poseserve.repository.installed import Installed, read_repository

TASKS = ("detector", "pose", "parts", "pose_133", "depth", "normals")


def trained(task: str) -> nn.Module:
    """The network of `task`; depth and normals are parts of one checkpoint."""
    source = "geometry" if task in Geometry.CHANNELS else task
    weights = torch.load(CHECKPOINTS / f"{source}.pt", weights_only=True)["network"]
    network = Geometry([task]) if task in Geometry.CHANNELS else NETWORKS[task]()
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return network.eval()


class _Float(nn.Module):
    def forward(self, stored: Tensor) -> Tensor:
        return stored.float()


def store_in_half(network: nn.Module) -> None:
    """Make the weights of convolutions f16 in the file, in place; they are used as f32, for CPUs are slow in f16."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d):
            layer.weight = nn.Parameter(layer.weight.half())
            parametrize.register_parametrization(layer, "weight", _Float(), unsafe=True)


def export_task(task: str) -> None:
    """Write the trained network of `task` to the model repository, as TorchScript that meets its contract."""
    entry = CATALOGUE[f"demo_{task}"]
    path = MODEL_REPOSITORY / entry.name / "1" / "model.pt"
    network = trained(task)
    fold_batch_norms(network)
    store_in_half(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    contract: nn.Module
    cpu_chunk, chunk = map_rows(*entry.input_size)
    if entry.task == "detector":
        contract = DetectorContract(network, torch.jit.script(CentrePeaks()))
    elif entry.task == "pose":
        mirrored = keypoint_set(str(entry.labels)).mirrored
        contract = PoseContract(FlipTest(network, mirrored), UdpHeatmaps(), entry.outputs)
    elif entry.task == "parts":
        mirrored = class_set(str(entry.labels)).mirrored
        contract = ImageContract(FlipTest(network, mirrored), RankedClasses(), chunk=chunk, cpu_chunk=cpu_chunk)
    else:
        answer = Depth() if entry.task == "depth" else Normals()
        contract = ImageContract(network, answer, chunk=chunk, cpu_chunk=cpu_chunk)
    height, width = entry.input_size
    images = torch.from_numpy(np.stack([render_scene(seed, (height, width), people=1).image for seed in (1, 2, 3)]))
    regions = torch.tensor([[width / 2, height / 2, width, height]] * 3)
    export(contract, (images, regions) if entry.task == "pose" else (images,), path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Export and install the networks of the given tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=TASKS, metavar="task", help="default: all")
    repository = read_repository()
    for task in parser.parse_args().tasks:
        export_task(task)
        repository = repository.with_network(Installed(CATALOGUE[f"demo_{task}"]))
    write_configs(repository)  # a folder without its configuration would keep Triton from starting


if __name__ == "__main__":
    main()
