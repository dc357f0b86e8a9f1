"""`poseserve tune`."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import replace

from poseserve.commands.options import add_licence, add_root, add_weights, given_network, root_words
from poseserve.deployment import PRECISIONS, REQUEST_ROWS, TRIED_PRECISIONS
from poseserve.repository.installed import STATE, Installed, Repository, read_repository
from poseserve.weights.official import official_weights

HELP = "measure what serves a network fastest on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the catalogue, installed, or one of your own with --family")
    tried = TRIED_PRECISIONS
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=tried, help=f"to try (default: {' '.join(tried)})"
    )
    parser.add_argument("--people", type=int, default=REQUEST_ROWS, help="rows of a request (default: %(default)s)")
    add_weights(parser)
    add_licence(parser)
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    from poseserve import tune  # torch takes its time

    repository = read_repository(args.root)
    installed = repository.networks.get(args.name)
    if installed and installed.network.checkpoint is None and args.checkpoint is None:
        return _tune_file(repository, installed, args)
    network, _ = given_network(args)
    checkpoint = args.checkpoint or official_weights(network, args.accept_licence)
    engines = tune.engines(args.precision, installed.deployment if installed else None)
    best = tune.tune(network, tune.exporting(network, checkpoint, args.config), engines, args.people)
    print("fastest here: poseserve add", shlex.join([args.name, *_given(args)]), tune.describe(best))
    return 0


def _tune_file(repository: Repository, installed: Installed, args: argparse.Namespace) -> int:
    """Of a network whose weights are not at hand: its file can be served in other ways, but not be exported again."""
    from poseserve import tune

    name = installed.network.name
    file = repository.model_file(name)
    best = tune.tune(installed.network, lambda deployment, folder: file, [installed.deployment], args.people)
    entry = json.loads(repository.with_network(replace(installed, deployment=best)).state())["networks"][name]
    state = repository.folders[0] / STATE
    print(f'fastest here: for {name} in {state} "deployment": {json.dumps(entry.get("deployment", {}))}')
    print("written there, it is served after:", shlex.join(["poseserve", "configure", *root_words(args)]))
    return 0


def _given(args: argparse.Namespace) -> list[str]:
    """What this command was told about weights, and where they go, in options of `poseserve add`."""
    options = {"checkpoint": "--checkpoint", "family": "--family", **args.own}
    words = []
    for name, option in options.items():
        if (value := getattr(args, name)) is not None:
            words += [option, "x".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return words + ["--accept-licence"] * args.accept_licence + root_words(args)
