"""`poseserve tune`."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import replace
from pathlib import Path

from poseserve.commands.options import (
    add_licence,
    add_root,
    add_server,
    add_weights,
    change_root,
    given_network,
    read_root,
    reload_server,
    root_words,
    weights_of,
)
from poseserve.deployment import PRECISIONS, REQUEST_ROWS, TRIED_PRECISIONS
from poseserve.repository.config import write_configs
from poseserve.repository.installed import STATE, Installed, Repository


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the catalogue, installed, or one of your own with --family")
    tried = TRIED_PRECISIONS
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=tried, help=f"to try (default: {' '.join(tried)})"
    )
    parser.add_argument("--people", type=int, default=REQUEST_ROWS, help="rows of a request (default: %(default)s)")
    parser.add_argument("--install", action="store_true", help="install it as it was fastest")
    add_weights(parser)
    add_licence(parser)
    add_server(parser)
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    from poseserve import tune  # torch takes its time
    from poseserve.repository import install

    repository = change_root(args) if args.install else read_root(args)
    installed = repository.networks.get(args.name)
    if installed and args.checkpoint is None and not (installed.network.checkpoint or _at_hand(installed)):
        return _tune_file(repository, installed, args)
    given = given_network(args, repository)
    checkpoint = weights_of(given.network, repository, args)
    engines = tune.engines(args.precision, installed.deployment if installed else None)
    best = tune.tune(given.network, tune.exporting(given.network, checkpoint, given.config), engines, args.people)
    for line in tune.not_tried(args.precision):
        print(line)
    print("fastest here: poseserve add", shlex.join([args.name, *_given(args)]), tune.describe(best))
    if not args.install:
        return 0
    repository = install.add(repository, replace(given, deployment=best), checkpoint)
    return reload_server(args.server, repository)


def _at_hand(installed: Installed) -> bool:
    """Whether the weights that it was made from are still where they were."""
    return Path(installed.checkpoint).is_file()


def _tune_file(repository: Repository, installed: Installed, args: argparse.Namespace) -> int:
    """Of a network whose weights are not at hand: its file can be served in other ways, but not be exported again."""
    from poseserve import tune

    name = installed.network.name
    file = repository.model_file(name)
    best = tune.tune(installed.network, lambda deployment, folder: file, [installed.deployment], args.people)
    tuned = repository.with_network(replace(installed, deployment=best))
    if args.install:
        print("fastest here:", tune.describe(best))
        write_configs(tuned)
        return reload_server(args.server, tuned)
    entry = json.loads(tuned.state())["networks"][name]
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
            between = "x" if name == "input_size" else ","
            words += [option, between.join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return words + ["--accept-licence"] * args.accept_licence + root_words(args)
