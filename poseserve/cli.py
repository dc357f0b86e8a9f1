"""`poseserve`: the command line of the server's side."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from poseserve.errors import PoseserveError


@dataclass(frozen=True)
class Command:
    """A verb: its line in `--help`, and its file in `commands/`, imported only when it is asked for, for torch, OpenCV
    and Triton's client take seconds."""

    name: str
    help: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""
        self._module().add_arguments(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Its exit code."""
        code: int = self._module().run(args)
        return code

    def _module(self) -> Any:
        return import_module(f"poseserve.commands.{self.name}")


COMMANDS = {
    command.name: command
    for command in (
        Command("serve", "start Triton and serve until Ctrl-C or SIGTERM"),
        Command("catalogue", "list the networks there are"),
        Command("recipes", "list the sets of networks that belong together"),
        Command("fetch", "download official weights"),
        Command("add", "install a network from its checkpoint, and serve it"),
        Command("tune", "measure what serves a network fastest on this machine"),
        Command("remove", "remove a network"),
        Command("default", "choose which network `pose`, `parts` or the detector means"),
        Command("configure", "write every config.pbtxt from networks.json"),
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; its exit code."""
    words = sys.argv[1:] if argv is None else argv
    chosen = next((word for word in words if word in COMMANDS), None)
    parser = argparse.ArgumentParser(prog="poseserve", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help, description=command.help)
        if name == chosen:
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    args = parser.parse_args(words)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except PoseserveError as error:
        print(f"poseserve: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
