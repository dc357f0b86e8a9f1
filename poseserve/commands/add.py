"""`poseserve add`."""

from __future__ import annotations

import argparse
import ctypes
import re
from dataclasses import fields

from poseserve.commands.options import (
    add_licence,
    add_root,
    add_server,
    add_weights,
    change_root,
    demo_note,
    given_network,
    reload_server,
    weights_of,
)
from poseserve.deployment import ACCELERATORS, FORMATS, PRECISIONS, Deployment
from poseserve.repository.ensembles import ensembles
from poseserve.repository.installed import Installed
from poseserve.tasks import DETECTIONS

M_MMAP_THRESHOLD = -3  # of mallopt(3): blocks from that size on go back to the system at once, none into a pool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the catalogue, or a name of your own with --family")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="(default: %(default)s)")
    parser.add_argument("--format", choices=FORMATS, default="torchscript", help="(default: %(default)s)")
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="", help="of ONNX Runtime")
    parser.add_argument("--gpus", type=_numbers, default=(), metavar="0,1", help="default: all there are")
    parser.add_argument("--instances", type=int, default=1, help="on each GPU, or on the CPU (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="of each instance on a CPU (default: all cores)")
    parser.add_argument("--delay-us", type=int, default=0, help="to wait for others to share a batch (default: 0)")
    parser.add_argument("--max-people", type=int, default=DETECTIONS, help="in one image (default: %(default)s)")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirror image, at twice the cost")
    parser.add_argument(
        "--detector", default="", metavar="NAME", help="that finds what it looks at (default: the default)"
    )
    add_weights(parser)
    add_licence(parser)
    add_server(parser)
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    from poseserve.repository import install  # torch takes its time, and other commands need none

    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)
    repository = change_root(args)
    network, keypoint_table = given_network(args)
    deployment = Deployment(**{field.name: getattr(args, field.name) for field in fields(Deployment)})
    checkpoint = weights_of(network, repository, args)
    repository = install.add(repository, Installed(network, deployment, keypoint_table), checkpoint, args.config)
    callers = [e.name for e in ensembles(repository) if network.name in (step.model for step in e.steps)]
    print(f"installed {network.name} in {repository.root}, called as {', '.join(callers)}")
    if note := demo_note(repository):
        print(note)
    return reload_server(args.server, repository)


def _numbers(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 0,1")
    return tuple(int(number) for number in text.split(","))
