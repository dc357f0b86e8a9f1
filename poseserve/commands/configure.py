"""`poseserve configure`."""

from __future__ import annotations

import argparse

from poseserve.commands.options import add_root, add_server, change_root, read_root, reload_server
from poseserve.repository.config import write_configs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--instances",
        nargs="+",
        type=_instances,
        default=[],
        metavar="STEP=N",
        help="processes of Python steps; of networks it is an option of `add`",
    )
    add_server(parser)
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    repository = (change_root(args) if args.instances else read_root(args)).with_steps(dict(args.instances))
    for path in write_configs(repository):
        print(path)
    return reload_server(args.server, repository) if args.instances or args.server else 0


def _instances(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not count.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}, must be STEP=N")
    return name, int(count)
