"""A file that keeps the contract of its task already: tried as Triton will use it, and served as it is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poseserve.catalogue import Network
from poseserve.deployment import INSTALL, Deployment
from poseserve.errors import InputError, concerning
from poseserve.export.agreement import WANTED, agreement
from poseserve.export.torchscript import refuse_device_literals
from poseserve.families.files import is_onnx
from poseserve.networks.batch_sizes import GPU_ROWS
from poseserve.networks.build import example
from poseserve.tasks import TensorSpec
from poseserve.weights.disk import check_space

Answer = Callable[[Sequence[Tensor]], Tensor]
"""What the file answers to inputs of the contract, a batch of rows each."""

DTYPES = {"UINT8": torch.uint8, "FP16": torch.float16, "FP32": torch.float32}
ONNX_TYPES = {"tensor(uint8)": "UINT8", "tensor(float16)": "FP16", "tensor(float)": "FP32"}
ROWS = GPU_ROWS + 1  # of the largest batch that is tried: more than a chunk of any contract of contracts.py
TOLERANCE = 3e-2  # half precision passes; rows that are mixed up are far from it


def take(network: Network, checkpoint: Path, deployment: Deployment, rows: int, path: Path) -> float:
    """Copy the file to `path`, with the weights that lie beside it, and try it there; the seconds that loading took.

    rows: most in one execution. Raises InputError, which says how the file differs from the contract or what it cannot
    do, ExportError for a file that is bound to one device, DiskFullError.
    """
    onnx = is_onnx(checkpoint)
    kind, formats = ("ONNX", ("onnx", "openvino")) if onnx else ("TorchScript", ("torchscript",))
    if deployment.format not in formats:
        raise InputError(f"{checkpoint} is {kind} and is served as it is: give --format {' or '.join(formats)}")
    if deployment.weights != "fp32" or deployment.flip_test:
        raise InputError(f"{checkpoint} is served as it is: in its own precision, with no other flip test than its own")
    try:
        with concerning(checkpoint):
            files = [checkpoint, *(_weights_beside(checkpoint) if onnx else [])]
            check_space(path, sum(file.stat().st_size for file in files))
            path.parent.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copyfile(file, path if file == checkpoint else path.parent / file.name)
            started = time.perf_counter()
            answer = (_onnx if onnx else _torchscript)(path, network)
            seconds = time.perf_counter() - started
            _try(answer, network, min(rows, ROWS))
    except ImportError as error:
        raise InputError(f"{checkpoint} is ONNX, which needs more packages: {INSTALL.format('onnx')}") from error
    return seconds


def _weights_beside(path: Path) -> list[Path]:
    """The files of the weights that an ONNX file does not hold itself."""
    import onnx  # an optional package, as ONNX Runtime below

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # see _onnx
        raise ValueError(f"no ONNX that can be read: {_last_line(error)}") from error
    names = {entry.value for weight in graph.initializer for entry in weight.external_data if entry.key == "location"}
    if elsewhere := sorted(name for name in names if Path(name).name != name):
        raise ValueError(f"holds its weights in {', '.join(elsewhere)}, must be files beside it")
    return [path.parent / name for name in sorted(names)]


def _torchscript(path: Path, network: Network) -> Answer:
    try:
        module = torch.jit.load(str(path), map_location="cpu")
        takes = [argument.type.str() for argument in module.forward.schema.arguments[1:]]
    except (RuntimeError, AttributeError) as error:  # the second of a module without forward()
        raise ValueError(f"torch cannot load it: {_last_line(error)}") from error
    refuse_device_literals(module)
    inputs = network.record.inputs(network)
    if takes != ["Tensor"] * len(inputs):
        raise ValueError(f"its forward() takes {', '.join(takes)}, must take {_shown(inputs)}")

    def answer(tensors: Sequence[Tensor]) -> Tensor:
        with torch.inference_mode():
            answered: Tensor = module(*tensors)
        return answered

    return answer


def _onnx(path: Path, network: Network) -> Answer:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have nothing else in common
        raise ValueError(f"ONNX Runtime cannot load it: {_last_line(error)}") from error
    # Triton lets an input be of any size, but wants to know that of an output.
    takes, answers = _specs(session.get_inputs()), _specs(session.get_outputs())
    for does, found, wanted, free in (
        ("takes", takes, network.record.inputs(network), True),
        ("answers", answers, [network.record.output(network)], False),
    ):
        batches = [replace(spec, shape=(-1, *spec.shape)) for spec in wanted]
        if len(found) != len(batches) or not all(any(_fits(x, spec, free) for x in found) for spec in batches):
            raise ValueError(f"it {does} {_shown(found)}, must be {_shown(batches)}; -1 is any number")
    return lambda tensors: torch.from_numpy(
        session.run(["OUTPUT__0"], {f"INPUT__{n}": tensor.numpy() for n, tensor in enumerate(tensors)})[0]
    )


def _specs(tensors: Sequence[Any]) -> list[TensorSpec]:
    """Of a session's inputs or outputs, as Triton knows them."""
    return [
        TensorSpec(x.name, ONNX_TYPES.get(x.type, x.type), tuple(n if isinstance(n, int) else -1 for n in x.shape))
        for x in tensors
    ]


def _fits(found: TensorSpec, wanted: TensorSpec, free: bool) -> bool:
    sizes = zip(found.shape[1:], wanted.shape[1:], strict=False)
    return (
        (found.name, found.dtype, found.shape[:1]) == (wanted.name, wanted.dtype, wanted.shape[:1])
        and len(found.shape) == len(wanted.shape)
        and all(there == due or (free and there == -1) for there, due in sizes)
    )


def _try(answer: Answer, network: Network, rows: int) -> None:
    """Raise ValueError, which says how an answer differs from the contract: one row, many, and nobody."""
    spec = network.record.output(network)
    # Rows that differ: bytes wrap around, regions move.
    batch = [
        torch.cat([x + 13 * n if x.dtype == torch.uint8 else x + n for n in range(rows)]) for x in example(network)
    ]
    together = _answered(answer, batch, spec)
    for n in sorted({0, rows // 2, rows - 1}):
        alone = _answered(answer, [x[n : n + 1] for x in batch], spec)
        _same(
            together[n], alone[0], f"row {n} of a batch of {rows} as that row alone (a trace keeps the number of rows)"
        )
    if network.task == "detector":
        _try_detections(together)
    if network.record.is_mask and (together[..., :2] >= network.outputs).any():
        raise ValueError(f"it answers class {together[..., :2].max()}, must be 0 to {network.outputs - 1}")
    if network.record.takes_regions:
        _try_nobody(answer, batch, together, spec)


def _try_nobody(answer: Answer, batch: Sequence[Tensor], together: Tensor, spec: TensorSpec) -> None:
    """Regions without area: of all people but the last, and of the only one."""
    images, regions = batch
    absent = regions.clone()
    absent[:-1, 2:] = 0
    found = _answered(answer, [images, absent], spec)
    if found[:-1].any() or _answered(answer, [images[:1], torch.zeros(1, 4)], spec).any():
        raise ValueError("it answers a region without area with other numbers than zeros")
    _same(found[-1], together[-1], "the row behind regions without area as among others")


def _try_detections(rows: Tensor) -> None:
    boxes, scores = rows[..., :4], rows[..., 4]
    if ((scores < 0) | (scores > 1)).any():
        raise ValueError(f"it answers scores from {scores.min():g} to {scores.max():g}, must be 0 to 1")
    if (scores[:, :-1] < scores[:, 1:]).any():
        raise ValueError("it answers rows that are not in order of their scores, the best first and empty ones last")
    if (odd := boxes[(scores > 0) & ~(boxes[..., :2] < boxes[..., 2:]).all(2)]).numel():
        raise ValueError(f"it answers the box {odd[0].tolist()}, must be x1, y1, x2, y2 with an area")


def _answered(answer: Answer, tensors: Sequence[Tensor], spec: TensorSpec) -> Tensor:
    """The answer to a batch, of the shape and the type that it must have."""
    rows = len(tensors[0])
    try:
        found = answer(tensors)
    except Exception as error:  # see _onnx
        raise ValueError(f"it does not answer {rows} rows: {_last_line(error)}") from error
    if not isinstance(found, Tensor):
        raise ValueError(f"it answers a {type(found).__name__}, must be one tensor")
    wanted = DTYPES[spec.dtype], [rows, *spec.shape]
    if (found.dtype, list(found.shape)) != wanted:
        there = f"{found.dtype} {list(found.shape)}"
        raise ValueError(f"it answers {rows} rows with {there}, must be {wanted[0]} {wanted[1]}")
    if not found.isfinite().all():
        raise ValueError("it answers numbers that are not finite")
    return found


def _same(found: Tensor, expected: Tensor, what: str) -> None:
    if (share := agreement(found, expected, TOLERANCE)) < WANTED:
        raise ValueError(f"it does not answer {what}: {share:.0%} of the numbers agree, must be {WANTED:.0%}")


def _shown(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{x.name} {x.dtype} {list(x.shape)}" for x in tensors)


def _last_line(error: Exception) -> str:
    """What a traceback in TorchScript ends with."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
