"""Arguments that several commands have, and what follows from them."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from poseserve.catalogue import CATALOGUE, CROP_FILTERS, TRAINED_ON, Network
from poseserve.defaults import SCORE_THRESHOLD
from poseserve.errors import InputError, did_you_mean
from poseserve.repository.folders import make_own_root, served_root
from poseserve.repository.installed import Installed, Repository, read_repository
from poseserve.serving.reload import reload
from poseserve.tasks import TASKS
from poseserve.weights.official import official_weights


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Which weights, and of which network."""
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="these weights instead of the official ones")
    group = parser.add_argument_group("a network of your own, of a known family")
    group.add_argument("--family", metavar="FAMILY", help="such as vitpose, sapiens, rtmdet, yolo, mmdet or contract")
    own = [
        group.add_argument("--size", help="of the family, such as 0.3b, s or w32; layout of a YOLO export, v5 or v8"),
        group.add_argument("--config", type=Path, metavar="FILE", help="of an mmdet detector"),
        group.add_argument(
            "--class-index",
            dest="class_indices",
            type=numbers,
            metavar="N",
            help="of a YOLO or mmdet detector, several as 15,16 (default: 0)",
        ),
        group.add_argument("--task", choices=TASKS, help="(default: pose, or what the family does)"),
        group.add_argument("--keypoints", metavar="SET", help="a keypoint set of poseclient, or a JSON file with one"),
        group.add_argument("--classes", metavar="SET", help="a class set of poseclient"),
        group.add_argument(
            "--trained-on", choices=TRAINED_ON, help=f"what a parts network has seen (default: {TRAINED_ON[0]})"
        ),
        group.add_argument(
            "--score-threshold", type=float, metavar="X", help=f"that a box must score (default: {SCORE_THRESHOLD})"
        ),
        group.add_argument(
            "--crop-filter", choices=CROP_FILTERS, help=f"how people are cut out (default: {CROP_FILTERS[0]})"
        ),
        group.add_argument("--input-size", type=_input_size, metavar="HxW", help="default: that of the family"),
        group.add_argument("--channels", type=int, metavar="N", help="of the features of a network of family contract"),
    ]
    parser.set_defaults(own={option.dest: option.option_strings[0] for option in own})


def given_network(args: argparse.Namespace, repository: Repository) -> Installed:
    """The network that the arguments of `add_weights` name: of the catalogue, installed, or described by them."""
    given = {name: value for name in args.own if (value := getattr(args, name)) is not None}
    if args.family is None:
        in_catalogue = args.name in CATALOGUE
        if not in_catalogue and args.name not in repository.networks:
            hint = did_you_mean(args.name, [*CATALOGUE, *repository.networks])
            raise InputError(
                f"{args.name} is not in the catalogue (`poseserve catalogue`){hint} "
                "For weights of your own give --family"
            )
        if given:
            another = f" and another name; the catalogue knows {args.name}" if in_catalogue else ""
            options = ", ".join(args.own[name] for name in given)
            raise InputError(f"{options}: for a network of your own, with --family{another}")
        return Installed(CATALOGUE[args.name]) if in_catalogue else repository.networks[args.name]
    from poseserve.families.family import families  # torch takes its time
    from poseserve.networks.own import own_network

    if args.checkpoint is None and args.name not in CATALOGUE:
        raise InputError("weights of your own need --checkpoint FILE")
    known = families()
    if args.family in known:
        task = args.task or next(iter(known[args.family].outputs))
        fitting = {"size", "task", "input_size", *TASKS[task].options, *known[args.family].options}
        if known[args.family].as_is:
            fitting.remove("size")
        if odd := [args.own[name] for name in given if name not in fitting]:
            raise InputError(f"{', '.join(odd)}: not for a {task} network of family {args.family}")
    config = given.pop("config", None)
    network, table = own_network(args.name, args.family, **given)
    return Installed(network, keypoint_table=table, config=str(config.absolute()) if config else "")


def weights_of(network: Network, repository: Repository, args: argparse.Namespace) -> Path:
    """The checkpoint that was given, or that from which the network is installed, or the official one."""
    if args.checkpoint:
        return Path(args.checkpoint)
    installed = repository.networks.get(network.name)
    if installed and installed.checkpoint and installed.network == network and Path(installed.checkpoint).is_file():
        return Path(installed.checkpoint)
    return official_weights([network], args.accept_licence)[0]


def numbers(text: str) -> tuple[int, ...]:
    """The value of an option that takes a list of numbers."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 0,1")
    return tuple(int(number) for number in text.split(","))


def _input_size(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"\d+x\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no height and width like 256x192")
    height, width = text.split("x")
    return int(height), int(width)


def add_licence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept-licence", action="store_true", help="accept the licence of the weights unasked")


def add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="HOST:PORT", help="HTTP address of a running server that takes it up")


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="the folder that holds model_repository (default: that of installed networks, else the checkout)",
    )


def read_root(args: argparse.Namespace) -> Repository:
    """What is served: in `--root`, else where networks are installed, else in the checkout."""
    return read_repository(args.root or served_root())


def change_root(args: argparse.Namespace) -> Repository:
    """What a command is about to change: in `--root`, else where networks are installed, outside the checkout."""
    return read_repository(args.root or make_own_root())


def root_words(args: argparse.Namespace) -> list[str]:
    """`--root` as it was given, none for the default."""
    return ["--root", str(args.root)] if args.root else []


def demo_note(repository: Repository) -> str | None:
    """A line for the user while a demo network is a default."""
    names = [name for name in repository.defaults.values() if repository.networks[name].network.family == "demo"]
    if not names:
        return None
    return (
        f"note: {', '.join(names)} know rendered people only, not photographs; "
        "`poseserve add --recipe light`, or another of `poseserve recipes`, changes that"
    )


def reload_server(server: str | None, repository: Repository) -> int:
    """Let a running server serve what the repository holds, or say how to; the command's exit code."""
    if server:
        reload(server, repository)
        print(f"{server} has taken it up")
    else:
        print("served from the next start on; a running server takes it up with --server HOST:PORT")
    return 0
