"""Networks of the catalogue with random weights: the arithmetic, and so the time, is that of the official ones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from poseserve import tune
from poseserve.catalogue import CATALOGUE, Network
from poseserve.deployment import REQUEST_ROWS, Deployment
from poseserve.networks import build
from poseserve.repository import install
from poseserve.repository.folders import FOLDERS, ROOT
from poseserve.repository.installed import Installed, Repository, read_repository


def repository_with_random_weights(
    root: Path, names: Iterable[str], deployment: Deployment | None = None
) -> Repository:
    """A copy of the tree's repository below `root` with these networks, each the default of its task."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    repository = read_repository(root)
    for name in names:
        network = CATALOGUE[name]
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = random_checkpoint(network, Path(folder))
            installed = Installed(network, deployment or Deployment())
            repository = install.add(repository, installed, checkpoint, say=lambda _: None)
        repository = install.choose(repository, network.task, name)
    return repository


def random_checkpoint(network: Network, folder: Path) -> Path:
    """A file of random weights, the same ones in every run."""
    file = folder / f"{network.name}.pth"
    torch.manual_seed(0)
    torch.save(build.bare(network).state_dict(), file)
    return file


def tuned_deployment(name: str, engines: Sequence[Deployment]) -> Deployment:
    """What `poseserve tune` proposes for this network of the catalogue; prints what it tries."""
    network = CATALOGUE[name]
    with tempfile.TemporaryDirectory() as folder:
        exported = tune.exporting(network, random_checkpoint(network, Path(folder)))
        return tune.tune(network, exported, engines, REQUEST_ROWS)
