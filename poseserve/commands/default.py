"""`poseserve default`."""

from __future__ import annotations

import argparse

from poseserve.commands.options import add_root, add_server, change_root, reload_server
from poseserve.tasks import TASKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("name", metavar="NAME")
    add_server(parser)
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    from poseserve.repository import install  # torch takes its time

    return reload_server(args.server, install.choose(change_root(args), args.task, args.name))
