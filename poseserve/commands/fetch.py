"""`poseserve fetch`."""

from __future__ import annotations

import argparse

from poseserve.catalogue import CATALOGUE
from poseserve.commands.options import add_licence
from poseserve.weights.official import official_weights

HELP = "download official weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    fetchable = [network.name for network in CATALOGUE.values() if network.checkpoint]
    parser.add_argument("names", nargs="+", choices=fetchable, metavar="NAME", help="see `poseserve catalogue`")
    add_licence(parser)


def run(args: argparse.Namespace) -> int:
    for name in args.names:
        print(official_weights(CATALOGUE[name], args.accept_licence))
    return 0
