"""`python -m loadtest.experiments.overhead`: what the server adds to the same steps in one process.

The networks return constants at no cost, so the difference is what serving costs: gRPC, the hops between the steps, and
their copies of the image. Both are measured in turns in one run.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import tritonclient.grpc
from google.protobuf import text_format
from torch import Tensor, nn
from tritonclient.grpc import model_config_pb2 as pb

from loadtest.experiments import machine
from loadtest.experiments.turns import times_in_turns
from loadtest.results import percentiles
from poseclient import People, PoseClient
from poseserve.in_process import InProcess
from poseserve.repository.folders import ENSEMBLE, MODEL_REPOSITORY, PREPROCESS
from poseserve.repository.installed import read_repository
from poseserve.serving.server import Server

PEOPLE = 5
DTYPES = {pb.TYPE_UINT8: torch.uint8, pb.TYPE_FP16: torch.float16, pb.TYPE_FP32: torch.float32}
WARM_UP, REQUESTS_PER_ROUND = 40, 25


class Constant(nn.Module):
    """The same output for every image."""

    row: Tensor

    def __init__(self, row: Tensor) -> None:
        super().__init__()
        self.register_buffer("row", row[None])

    def forward(self, images: Tensor) -> Tensor:
        """[B, ...] of any images [B, H, W, 3]."""
        return self.row.repeat_interleave(images.shape[0], 0)


class ConstantPose(nn.Module):
    """The same keypoints for every crop."""

    row: Tensor

    def __init__(self, row: Tensor) -> None:
        super().__init__()
        self.register_buffer("row", row[None])

    def forward(self, crops: Tensor, regions: Tensor) -> Tensor:
        """[B, K, 3] of any crops [B, H, W, 3] and regions [B, 4]."""
        return self.row.repeat_interleave(crops.shape[0], 0)


def write_constant_networks(folder: Path) -> None:
    """A model repository of the tree's networks: their own configs, constants of those shapes as outputs."""
    for name, installed in read_repository().networks.items():
        task = installed.network.task
        text = (MODEL_REPOSITORY / name / "config.pbtxt").read_text(encoding="utf-8")
        output = text_format.Parse(text, pb.ModelConfig()).output[0]
        row = torch.zeros(*output.dims, dtype=DTYPES[output.data_type])
        if task == "detector":
            for person in range(PEOPLE):
                row[person] = torch.tensor([20 + 120 * person, 40, 100 + 120 * person, 320, 0.9 - 0.1 * person])
        network = torch.jit.script((ConstantPose if task == "pose" else Constant)(row).eval())
        shutil.copytree(MODEL_REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("model.pt"))
        (folder / name / "1").mkdir(exist_ok=True)
        network.save(str(folder / name / "1" / "model.pt"))


def picture() -> bytes:
    """A JPEG of 1920 x 1080 pixels, as large as a photo of that size."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    pixels = cv2.resize(noise, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def check_people(served: People, local: People) -> None:
    """Raises RuntimeError unless both found the same PEOPLE: otherwise the comparison means nothing."""
    if len(served) != PEOPLE or not np.array_equal(served.boxes, local.boxes):
        raise RuntimeError(f"the server found people at {served.boxes.tolist()}, one process at {local.boxes.tolist()}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    rounds = parser.parse_args(argv).rounds
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    encoded = picture()
    with tempfile.TemporaryDirectory(prefix="poseserve-overhead-") as name:
        networks = Path(name) / MODEL_REPOSITORY.name
        write_constant_networks(networks)
        local = InProcess(replace(read_repository(), root=Path(name)))
        with (
            Server([networks, PREPROCESS, ENSEMBLE], http_port=0, grpc_port=0, metrics_port=0) as server,
            PoseClient(f"grpc://{server.grpc_url}") as client,
            tritonclient.grpc.InferenceServerClient(server.grpc_url) as api,
        ):
            # Constant poses are all alike: else one person would be left.
            served, alone = partial(client.pose, encoded, oks_nms=1), partial(local.pose, encoded, oks_nms=1)
            check_people(served(), alone())
            variants: dict[str, Callable[[], object]] = {
                "server": served,
                "one process": alone,
            }
            times = times_in_turns(variants, WARM_UP, rounds, REQUESTS_PER_ROUND)
            triton = api.get_server_metadata().version
    print(f"pose, a JPEG of 1920 x 1080 ({len(encoded) // 1000} kB), {PEOPLE} people, gRPC, concurrency 1")
    print(f"{rounds * REQUESTS_PER_ROUND} requests each way, in turns of {REQUESTS_PER_ROUND}")
    found = {variant: np.array(percentiles(values)) for variant, values in times.items()}
    found["difference"] = found["server"] - found["one process"]
    for variant, (median, p95, _) in found.items():
        print(f"{variant:12} p50 {median:6.1f} ms   p95 {p95:6.1f} ms")
    print(machine.described(triton))
    return 0


if __name__ == "__main__":
    sys.exit(main())
