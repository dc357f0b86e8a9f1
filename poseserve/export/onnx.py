"""From a trained network to the ONNX file that Triton serves: the same contracts as in export.py.

The exporter sees one chunk of rows, which is plain arithmetic; the loop over the chunks is written here, as ONNX text.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.parser
import onnx.version_converter
import onnxruntime
import torch
from torch import Tensor, nn
from torch.onnx import symbolic_helper

from poseserve.errors import ExportError
from poseserve.export.agreement import WANTED, agreement
from poseserve.families.yolo import OnnxYolo
from poseserve.networks.contracts import DetectorContract, ImageContract, PoseContract

OPSET = 17  # of 2022: every ONNX Runtime that Triton has shipped since then reads it, and its IR version 8
MAX_BYTES = 2**31 - 2**24  # of weights in one file: protobuf's limit is 2 GB
TYPES = {torch.uint8: "uint8", torch.float16: "float16", torch.float32: "float"}
TOLERANCE, HALF_TOLERANCE = 1e-3, 3e-2  # relative, and absolute for numbers below 1

# `rows` are those to be worked on; every turn of the loop takes a chunk of them and appends its answers. The number of
# turns is a quotient without rest: OpenVINO (2026.4) rounds others to the nearest integer, and takes one without rows.
GRAPH = """
<ir_version: {ir_version}, opset_import: [{opsets}]>
contract ({inputs}) => ({kind}[batch, {row}] OUTPUT__0)
<
    int64 chunk = {{{chunk}}}, int64 last = {{{last}}}, bool on = {{1}},
    int64[1] first = {{0}}, int64[{dims}] row = {{{row}}}
>
{{
    batch = Shape <start = 0, end = 1> (INPUT__0)
    {choice}
    count = Size(rows)
    above = Add(count, last)
    rest = Mod(above, chunk)
    whole = Sub(above, rest)
    chunks = Div(whole, chunk)
    none_shape = Concat <axis = 0> (first, row)
    none = ConstantOfShape <value = {kind}[1] {{0}}> (none_shape)
    answers = Loop (chunks, on, none) <body = turn
        (int64 number, bool going_on, {kind}[done, {row}] before) => (bool still_going_on, {kind}[more, {row}] after)
        {{
            still_going_on = Identity(going_on)
            begin = Mul(number, chunk)
            end = Add(begin, chunk)
            begins = Unsqueeze(begin, first)
            ends = Unsqueeze(end, first)
            mine = Slice(rows, begins, ends)
            {gathers}
            after = Concat <axis = 0> (before, part_answer)
        }}
    >
    {output}
}}
"""
ALL_ROWS = """
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    size = Squeeze(batch)
    rows = Range(zero, size, one)"""
ALL_ANSWERS = """
    OUTPUT__0 = Identity(answers)"""
ROWS_WITH_AREA = """
    width = Constant <value_ints = [2]> ()
    behind_height = Constant <value_ints = [4]> ()
    across = Constant <value_ints = [1]> ()
    nothing = Constant <value_float = 0.0> ()
    sides = Slice(INPUT__1, width, behind_height, across)
    positive = Greater(sides, nothing)
    numbers = Cast <to = 7> (positive)
    area = ReduceMin <axes = [1], keepdims = 0> (numbers)
    somebody = NonZero(area)
    rows = Squeeze(somebody, first)"""
ZEROS_ELSEWHERE = """
    people_shape = Concat <axis = 0> (batch, row)
    nobody = ConstantOfShape <value = float[1] {0}> (people_shape)
    column = Unsqueeze(rows, across)
    OUTPUT__0 = ScatterND(nobody, column, answers)"""


def export_onnx(contract: nn.Module, example: tuple[Tensor, ...], path: Path) -> float:
    """Export a contract of contracts.py as the ONNX file `path`: inputs INPUT__0 and, of a pose network, INPUT__1,
    output OUTPUT__0, the first dimension of each free. Weights above 2 GB come to lie beside it, in `<name>.data`.

    example: inputs of the contract, one row of each is enough. ONNX Runtime's CPU provider must answer it as the eager
    contract does before the file is kept: nine tenths of the numbers (agreement.py) within a thousandth, in half
    precision within three hundredths. Not all of them, because the two add in different orders. Returns the seconds
    that loading took. Raises ExportError when they differ by more, or when ONNX Runtime cannot run the network.
    """
    contract.eval()
    owners = {tensor.dtype: name for name, tensor in [*contract.named_parameters(), *contract.named_buffers()]}
    if torch.bfloat16 in owners:
        raise ExportError(
            f"{owners[torch.bfloat16]} is bfloat16, which ONNX Runtime cannot compute on a CPU: use fp16 or fp32"
        )
    with torch.no_grad():
        expected = contract(*example)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        staged = Path(folder) / path.name
        _write(contract, example, expected, staged)
        seconds = _compare(staged, example, expected, HALF_TOLERANCE if torch.float16 in owners else TOLERANCE)
        for file in Path(folder).iterdir():
            file.replace(path.parent / file.name)
    return seconds


class _Chunk(nn.Module):
    """What the contract does with one chunk of rows, all of them somebody."""

    def __init__(self, contract: nn.Module) -> None:
        super().__init__()
        self.contract: Any = contract
        if isinstance(contract, DetectorContract):  # its suppression loops until nothing changes: no trace holds that
            self.decode = torch.jit.script(contract.decode)

    def forward(self, images: Tensor, *regions: Tensor) -> Tensor:
        contract = self.contract
        raw = contract.network(contract.normalise(images))
        if isinstance(contract, DetectorContract):
            return self.decode(raw)
        if isinstance(contract, ImageContract):
            return contract.answer(raw, images.shape[1], images.shape[2])
        return contract.decode(raw, *regions)


def _chunk(contract: Any, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """_Chunk in ONNX: part_images and, of a pose network, part_regions -> part_answer."""
    if isinstance(contract.network, OnnxYolo):
        model = _around(contract, example)
    else:
        model = _exported(_Chunk(contract), example, ["images", "regions"][: len(example)])
    onnx.compose.add_prefix_graph(model.graph, "part_", inplace=True)
    return model


def _around(contract: Any, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """The same where the network is an ONNX graph already: images -> answer."""
    own = contract.network.model
    with torch.no_grad():
        raw = contract.network(contract.normalise(*example))
    before = _exported(contract.normalise, example, ["images"])
    after = _exported(nn.Sequential(torch.jit.script(contract.decode)), (raw,), ["raw"])  # scripted as in _Chunk
    given = _opset(own)
    opset = max(OPSET, given)  # to a newer one everything can be converted, to an older one little
    try:
        before, own, after = (_converted(model, opset) for model in (before, own, after))
        merge, planes, raw = onnx.compose.merge_models, own.graph.input[0].name, own.graph.output[0].name
        model = merge(before, own, [("answer", planes)], prefix1="before_", prefix2="own_")
        return merge(model, after, [(f"own_{raw}", "raw")])
    except Exception as error:  # what converter, merger and checker raise has nothing else in common
        raise ExportError(
            f"the network's graph of opset {given} cannot be made part of one of opset {opset} ({error}): export it "
            f"again, with opset {OPSET}"
        ) from error


def _opset(model: onnx.ModelProto) -> int:
    return next(x.version for x in model.opset_import if x.domain in ("", "ai.onnx"))


def _converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    if _opset(model) != opset:
        model = onnx.version_converter.convert_version(model, opset)
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    return model


def _exported(module: nn.Module, example: tuple[Tensor, ...], names: list[str]) -> onnx.ModelProto:
    """A module of one output, `answer`, in ONNX; the first dimension of everything is free."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad(), redirect_stdout(None):
        # Of sizes that are the same for every input; and deprecated in favour of an exporter that takes no open loops.
        warnings.simplefilter("ignore")
        # Traced before the exporter sees it: of a bare module it takes the example's batch for the only one.
        traced = torch.jit.trace(module.eval(), example, check_trace=False)
        path = str(Path(folder) / "chunk.onnx")
        try:
            torch.onnx.export(
                traced,
                example,
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=["answer"],
                dynamic_axes={name: {0: "rows"} for name in [*names, "answer"]},
            )
        except RuntimeError as error:  # its first line says what, the others hold the graph
            raise ExportError(f"the network cannot be written as ONNX: {str(error).splitlines()[0]}") from error
        return onnx.load(path)


def _write(contract: Any, example: tuple[Tensor, ...], expected: Tensor, path: Path) -> None:
    chunk = _chunk(contract, example)
    opsets = {x.domain: x.version for x in chunk.opset_import}
    pose = isinstance(contract, PoseContract)
    shapes = [", ".join(map(str, x.shape[1:])) for x in (*example, expected)]
    inputs = [f"{TYPES[x.dtype]}[batch, {shapes[n]}] INPUT__{n}" for n, x in enumerate(example)]
    gathers = [f"{x.name} = Gather(INPUT__{n}, mine)" for n, x in enumerate(chunk.graph.input)]
    model = onnx.parser.parse_model(
        GRAPH.format(
            ir_version=chunk.ir_version,
            opsets=", ".join(f'"{name}": {version}' for name, version in opsets.items()),
            inputs=", ".join(inputs),
            kind=TYPES[expected.dtype],
            row=shapes[-1],
            dims=expected.dim() - 1,
            chunk=contract.chunk,
            last=contract.chunk - 1,
            choice=ROWS_WITH_AREA if pose else ALL_ROWS,
            gathers="\n".join(gathers),
            output=ZEROS_ELSEWHERE if pose else ALL_ANSWERS,
        )
    )
    (turn,) = (node.attribute[0].g for node in model.graph.node if node.op_type == "Loop")
    concatenation = turn.node.pop()
    turn.node.extend([*chunk.graph.node, concatenation])
    # Inside the loop: weights outside of it would keep their layout, and convolutions would be twice as slow.
    turn.initializer.extend(chunk.graph.initializer)
    beside = sum(len(weight.raw_data) for weight in turn.initializer) > MAX_BYTES
    del chunk
    onnx.save_model(model, str(path), save_as_external_data=beside, location=f"{path.name}.data")


def _compare(path: Path, example: tuple[Tensor, ...], expected: Tensor, tolerance: float) -> float:
    """Raise ExportError unless the file answers the example, twice in one batch, with `expected`; seconds to load."""
    started = time.perf_counter()
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        seconds = time.perf_counter() - started
        inputs = {f"INPUT__{n}": np.concatenate([x.numpy()] * 2) for n, x in enumerate(example)}
        found = torch.from_numpy(session.run(None, inputs)[0])
    except Exception as error:  # ONNX Runtime's exceptions have nothing else in common
        raise ExportError(f"ONNX Runtime cannot run the exported network: {error}") from error
    share = agreement(found, torch.cat([expected] * 2), tolerance)
    if share < WANTED:
        raise ExportError(
            f"the exported network differs from the eager one: {share:.0%} of its numbers agree within "
            f"{tolerance:g}, must be {WANTED:.0%}"
        )
    return seconds


@symbolic_helper.parse_args("v", "i", "is")
def _unflatten(graph: Any, x: Any, dim: int, sizes: list[int]) -> Any:
    """The exporter's own version forgets how many dimensions there are."""
    shape = symbolic_helper._get_tensor_sizes(x)
    if None not in shape:  # a weight, of which the exporter would take all of Shape, not the part asked for
        return graph.op("Reshape", x, _constant(graph, [*shape[:dim], *sizes, *shape[dim + 1 :]]))
    before, after = graph.op("Shape", x, end_i=dim), graph.op("Shape", x, start_i=dim + 1)
    return graph.op("Reshape", x, graph.op("Concat", before, _constant(graph, sizes), after, axis_i=0))


def _constant(graph: Any, numbers: list[int]) -> Any:
    return graph.op("Constant", value_t=torch.tensor(numbers))


torch.onnx.register_custom_op_symbolic("aten::unflatten", _unflatten, OPSET)
