"""`poseserve recipes`."""

from __future__ import annotations

import argparse
import textwrap

from poseserve.catalogue import Network, NpmSource
from poseserve.recipes import RECIPES

INDENT = " " * 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(args: argparse.Namespace) -> int:
    for name, recipe in RECIPES.items():
        print(f"{name}: {recipe.summary}")
        networks = ", ".join(network.name for network in recipe.networks)
        print(textwrap.fill(networks, 100, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False))
        print(f"{INDENT}weights: {_licences(recipe.networks)}{_download(recipe.networks)}")
    print("\n`poseserve add --recipe NAME` installs all networks of a recipe and makes them the defaults")
    return 0


def _licences(networks: list[Network]) -> str:
    return ", ".join(dict.fromkeys(n.checkpoint.licence.name for n in networks if n.checkpoint))


def _download(networks: list[Network]) -> str:
    """Networks of one npm package are one download."""
    checkpoints = [network.checkpoint for network in networks if network.checkpoint]
    sizes = {c.source if isinstance(c.source, NpmSource) else c.file: c.size for c in checkpoints}
    return f"; {sum(sizes.values()) / 1e9:.2f} GB to download" if all(sizes.values()) else ""
