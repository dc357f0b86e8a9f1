"""`poseserve add`."""

from __future__ import annotations

import argparse
import ctypes
from dataclasses import fields, replace
from pathlib import Path

from poseserve.commands.options import (
    add_licence,
    add_root,
    add_server,
    add_weights,
    change_root,
    demo_note,
    given_network,
    numbers,
    reload_server,
    weights_of,
)
from poseserve.deployment import ACCELERATORS, FORMATS, PRECISIONS, Deployment
from poseserve.errors import InputError
from poseserve.recipes import recipe
from poseserve.repository.ensembles import ensembles
from poseserve.repository.installed import Installed, Repository
from poseserve.tasks import DETECTIONS
from poseserve.weights.official import official_weights

M_MMAP_THRESHOLD = -3  # of mallopt(3): blocks from that size on go back to the system at once, none into a pool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="of the catalogue, or a name of your own with --family")
    parser.add_argument("--recipe", metavar="RECIPE", help="all networks of a recipe, as defaults: `poseserve recipes`")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="(default: %(default)s)")
    parser.add_argument("--format", choices=FORMATS, default="torchscript", help="(default: %(default)s)")
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="", help="of ONNX Runtime")
    parser.add_argument("--gpus", type=numbers, default=(), metavar="0,1", help="default: all there are")
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

    if (args.name is None) == (args.recipe is None):
        raise InputError("give the name of a network, or --recipe RECIPE")
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)
    repository = change_root(args)
    additions = _of_recipe(args) if args.recipe else _of_name(args, repository)
    repository = install.add_all(repository, additions, as_defaults=bool(args.recipe))
    for name in (installed.network.name for installed, _ in additions):
        callers = [e.name for e in ensembles(repository) if name in (step.model for step in e.steps)]
        print(f"installed {name} in {repository.root}, called as {', '.join(callers)}")
    if note := demo_note(repository):
        print(note)
    return reload_server(args.server, repository)


def _of_name(args: argparse.Namespace, repository: Repository) -> list[tuple[Installed, Path]]:
    """The network that the arguments name, and its checkpoint."""
    installed = replace(given_network(args, repository), deployment=_deployment(args))
    return [(installed, weights_of(installed.network, repository, args))]


def _of_recipe(args: argparse.Namespace) -> list[tuple[Installed, Path]]:
    """The networks of the recipe, all deployed as the arguments say, and their checkpoints."""
    of_one = ("checkpoint", "detector", "family", *args.own)
    if odd := ["--" + name.replace("_", "-") for name in of_one if getattr(args, name)]:
        raise InputError(f"{', '.join(odd)}: for one network, not for a recipe")
    chosen, deployment = recipe(args.recipe), _deployment(args)
    additions = [Installed(n, replace(deployment, detector=chosen.detector_for(n))) for n in chosen.networks]
    checkpoints = official_weights(chosen.networks, args.accept_licence)
    return list(zip(additions, checkpoints, strict=True))


def _deployment(args: argparse.Namespace) -> Deployment:
    return Deployment(**{field.name: getattr(args, field.name) for field in fields(Deployment)})
