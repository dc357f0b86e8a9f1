"""From an entry of the catalogue to its network, and to the contract around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from poseserve.catalogue import LABELLED, Network
from poseserve.deployment import Deployment
from poseserve.export.torchscript import fold_batch_norms
from poseserve.families import mmdet, posehrnet, rtmdet, sapiens, sapiens2, simdr, vitpose, yolo
from poseserve.networks.batch_sizes import map_rows
from poseserve.networks.contracts import (
    Depth,
    DetectorContract,
    Features,
    FlipTest,
    ImageContract,
    Matting,
    Normalise,
    Normals,
    Pointmap,
    PoseContract,
    RankedClasses,
    SimdrBins,
    SimdrFlipTest,
    StrideHeatmaps,
    UdpHeatmaps,
)
from poseserve.weights import checkpoints

BUILDERS: dict[str, Callable[[Network], nn.Module]] = {
    "sapiens": lambda n: sapiens.build(n.size, n.task, n.outputs),
    "sapiens2": lambda n: sapiens2.build(n.size, n.task, n.outputs),
    "vitpose": lambda n: vitpose.build(n.size, n.task, n.outputs),
    "posehrnet": lambda n: posehrnet.build(n.size, n.task, n.outputs),
    "simdr": lambda n: simdr.build(n.size, n.task, n.outputs, n.input_size),
    "rtmdet": lambda n: rtmdet.build(n.size, n.task, n.outputs),
}
# What turns the raw answer into the contract's; families that were trained with UDP differ in the blur alone.
DECODES: dict[str, Callable[[], nn.Module]] = {
    "vitpose": lambda: UdpHeatmaps(mirror=True),
    "posehrnet": StrideHeatmaps,
    "simdr": SimdrBins,
}
ANSWERS: dict[str, Callable[[], nn.Module]] = {
    "parts": RankedClasses,
    "depth": Depth,
    "normals": Normals,
    "features": Features,
    "pointmap": Pointmap,
    "matting": Matting,
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def bare(network: Network) -> nn.Module:
    """The bare network with the official keys, on torch's current default device (`with torch.device("meta")` costs
    nothing). Raises ValueError for a family, size or task that there is not."""
    if network.family not in BUILDERS:
        raise ValueError(f"{network.name}: family {network.family!r} is not built from weights alone")
    return BUILDERS[network.family](network).eval()


def load(network: Network, checkpoint: Path, deployment: Deployment, config: Path | None = None) -> nn.Module:
    """The network of that checkpoint in its contract, for that precision and format. config: of an mmdet detector.

    Raises CheckpointError when the file does not fit, ValueError for what its family cannot do.
    """
    if network.family in FOREIGN:
        if deployment.weights != "fp32" or deployment.flip_test:
            raise ValueError(f"{network.name}: detectors of {network.family} are served in fp32 and without flip test")
        return FOREIGN[network.family](network, checkpoint, config)
    state = checkpoints.read(checkpoint)
    if network.family == "vitpose" and any(".mlp.experts." in name for name in state):  # six tasks in one file
        state = vitpose.split(state, network.name.rpartition("-")[2])
    with torch.device("meta"):
        if network.family == "sapiens2" and deployment.format != "torchscript":  # which has no bfloat16 on a CPU
            unfilled = sapiens2.build(network.size, network.task, network.outputs, rotary=torch.float32).eval()
        else:
            unfilled = bare(network)
    checkpoints.load_strict(unfilled, state, checkpoint.name)
    return contract(network, unfilled, deployment.weights, deployment.flip_test)


def _yolo(network: Network, checkpoint: Path, config: Path | None) -> nn.Module:
    bare = yolo.load(checkpoint, network.size, network.input_size, network.class_index)
    decode = yolo.Decode(network.size, network.class_index, network.input_size)
    unit = Normalise((0.0,) * 3, (255.0,) * 3, bare.dtype)
    return DetectorContract(bare, decode, unit, bare.chunk)


def _mmdet(network: Network, checkpoint: Path, config: Path | None) -> nn.Module:
    if config is None:
        raise ValueError(f"{network.name}: a detector of mmdet needs --config FILE")
    return mmdet.build(config, checkpoint, network.class_index, network.input_size)


# Detectors whose architecture is not ours.
FOREIGN: dict[str, Callable[[Network, Path, Path | None], nn.Module]] = {"yolo": _yolo, "mmdet": _mmdet}


def contract(network: Network, bare: nn.Module, precision: str = "fp32", flip_test: bool = False) -> nn.Module:
    """`bare` in its task's contract, at that precision, batch norms folded; the border's numbers stay what they are.

    Raises ValueError for a flip test of a task that has no sides to exchange.
    """
    fold_batch_norms(bare)
    bare.to(DTYPES[precision])
    if flip_test:
        bare = _flip_tested(network, bare)
    normalise = Normalise(dtype=DTYPES[precision])
    if network.task == "detector":
        return DetectorContract(bare, rtmdet.Decode(network.input_size), normalise)
    if network.task == "pose":
        decode = DECODES.get(network.family, UdpHeatmaps)()
        return PoseContract(bare, decode, network.outputs, normalise)
    cpu_chunk, chunk = map_rows(*network.input_size)
    return ImageContract(bare, ANSWERS[network.task](), normalise, chunk, cpu_chunk)


def _flip_tested(network: Network, bare: nn.Module) -> nn.Module:
    if network.task not in LABELLED or network.labels is None:
        raise ValueError(f"{network.name}: a flip test is for pose and parts networks")
    mirrored = LABELLED[network.task](network.labels).mirrored
    if network.family == "simdr":
        return SimdrFlipTest(bare, mirrored)
    return FlipTest(bare, mirrored, lag=1 if network.family == "posehrnet" else 0)


def example(network: Network) -> tuple[Tensor, ...]:
    """Inputs of the contract for one row: an image of coarse and fine blocks, the same every time."""
    height, width = network.input_size
    rng = np.random.default_rng(0)
    coarse, fine = (rng.integers(0, 256, (-(-height // n), -(-width // n), 3)) for n in (32, 4))
    blocks = [b.repeat(n, 0).repeat(n, 1)[:height, :width] for b, n in ((coarse, 32), (fine, 4))]
    image = torch.from_numpy(((2 * blocks[0] + blocks[1]) // 3).astype(np.uint8))[None]
    if network.task != "pose":
        return (image,)
    return image, torch.tensor([[width / 2, height / 2, width, height]], dtype=torch.float32)
