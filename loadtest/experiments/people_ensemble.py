"""`python -m loadtest.experiments.people_ensemble`: what one request for people costs, against one for
poses and one for parts.

Both are measured in turns in one run, with the networks of the tree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np

from demo.evaluate import evaluation_scene
from loadtest.experiments.turns import times_in_turns
from poseclient import PoseClient
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.server import Server

SCENE = 45  # four people


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.people_ensemble", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args(argv)
    encoded, _ = evaluation_scene(SCENE)
    with (
        Server(REPOSITORIES, http_port=0, grpc_port=0, metrics_port=0) as server,
        PoseClient(f"grpc://{server.grpc_url}") as client,
    ):
        people, pose, mask = client.people(encoded), client.pose(encoded), client.parts(encoded)
        assert people.keypoints is not None
        assert people.mask is not None
        assert pose.keypoints is not None
        if not (np.array_equal(people.keypoints, pose.keypoints) and np.array_equal(people.mask, mask)):
            raise RuntimeError("the outputs of `people` differ from those of `pose` and `parts`")
        variants: dict[str, Callable[[], object]] = {
            "people": lambda: client.people(encoded),
            "pose, parts": lambda: (client.pose(encoded), client.parts(encoded)),
        }
        times = times_in_turns(variants, warm_up=5, rounds=arguments.rounds, requests=5)
    print(f"{len(people)} people, gRPC, concurrency 1, equal outputs")
    medians = {variant: float(np.median(values)) for variant, values in times.items()}
    for variant, milliseconds in medians.items():
        print(f"{variant:12} p50 {milliseconds:6.1f} ms")
    print(f"{'ratio':12}     {medians['people'] / medians['pose, parts']:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
