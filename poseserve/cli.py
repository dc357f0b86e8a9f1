"""`poseserve`: the command line of the server's side."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from poseserve.commands import add, catalogue, configure, default, fetch, remove, serve, tune
from poseserve.errors import PoseserveError

COMMANDS = {
    "serve": serve,
    "catalogue": catalogue,
    "fetch": fetch,
    "add": add,
    "tune": tune,
    "remove": remove,
    "default": default,
    "configure": configure,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; its exit code."""
    parser = argparse.ArgumentParser(prog="poseserve", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.HELP)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    try:
        code: int = args.run(args)
        return code
    except PoseserveError as error:
        print(f"poseserve: {error}", file=sys.stderr)
        return 1
