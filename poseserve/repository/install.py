"""`poseserve add` and `remove`: a network in the model repository, all of it or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from poseserve.deployment import FORMATS, INSTALL
from poseserve.errors import InputError
from poseserve.export.as_is import take
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
    say: Callable[[str], None] = print,
) -> Repository:
    """`add_all` of one network."""
    return add_all(repository, [(installed, checkpoint)], say=say)


def add_all(
    repository: Repository,
    additions: Sequence[tuple[Installed, Path]],
    as_defaults: bool = False,
    say: Callable[[str], None] = print,
) -> Repository:
    """Load each checkpoint strictly, export the network in its contract, compare, then install all and their ensembles.

    as_defaults: let the plain ensembles of each network's task mean it. Returns the repository with them. Raises
    CheckpointError, DiskFullError, ExportError or ValueError, and then nothing has changed.
    """
    wanted = repository
    for installed, checkpoint in additions:
        wanted = wanted.with_network(replace(installed, checkpoint=str(checkpoint.absolute())))
        if as_defaults:
            wanted = wanted.with_default(installed.network.task, installed.network.name)
    _refuse_shared_names(wanted)
    for folder in repository.folders:
        folder.mkdir(parents=True, exist_ok=True)  # nothing was installed here yet
    # On the same file system, so that a finished folder appears at once, but where Triton does not look.
    with tempfile.TemporaryDirectory(prefix=".poseserve-", dir=repository.root) as staging:
        new, replaced = Path(staging) / "new", Path(staging) / "replaced"
        for installed, checkpoint in additions:
            write_model(installed, checkpoint, new / installed.network.name, say)
        replaced.mkdir()
        _exchange(repository, wanted, new, replaced)
    return wanted


def write_model(installed: Installed, checkpoint: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """Write the file that Triton serves into the version folder below `folder`; its path. Raises as `add_all` does."""
    network, deployment = installed.network, installed.deployment
    file = folder / "1" / FORMATS[deployment.format]
    if build.family_of(network).as_is:
        seconds = take(network, checkpoint, deployment, installed.max_batch_size, file)
        done = f"{checkpoint.name} keeps the contract of a {network.task} network"
    else:
        seconds = _export(installed, checkpoint, file, say)
        done = "exported and compared with the network itself"
    megabytes = sum(part.stat().st_size for part in file.parent.iterdir()) / 1e6
    say(f"{done}: {megabytes:,.1f} MB, loaded in {seconds:.1f} s")
    return file


def _export(installed: Installed, checkpoint: Path, file: Path, say: Callable[[str], None]) -> float:
    """From weights to the file; the seconds that loading it took."""
    network, deployment = installed.network, installed.deployment
    config = Path(installed.config) if installed.config else None
    contract = build.load(network, checkpoint, deployment, config)
    if millions := sum(p.numel() for p in contract.parameters()) / 1e6:  # an ONNX export brings none
        say(f"{checkpoint.name}: {millions:,.1f} million parameters fit {network.name}")
    # At once, because torch ends the whole process when its file cannot be written to the end.
    weights = sum(tensor.numel() * tensor.element_size() for tensor in contract.state_dict().values())
    check_space(file.parents[1], weights + GRAPH_BYTES)
    return exporter(deployment.format)(contract, build.example(network), file)


def _exchange(repository: Repository, wanted: Repository, new: Path, replaced: Path) -> None:
    """Move the folders in `new` among those of the networks, what they replace into `replaced`, and write the
    configurations of `wanted`; or leave all as `repository` says."""
    models, moved = repository.folders[0], []
    try:
        for folder in sorted(new.iterdir()):
            if (models / folder.name).exists():
                (models / folder.name).rename(replaced / folder.name)
            folder.rename(models / folder.name)
            moved.append(models / folder.name)
        write_configs(wanted)
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
        for folder in replaced.iterdir():
            folder.rename(models / folder.name)
        write_configs(repository)
        raise


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
