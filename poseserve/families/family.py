"""The record of a family of networks: every module of this folder that holds a family has one, named FAMILY."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from poseserve.families.flip import FlipTest

if TYPE_CHECKING:
    from poseserve.catalogue import Network

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Opened:
    """A detector whose architecture came with its file. mean, std: on the scale 0..255, RGB; dtype: of what it takes.

    decode: from its raw output to the rows of the detector's contract. chunk: images that it takes at once.
    """

    network: nn.Module
    decode: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: torch.dtype = torch.float32
    chunk: int = 4


@dataclass(frozen=True)
class Family:
    """A family of networks.

    outputs: task -> what turns the raw output into the contract's (outputs.py). build: the bare network with the
    official keys, on torch's default device; ValueError for a size or task that there is not. build_portable: the same
    in the arithmetic that ONNX Runtime and OpenVINO have on CPUs, where that is another. state: picks the network's own
    state dict out of that of its file. flip: makes a flip test of a bare network; mirrored: the index of each label in
    a mirrored image. open: of detectors that are read from a file whole; the last argument is mmdet's configuration.
    mean, std: by which its inputs are normalised, RGB on the scale 0..255. as_is: its files keep the contract of their
    task already, and are served as they are. input_size: of networks of one's own, where the catalogue has none of the
    family. options: of `poseserve add`, which other families do not have.
    """

    outputs: Mapping[str, Callable[[Network], nn.Module]]
    build: Callable[[Network], nn.Module] | None = None
    build_portable: Callable[[Network], nn.Module] | None = None
    state: Callable[[dict[str, Tensor], Network], dict[str, Tensor]] = lambda state, network: state
    flip: Callable[[nn.Module, Sequence[int]], nn.Module] = FlipTest
    open: Callable[[Network, Path, Path | None], Opened] | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    as_is: bool = False
    input_size: tuple[int, int] | None = None
    options: tuple[str, ...] = ()


@cache
def families() -> dict[str, Family]:
    """Every family by its module's name."""
    folder = Path(__file__).parent
    modules = {m.name: import_module(f"poseserve.families.{m.name}") for m in iter_modules([str(folder)])}
    return {name: module.FAMILY for name, module in modules.items() if hasattr(module, "FAMILY")}
