"""`poseserve catalogue`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from poseclient.columns import columns
from poseserve.catalogue import CATALOGUE, Network
from poseserve.commands.options import add_root
from poseserve.networks.costs import costs
from poseserve.repository.installed import read_repository
from poseserve.tasks import TASKS

HELP = "list the networks there are"
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=TASKS, help="only networks for this task")
    parser.add_argument("--json", action="store_true", help="for programs")
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    installed = read_repository(args.root).networks
    own = {name: i.network for name, i in installed.items()}
    networks = [n for n in (CATALOGUE | own).values() if args.task in (None, n.task)]
    rows = [{**describe(network), "installed": network.name in installed} for network in networks]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        cells = [list(HEADINGS.values()), *([_cell(key, row[key]) for key in HEADINGS] for row in rows)]
        print(columns(cells, left=len(HEADINGS)))
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


def _cell(key: str, value: Any) -> str:
    if key == "installed":
        return "yes" if value else ""
    if value is None:
        return "-"
    if key == "size":
        return f"{value / 1e9:.2f} GB"
    return f"{value:,}" if isinstance(value, float) else str(value)
