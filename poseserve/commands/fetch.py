"""`poseserve fetch`."""

from __future__ import annotations

import argparse

from poseserve.catalogue import CATALOGUE
from poseserve.commands.options import add_licence
from poseserve.errors import InputError, did_you_mean
from poseserve.weights.official import official_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="see `poseserve catalogue`")
    add_licence(parser)


def run(args: argparse.Namespace) -> int:
    fetchable = {network.name: network for network in CATALOGUE.values() if network.checkpoint}
    for name in args.names:
        if name not in fetchable:
            hint = did_you_mean(name, fetchable)
            raise InputError(f"{name} is no network with official weights (`poseserve catalogue`){hint}")
    print(*official_weights([fetchable[name] for name in args.names], args.accept_licence), sep="\n")
    return 0
