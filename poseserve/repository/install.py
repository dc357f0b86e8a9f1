"""`poseserve add` and `remove`: a network in the model repository, all of it or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from poseserve.deployment import FORMATS, INSTALL
from poseserve.errors import InputError
from poseserve.export.torchscript import export
from poseserve.networks import build
from poseserve.repository.config import model_names, write_configs
from poseserve.repository.installed import Installed, Repository
from poseserve.weights.disk import check_space

GRAPH_BYTES = 1 << 24  # more than any model file has beside its weights


def add(
    repository: Repository,
    installed: Installed,
    checkpoint: Path,
    config: Path | None = None,
    say: Callable[[str], None] = print,
) -> Repository:
    """Load the checkpoint strictly, export the network in its contract, compare, then install it and its ensembles.

    Returns the repository with it. Raises CheckpointError, DiskFullError, ExportError or ValueError, and then nothing
    has changed.
    """
    network = installed.network
    installed = replace(installed, checkpoint=str(checkpoint.absolute()))
    wanted = repository.with_network(installed)
    _refuse_shared_names(wanted)
    deployment = installed.deployment
    contract = build.load(network, checkpoint, deployment, config)
    if millions := sum(p.numel() for p in contract.parameters()) / 1e6:  # an ONNX export brings none
        say(f"{checkpoint.name}: {millions:,.1f} million parameters fit {network.name}")
    models = repository.folders[0]
    # At once, because torch ends the whole process when its file cannot be written to the end.
    weights = sum(tensor.numel() * tensor.element_size() for tensor in contract.state_dict().values())
    check_space(models / network.name, weights + GRAPH_BYTES)
    # On the same file system, so that the finished folder appears at once, but where Triton does not look.
    with tempfile.TemporaryDirectory(prefix=".poseserve-", dir=repository.root) as staging:
        folder = Path(staging) / network.name
        file = folder / "1" / FORMATS[deployment.format]
        seconds = exporter(deployment.format)(contract, build.example(network), file)
        megabytes = sum(file.stat().st_size for file in (folder / "1").iterdir()) / 1e6
        say(f"exported and compared with the network itself: {megabytes:,.1f} MB, loaded in {seconds:.1f} s")
        replaced = Path(staging) / "replaced"
        if (models / network.name).exists():
            (models / network.name).rename(replaced)
        try:
            folder.rename(models / network.name)
            write_configs(wanted)
        except BaseException:
            shutil.rmtree(models / network.name, ignore_errors=True)
            if replaced.exists():
                replaced.rename(models / network.name)
            write_configs(repository)
            raise
    return wanted


def _refuse_shared_names(repository: Repository) -> None:
    """Triton serves none of two models that have one name."""
    counts = Counter(model_names(repository))
    if shared := [name for name in repository.networks if counts[name] > 1]:
        raise InputError(f"{', '.join(shared)}: a step or an ensemble has that name, choose another for the network")


def exporter(format: str) -> Callable[[nn.Module, tuple[Tensor, ...], Path], float]:
    """The function of export.py or export_onnx.py. Raises ValueError where its packages are missing."""
    if format == "torchscript":
        return export
    try:
        from poseserve.export.onnx import export_onnx
    except ImportError as error:
        raise InputError(f"--format {format} needs more packages ({error}): {INSTALL.format(format)}") from error
    return export_onnx


def remove(repository: Repository, name: str) -> Repository:
    """Remove a network and its ensembles. Raises ValueError when it is not installed, or a default."""
    rest = repository.without(name)
    write_configs(rest)
    shutil.rmtree(repository.folders[0] / name)
    return rest


def choose(repository: Repository, task: str, name: str) -> Repository:
    """Let the plain ensembles of `task` mean that network. Raises ValueError when it cannot."""
    chosen = repository.with_default(task, name)
    write_configs(chosen)
    return chosen
