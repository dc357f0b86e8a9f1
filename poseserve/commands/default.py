"""`poseserve default`."""

from __future__ import annotations

import argparse

from poseserve.commands.options import add_root, add_server, reload_server
from poseserve.repository.installed import read_repository
from poseserve.tasks import TASKS

HELP = "choose which network `pose`, `parts` or the detector means"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("name", metavar="NAME")
    add_server(parser)
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    from poseserve.repository import install  # torch takes its time

    return reload_server(args.server, install.choose(read_repository(args.root), args.task, args.name))
