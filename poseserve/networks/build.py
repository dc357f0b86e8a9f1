"""From an entry of the catalogue to its network, and to the contract around it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from poseserve.catalogue import Network
from poseserve.deployment import Deployment
from poseserve.errors import InputError
from poseserve.families.family import Family, families
from poseserve.networks.batch_sizes import map_rows
from poseserve.networks.contracts import DetectorContract, ImageContract, Normalise, PoseContract
from poseserve.networks.folding import fold_batch_norms
from poseserve.weights import checkpoints

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def family_of(network: Network) -> Family:
    """Raises InputError for a family that there is not, such as that of the demo networks."""
    known = families()
    if network.family not in known:
        raise InputError(f"{network.name}: no family {network.family!r}, must be one of {', '.join(known)}")
    return known[network.family]


def bare(network: Network) -> nn.Module:
    """The bare network with the official keys, on torch's current default device (`with torch.device("meta")` costs
    nothing). Raises InputError for a family, ValueError for a size or task that there is not."""
    family = family_of(network)
    if family.build is None:
        raise InputError(f"{network.name}: family {network.family!r} is not built from weights alone")
    return family.build(network).eval()


def load(network: Network, checkpoint: Path, deployment: Deployment, config: Path | None = None) -> nn.Module:
    """The network of that checkpoint in its contract, for that precision and format. config: of an mmdet detector.

    Raises CheckpointError when the file does not fit, ValueError for what its family cannot do.
    """
    family = family_of(network)
    if family.open is not None:
        if deployment.weights != "fp32" or deployment.flip_test:
            raise InputError(f"{network.name}: detectors of {network.family} are served in fp32 and without flip test")
        return DetectorContract.around(family.open(network, checkpoint, config))
    state = family.state(checkpoints.read(checkpoint), network)
    with torch.device("meta"):
        if family.build_portable is not None and deployment.format != "torchscript":
            unfilled = family.build_portable(network).eval()
        else:
            unfilled = bare(network)
    checkpoints.load_strict(unfilled, state, checkpoint.name)
    return contract(network, unfilled, deployment.weights, deployment.flip_test)


def contract(network: Network, module: nn.Module, precision: str = "fp32", flip_test: bool = False) -> nn.Module:
    """The bare network `module` in its task's contract, at that precision, batch norms folded; the border's numbers
    stay what they are.

    Raises InputError for a flip test of a task that has no sides to exchange.
    """
    family = family_of(network)
    fold_batch_norms(module)
    module.to(DTYPES[precision])
    if flip_test:
        if network.record.labels is None or network.labels is None:
            raise InputError(f"{network.name}: a flip test is for pose and parts networks")
        module = family.flip(module, network.record.labels(network.labels).mirrored)
    normalise = Normalise(family.mean, family.std, DTYPES[precision])
    output = family.outputs[network.task](network)
    if network.task == "detector":
        return DetectorContract(module, output, normalise)
    if network.record.takes_regions:
        return PoseContract(module, output, network.outputs, normalise)
    cpu_chunk, chunk = map_rows(*network.input_size)
    return ImageContract(module, output, normalise, chunk, cpu_chunk)


def example(network: Network) -> tuple[Tensor, ...]:
    """Inputs of the contract for one row: an image of coarse and fine blocks, the same every time."""
    height, width = network.input_size
    rng = np.random.default_rng(0)
    coarse, fine = (rng.integers(0, 256, (-(-height // n), -(-width // n), 3)) for n in (32, 4))
    blocks = [b.repeat(n, 0).repeat(n, 1)[:height, :width] for b, n in ((coarse, 32), (fine, 4))]
    image = torch.from_numpy(((2 * blocks[0] + blocks[1]) // 3).astype(np.uint8))[None]
    if not network.record.takes_regions:
        return (image,)
    return image, torch.tensor([[width / 2, height / 2, width, height]], dtype=torch.float32)
