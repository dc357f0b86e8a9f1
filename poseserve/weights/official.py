"""The official weights of a network of the catalogue: those downloaded earlier, or fetched now."""

from __future__ import annotations

from pathlib import Path

from poseserve.catalogue import OFFICIAL_TASKS, Network
from poseserve.errors import FetchError
from poseserve.weights import fetch

TORCHSCRIPT = "_torchscript.pt2"  # ending of the names under which the catalogue knows the files of Sapiens


def official_weights(network: Network, licence_accepted: bool) -> Path:
    """The network's checkpoint on this machine: downloaded earlier, or fetched now. Raises FetchError, LicenceError."""
    checkpoint = network.checkpoint
    if checkpoint is None:
        raise FetchError(f"{network.name} has no official weights: give a file, --checkpoint FILE")
    name = Path(checkpoint.file).name
    local = fetch.find_local(*_sapiens_place(network, name))
    if local is not None:
        return local
    if not checkpoint.repository and not checkpoint.url:
        raise FetchError(
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
