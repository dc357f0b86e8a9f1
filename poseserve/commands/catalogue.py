"""`poseserve catalogue`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import fields
from typing import Any

from poseclient.columns import columns
from poseserve.catalogue import CATALOGUE, Network
from poseserve.commands.options import add_root, demo_note, read_root
from poseserve.deployment import Deployment
from poseserve.networks.costs import costs
from poseserve.repository.installed import Installed, Repository
from poseserve.tasks import TASKS

HEADINGS = {
    "name": "network",
    "task": "task",
    "outputs": "outputs",
    "input": "input",
    "params": "M params",
    "gflops": "GFLOPs",
    "published": "published",
    "licence": "weights",
    "size": "size",
    "served": "installed",
}
LEAST_NEEDED = ("size", "published", "gflops", "params", "licence", "input", "outputs", "task")  # in a narrow terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=TASKS, help="only networks for this task")
    parser.add_argument("--json", action="store_true", help="for programs")
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    repository = read_root(args)
    own = {name: i.network for name, i in repository.networks.items()}
    networks = [n for n in (CATALOGUE | own).values() if args.task in (None, n.task)]
    rows = [{**describe(network), **_state(network.name, repository)} for network in networks]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print(_table(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
        if note := demo_note(repository):
            print(note, file=sys.stderr)
    return 0


def _state(name: str, repository: Repository) -> dict[str, Any]:
    """Whether and how it is installed."""
    installed = repository.networks.get(name)
    default = name in repository.defaults.values()
    words = (["default"] if default else []) + (_deployment(installed) if installed else [])
    served = " ".join(words) or ("yes" if installed else "")
    return {"installed": installed is not None, "default": default, "served": served}


def _deployment(installed: Installed) -> list[str]:
    """What differs from the defaults of `poseserve add`."""
    values = {field.name: (getattr(installed.deployment, field.name), field.default) for field in fields(Deployment)}
    return [
        str(value) if name in ("precision", "format") else f"{name}={value}"
        for name, (value, usual) in values.items()
        if value != usual
    ]


def _table(rows: list[dict[str, Any]], width: int | None) -> str:
    """The rows in as many columns as `width` characters hold, all where it is None."""
    keys = list(HEADINGS)
    for dropped in ("", *LEAST_NEEDED):
        keys = [key for key in keys if key != dropped]
        cells = [[HEADINGS[key] for key in keys], *([_cell(key, row[key]) for key in keys] for row in rows)]
        text = columns(cells, left=len(keys))
        if width is None or max(map(len, text.splitlines())) <= width:
            break
    return text


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


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "size":
        return f"{value / 1e9:.2f} GB"
    return f"{value:,}" if isinstance(value, float) else str(value)
