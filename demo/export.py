"""Export the trained demo networks into the model repository: `python -m demo.export [detector] [pose] [parts]`."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import nn

from demo.networks import CentrePeaks
from demo.scene import render_scene
from demo.train import CHECKPOINTS, NETWORKS
from poseclient import class_set, keypoint_set
from poseserve.catalogue import CATALOGUE, MODEL_REPOSITORY
from poseserve.contracts import ClassIds, DetectorContract, FlipTest, ImageContract, PoseContract, UdpHeatmaps
from poseserve.export import export, fold_batch_norms


def export_task(task: str) -> None:
    entry = CATALOGUE[f"demo_{task}"]
    path = MODEL_REPOSITORY / entry.name / "1" / "model.pt"
    network = NETWORKS[task]()
    network.load_state_dict(torch.load(CHECKPOINTS / f"{task}.pt", weights_only=True)["network"])
    network.eval()
    fold_batch_norms(network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    contract: nn.Module
    if task == "detector":
        contract = DetectorContract(network, torch.jit.script(CentrePeaks()))
    elif task == "pose":
        contract = PoseContract(FlipTest(network, keypoint_set("coco_17").mirrored), UdpHeatmaps(), entry.outputs)
    else:
        contract = ImageContract(FlipTest(network, class_set("sapiens_28").mirrored), ClassIds(), chunk=16)
    height, width = entry.input_size
    images = torch.from_numpy(np.stack([render_scene(seed, (height, width), people=1).image for seed in (1, 2, 3)]))
    regions = torch.tensor([[width / 2, height / 2, width, height]] * 3)
    export(contract, (images, regions) if task == "pose" else (images,), path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(NETWORKS), metavar="task", help="default: all three")
    for task in parser.parse_args().tasks:
        export_task(task)


if __name__ == "__main__":
    main()
