"""The subcommands of `poseserve` that choose, fetch and install networks."""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from poseclient.columns import columns
from poseclient.keypoints import add_keypoint_set
from poseserve.catalogue import (
    CATALOGUE,
    DETECTIONS,
    DETECTORS,
    FAMILIES,
    LABELLED,
    MULTICLASS,
    OFFICIAL_TASKS,
    TASKS,
    VIEWS,
    Network,
)
from poseserve.deployment import ACCELERATORS, FORMATS, PRECISIONS, Deployment
from poseserve.networks.costs import costs
from poseserve.repository.config import write_configs
from poseserve.repository.ensembles import ensembles
from poseserve.repository.folders import ROOT
from poseserve.repository.installed import STATE, Installed, Repository, read_repository
from poseserve.serving.reload import left_over, tell_server
from poseserve.weights import fetch

Add = Callable[..., argparse.ArgumentParser]
M_MMAP_THRESHOLD = -3  # of mallopt(3): blocks from that size on go back to the system at once, none into a pool

TORCHSCRIPT = "_torchscript.pt2"  # ending of the names under which the catalogue knows the files of Sapiens


def add_commands(add_parser: Add) -> None:
    """All but `serve`, as subparsers that `add_parser` makes."""
    _catalogue_parser(add_parser("catalogue", help="list the networks there are"))
    _fetch_parser(add_parser("fetch", help="download official weights"))
    _add_parser(add_parser("add", help="install a network from its checkpoint, and serve it"))
    _tune_parser(add_parser("tune", help="measure what serves a network fastest on this machine"))
    _remove_parser(add_parser("remove", help="remove a network"))
    _default_parser(add_parser("default", help="choose which network `pose`, `parts` or the detector means"))
    _configure_parser(add_parser("configure", help="write every config.pbtxt from networks.json"))


# catalogue


def _catalogue_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_catalogue)
    parser.add_argument("--task", choices=TASKS, help="only networks for this task")
    parser.add_argument("--json", action="store_true", help="for programs")
    _add_root(parser)


def _catalogue(args: argparse.Namespace) -> int:
    installed = read_repository(args.root).networks
    own = {name: i.network for name, i in installed.items()}
    networks = [n for n in (CATALOGUE | own).values() if args.task in (None, n.task)]
    rows = [{**describe(network), "installed": network.name in installed} for network in networks]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows))
    return 0


def describe(network: Network) -> dict[str, Any]:
    """A network as the catalogue shows it; params in millions, size in bytes, None for what is not known."""
    checkpoint, cost = network.checkpoint, costs().get(network.name, {})
    size = checkpoint.size if checkpoint and checkpoint.size else None
    return {
        "name": network.name,
        "task": network.task,
        "labels": network.labels,
        "outputs": network.outputs if network.labels else None,
        "input": "x".join(map(str, network.input_size)),
        "params": cost.get("params"),
        "gflops": cost.get("gflops"),
        "published": network.published or None,
        "licence": checkpoint.licence.name if checkpoint else None,
        "size": size or (round(4e6 * cost["params"]) if cost else None),
    }


HEADINGS = {
    "name": "network",
    "task": "task",
    "outputs": "points or classes",
    "input": "input",
    "params": "params (M)",
    "gflops": "GFLOPs",
    "published": "published",
    "licence": "weights",
    "size": "size",
    "installed": "installed",
}


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each network."""
    cells = [list(HEADINGS.values()), *([_cell(key, row[key]) for key in HEADINGS] for row in rows)]
    return columns(cells, left=len(HEADINGS))


def _cell(key: str, value: Any) -> str:
    if key == "installed":
        return "yes" if value else ""
    if value is None:
        return "-"
    if key == "size":
        return f"{value / 1e9:.2f} GB"
    return f"{value:,}" if isinstance(value, float) else str(value)


# fetch


def _fetch_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_fetch)
    parser.add_argument("names", nargs="+", choices=_fetchable(), metavar="NAME", help="see `poseserve catalogue`")
    _add_licence(parser)


def _fetchable() -> list[str]:
    return [n.name for n in CATALOGUE.values() if n.checkpoint]


def _fetch(args: argparse.Namespace) -> int:
    for name in args.names:
        print(official_weights(CATALOGUE[name], args.accept_licence))
    return 0


def official_weights(network: Network, licence_accepted: bool) -> Path:
    """The network's checkpoint on this machine: downloaded earlier, or fetched now. Raises FetchError, LicenceError."""
    checkpoint = network.checkpoint
    if checkpoint is None:
        raise fetch.FetchError(f"{network.name} has no official weights: give a file, --checkpoint FILE")
    name = Path(checkpoint.file).name
    local = fetch.find_local(*_sapiens_place(network, name))
    if local is not None:
        return local
    if not checkpoint.repository and not checkpoint.url:
        raise fetch.FetchError(
            f"{checkpoint.file} cannot be fetched by a program: download it from {checkpoint.page}, then "
            f"`poseserve add {network.name} --checkpoint {checkpoint.file}`"
        )
    fetch.accept_licence(network.name, checkpoint.licence, licence_accepted)
    size = checkpoint.size if checkpoint.exact else None
    sha256 = checkpoint.sha256 or None
    if checkpoint.repository:
        return fetch.fetch_hub(checkpoint.repository, checkpoint.file, size=size, sha256=sha256)
    return fetch.fetch_url(checkpoint.url, fetch.cache_folder() / "checkpoints" / name, size=size, sha256=sha256)


def _sapiens_place(network: Network, name: str) -> tuple[list[str], str]:
    """The names that a file has in the releases of Sapiens, full precision first, and its folder below their root."""
    stem = name.removesuffix(TORCHSCRIPT)
    names = [name] if stem == name else [stem + ending for ending in (TORCHSCRIPT, ".pth", "_bfloat16.pt2")]
    task = OFFICIAL_TASKS.get(network.task, network.task)
    return names, f"{task}/checkpoints/{'rtmpose' if task == 'detector' else f'sapiens_{network.size}'}"


# add


def _add_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_add)
    parser.add_argument("name", metavar="NAME", help="of the catalogue, or a name of your own with --family")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="(default: %(default)s)")
    parser.add_argument("--format", choices=FORMATS, default="torchscript", help="(default: %(default)s)")
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="", help="of ONNX Runtime")
    parser.add_argument("--gpus", type=_numbers, default=(), metavar="0,1", help="default: all there are")
    parser.add_argument("--instances", type=int, default=1, help="on each GPU, or on the CPU (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="of each instance on a CPU (default: all cores)")
    parser.add_argument("--delay-us", type=int, default=0, help="to wait for others to share a batch (default: 0)")
    parser.add_argument("--max-people", type=int, default=DETECTIONS, help="in one image (default: %(default)s)")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirror image, at twice the cost")
    _add_weights(parser)
    _add_licence(parser)
    _add_server(parser)
    _add_root(parser)


def _add(args: argparse.Namespace) -> int:
    from poseserve.repository import install  # torch takes its time, and other commands need none

    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)
    repository = read_repository(args.root)
    network, keypoint_table = _network(args)
    deployment = Deployment(**{field.name: getattr(args, field.name) for field in fields(Deployment)})
    checkpoint = args.checkpoint or official_weights(network, args.accept_licence)
    repository = install.add(repository, Installed(network, deployment, keypoint_table), checkpoint, args.config)
    callers = [e.name for e in ensembles(repository) if network.name in (step.model for step in e.steps)]
    print(f"installed {network.name}, called as {', '.join(callers)}")
    return _tell(args.server, repository)


def _network(args: argparse.Namespace) -> tuple[Network, dict | None]:
    """Of the catalogue, or the user's own with its keypoint table where that is their own too."""
    given = [name for name in args.own if getattr(args, name) is not None]
    if args.family is None:
        if args.name not in CATALOGUE:
            raise ValueError(
                f"{args.name} is not in the catalogue (`poseserve catalogue`); for weights of your own give --family"
            )
        if given:
            options = ", ".join(args.own[name] for name in given)
            raise ValueError(
                f"{options}: for a network of your own, with --family and another name; the catalogue knows {args.name}"
            )
        return CATALOGUE[args.name], None
    if args.name in CATALOGUE:
        raise ValueError(f"{args.name} is a network of the catalogue: choose another name")
    if args.checkpoint is None:
        raise ValueError("weights of your own need --checkpoint FILE")
    task = args.task or ("detector" if args.family in DETECTORS else "pose")
    family = "rtmdet" if args.family in MULTICLASS else args.family  # whose input they share
    kin = [n for n in CATALOGUE.values() if (n.task, n.family) == (task, family)]
    if not kin:
        raise ValueError(f"family {args.family} does not do {task}")
    fitting = {
        "keypoints": task == "pose",
        "classes": task == "parts",
        "view": task == "parts",
        "class_index": args.family in MULTICLASS,
        "config": args.family == "mmdet",
    }
    if odd := [args.own[name] for name in given if not fitting.get(name, True)]:
        raise ValueError(f"{', '.join(odd)}: not for a {task} network of family {args.family}")
    labels, keypoint_table = args.keypoints or args.classes, None
    if args.keypoints and args.keypoints.endswith(".json"):
        keypoint_table = json.loads(Path(args.keypoints).read_text(encoding="utf-8"))
        labels = add_keypoint_set(Path(args.keypoints).stem, keypoint_table).name
    if task in LABELLED and labels is None:
        raise ValueError(f"a {task} network needs --{'keypoints' if task == 'pose' else 'classes'}")
    input_size = args.input_size or kin[0].input_size
    network = Network(
        args.name,
        task,
        input_size,
        labels,
        kin[0].max_batch_size,
        args.family,
        args.size or "",
        view=args.view or VIEWS[0],
        fit=kin[0].fit,
        class_index=args.class_index or 0,
    )
    return network, keypoint_table


def _numbers(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 0,1")
    return tuple(int(number) for number in text.split(","))


def _input_size(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"\d+x\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no height and width like 256x192")
    height, width = text.split("x")
    return int(height), int(width)


# tune


TRIED = "fp32", "bf16"  # precisions
PEOPLE = 4  # rows of a request


def _tune_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_tune)
    parser.add_argument("name", metavar="NAME", help="of the catalogue, installed, or one of your own with --family")
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=TRIED, help=f"to try (default: {' '.join(TRIED)})"
    )
    parser.add_argument("--people", type=int, default=PEOPLE, help="rows of a request (default: %(default)s)")
    _add_weights(parser)
    _add_licence(parser)
    _add_root(parser)


def _tune(args: argparse.Namespace) -> int:
    from poseserve import tune

    repository = read_repository(args.root)
    installed = repository.networks.get(args.name)
    if installed and installed.network.checkpoint is None and args.checkpoint is None:
        return _tune_file(repository, installed, args)
    network, _ = _network(args)
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
    print("written there, it is served after:", shlex.join(["poseserve", "configure", *_root_given(args)]))
    return 0


def _given(args: argparse.Namespace) -> list[str]:
    """What this command was told about weights, and where they go, in options of `poseserve add`."""
    options = {"checkpoint": "--checkpoint", "family": "--family", **args.own}
    words = []
    for name, option in options.items():
        if (value := getattr(args, name)) is not None:
            words += [option, "x".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return words + ["--accept-licence"] * args.accept_licence + _root_given(args)


def _root_given(args: argparse.Namespace) -> list[str]:
    return [] if args.root == ROOT else ["--root", str(args.root)]


# remove, default


def _remove_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_remove)
    parser.add_argument("name", metavar="NAME")
    _add_server(parser)
    _add_root(parser)


def _remove(args: argparse.Namespace) -> int:
    from poseserve.repository import install

    repository = read_repository(args.root)
    if args.server and args.name in left_over(args.server):  # removed earlier, when nobody told the server
        return _tell(args.server, repository)
    return _tell(args.server, install.remove(repository, args.name))


def _default_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_default)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("name", metavar="NAME")
    _add_server(parser)
    _add_root(parser)


def _default(args: argparse.Namespace) -> int:
    from poseserve.repository import install

    return _tell(args.server, install.choose(read_repository(args.root), args.task, args.name))


def _configure_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_configure)
    parser.add_argument(
        "--instances",
        nargs="+",
        type=_instances,
        default=[],
        metavar="STEP=N",
        help="processes of Python steps; of networks it is an option of `add`",
    )
    _add_server(parser)
    _add_root(parser)


def _instances(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not count.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}, must be STEP=N")
    return name, int(count)


def _configure(args: argparse.Namespace) -> int:
    repository = read_repository(args.root).with_steps(dict(args.instances))
    for path in write_configs(repository):
        print(path)
    return _tell(args.server, repository) if args.instances or args.server else 0


def _tell(server: str | None, repository: Repository) -> int:
    if server:
        tell_server(server, repository)
        print(f"{server} has taken it up")
    else:
        print("served from the next start on; a running server takes it up with --server HOST:PORT")
    return 0


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="these weights instead of the official ones")
    group = parser.add_argument_group("a network of your own, of a known family")
    group.add_argument("--family", choices=FAMILIES)
    own = [
        group.add_argument("--size", help="of the family, such as 0.3b, s or w32; layout of a YOLO export, v5 or v8"),
        group.add_argument("--config", type=Path, metavar="FILE", help="of an mmdet detector"),
        group.add_argument("--class-index", type=int, metavar="N", help="of a YOLO or mmdet detector (default: 0)"),
        group.add_argument("--task", choices=TASKS, help="(default: pose, or what the family does)"),
        group.add_argument("--keypoints", metavar="SET", help="a keypoint set of poseclient, or a JSON file with one"),
        group.add_argument("--classes", metavar="SET", help="a class set of poseclient"),
        group.add_argument("--view", choices=VIEWS, help=f"what a parts network was trained on (default: {VIEWS[0]})"),
        group.add_argument("--input-size", type=_input_size, metavar="HxW", help="default: that of the family"),
    ]
    parser.set_defaults(own={option.dest: option.option_strings[0] for option in own})


def _add_licence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept-licence", action="store_true", help="accept the licence of the weights unasked")


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="HOST:PORT", help="HTTP address of a running server that takes it up")


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the folder that holds model_repository (default: %(default)s)"
    )
