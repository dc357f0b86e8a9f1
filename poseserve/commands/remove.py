"""`poseserve remove`."""

from __future__ import annotations

import argparse

from poseserve.commands.options import add_root, add_server, change_root, reload_server
from poseserve.serving.reload import left_over


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    add_server(parser)
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    from poseserve.repository import install  # torch takes its time

    repository = change_root(args)
    if args.server and args.name in left_over(args.server):  # removed earlier, when nobody told the server
        return reload_server(args.server, repository)
    return reload_server(args.server, install.remove(repository, args.name))
