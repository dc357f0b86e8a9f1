"""The Python-based OpenVINO backend in a real Triton: names, merging, parameters, errors, a whole contract."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnx.parser
import openvino
import pytest
import torch
from torch import nn
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from poseserve.catalogue import Network
from poseserve.deployment import Deployment
from poseserve.export.onnx import export_onnx
from poseserve.networks.contracts import PoseContract, StrideHeatmaps, UdpHeatmaps
from poseserve.repository.config import network_files
from poseserve.repository.installed import Installed
from poseserve.serving.server import Server

BATCHES = "max_batch_size: 8 "
MERGED = BATCHES + "dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 20000000 } "
DIFFERENCE = "(float[n, 2] x, float[n, 2] y) => (float[n, 2] d, float[n, 2] s) { d = Sub(x, y) s = Add(x, y) }"
NEGATIVE = "(float[n, 2] x) => (float[n, 2] y) { y = Neg(x) }"
TYPES = {"BOOL": ("bool", np.bool_), "UINT8": ("uint8", np.uint8), "INT64": ("int64", np.int64)}
TYPES |= {"FP16": ("float16", np.float16), "FP32": ("float", np.float32)}
X = 'input { name: "x" data_type: TYPE_FP32 dims: 2 } '
Y = 'output { name: "y" data_type: TYPE_FP32 dims: 2 } '


def parameters(**values: object) -> str:
    return "".join(f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }} ' for k, v in values.items())


# Name -> rest of the configuration, graph, reason.
REFUSED = {
    "input_name": (X.replace('"x"', '"z"') + Y, NEGATIVE, "unexpected inference input 'z', allowed inputs are: x"),
    "output_name": (X + Y.replace('"y"', '"z"'), NEGATIVE, "unexpected inference output 'z', allowed outputs are: y"),
    "count": (X + Y.replace('"y"', '"d"'), DIFFERENCE, "configuration expects 1 inputs, model provides 2"),
    "type": (X.replace("FP32", "INT8") + Y, NEGATIVE, "expects datatype TYPE_INT8 for input 'x', model provides f32"),
    "text": (X.replace("FP32", "STRING") + Y, NEGATIVE, "unsupported datatype TYPE_STRING for input 'x'"),
    "threads": (X + Y + parameters(INFERENCE_NUM_THREADS="many"), NEGATIVE, "to be a non-negative number, got many"),
    "half": (X + Y + parameters(HINT_BF16="perhaps"), NEGATIVE, "'HINT_BF16' to be YES, got perhaps"),
    "missing": (X + Y, None, "unable to find '"),
    "corrupt": (X + Y, NEGATIVE, "model.onnx"),
}


def write(repository: Path, name: str, rest: str, graph: str | None) -> Path:
    """A model's folder; returns the path of its file, which there is only with a graph."""
    path = repository / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    text = f'name: "{name}" backend: "openvino" default_model_filename: "model.onnx" {rest}'
    text += " instance_group { kind: KIND_CPU }"
    (repository / name / "config.pbtxt").write_text(text, encoding="utf-8")
    if graph is not None:
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> graph {graph}')
        onnx.save_model(model, str(path))
    return path


class Corners(nn.Module):
    """Three heatmaps, [B, 3, 8, 6] from [B, 3, 32, 24]: the means of cells of 4 pixels, of each colour."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, 4)


EXAMPLE = torch.zeros(1, 32, 24, 3, dtype=torch.uint8), torch.tensor([[12.0, 16.0, 24.0, 32.0]])


@pytest.mark.parametrize("decode", [StrideHeatmaps(), UdpHeatmaps(), UdpHeatmaps(mirror=True)])
def test_openvino_answers_for_nobody_and_for_full_chunks(decode: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(0)
    contract = PoseContract(Corners(), decode, 3, chunk=2)
    export_onnx(contract, EXAMPLE, tmp_path / "model.onnx")
    request = openvino.Core().compile_model(tmp_path / "model.onnx", "CPU").create_infer_request()
    for people in ([True], [False], [True, True], [False, False], [True] * 5, [True, False, True, False, True, True]):
        crops = torch.randint(256, (len(people), 32, 24, 3), dtype=torch.uint8)
        regions = EXAMPLE[1] * torch.tensor(people)[:, None]
        found = request.infer([crops.numpy(), regions.numpy()])["OUTPUT__0"]
        assert found.any((1, 2)).tolist() == people
        np.testing.assert_allclose(found[..., 2], contract(crops, regions)[..., 2], atol=0.02)


@pytest.fixture(scope="module")
def contract() -> PoseContract:
    return PoseContract(Corners(), StrideHeatmaps(), 3, chunk=2)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, contract: PoseContract) -> Iterator[SimpleNamespace]:
    """A server of sound and of refused models: its client, and states (name -> state and reason)."""
    repository = tmp_path_factory.mktemp("repository")
    both = X + X.replace('"x"', '"y"') + Y.replace('"y"', '"s"') + Y.replace('"y"', '"d"')
    options = parameters(INFERENCE_NUM_THREADS=1, NUM_STREAMS=1, PERFORMANCE_HINT="LATENCY", ENABLE_BATCH_PADDING="YES")
    write(repository, "merged", MERGED + both + options, DIFFERENCE)
    every = [
        f'{kind} {{ name: "{kind}_{t}" data_type: TYPE_{t} dims: -1 }}' for kind in ("input", "output") for t in TYPES
    ]
    tensors = [", ".join(f"{t}[n_{n}] {kind}_{n}" for n, (t, _) in TYPES.items()) for kind in ("input", "output")]
    copies = " ".join(f"output_{t} = Identity(input_{t})" for t in TYPES)
    write(repository, "types", " ".join(every), f"({tensors[0]}) => ({tensors[1]}) {{ {copies} }}")
    fours = "(float[n, 2] x) => (float[m, 4] y) { s = Constant <value_ints = [-1, 4]> () y = Reshape(x, s) }"
    write(repository, "picky", X.replace("dims: 2", "dims: [-1, 2]") + Y.replace("dims: 2", "dims: [-1, 4]"), fours)
    for name, (rest, graph, _) in REFUSED.items():
        path = write(repository, name, BATCHES + rest, graph)
        if name == "corrupt":
            path.write_bytes(path.read_bytes()[:-20])
    installed = Installed(
        Network("whole", "pose", (32, 24), labels="coco_17"), Deployment("bf16", "openvino", threads=1)
    )
    export_onnx(contract, EXAMPLE, repository / "whole" / "1" / "model.onnx")
    for file, content in network_files(installed, repository / "whole").items():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content.replace(b"dims: [17, 3]", b"dims: [3, 3]"))
    with Server([repository], http_port=0, grpc_port=0, metrics_port=0, exit_on_error=False) as server:
        client = InferenceServerClient(server.grpc_url)
        states = {m.name: (m.state, m.reason) for m in client.get_model_repository_index().models}
        yield SimpleNamespace(client=client, states=states)
        client.close()


def _inputs(arrays: dict[str, np.ndarray]) -> list[InferInput]:
    inputs = []
    for name, array in arrays.items():
        inputs.append(InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def test_concurrent_requests_are_merged_and_split(served: SimpleNamespace) -> None:
    requests = [{"x": np.full((n, 2), n, np.float32), "y": np.full((n, 2), 10, np.float32)} for n in (1, 2, 1)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda request: served.client.infer("merged", _inputs(request)), requests))
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer.as_numpy("d"), request["x"] - request["y"])
        np.testing.assert_array_equal(answer.as_numpy("s"), request["x"] + request["y"])
    statistics = served.client.get_inference_statistics("merged").model_stats[0]
    assert (statistics.inference_count, statistics.execution_count) == (4, 1)


def test_every_type_passes_unchanged_and_only_what_is_asked_for(served: SimpleNamespace) -> None:
    sent = {name: np.arange(3).astype(dtype) for name, (_, dtype) in TYPES.items()}
    inputs = _inputs({f"input_{n}": a for n, a in sent.items()})
    result = served.client.infer("types", inputs)
    for name, array in sent.items():
        received = result.as_numpy(f"output_{name}")
        assert received.dtype == array.dtype
        np.testing.assert_array_equal(received, array)
    result = served.client.infer("types", inputs, outputs=[InferRequestedOutput("output_FP16")])
    assert [output.name for output in result.get_response().outputs] == ["output_FP16"]


def test_a_failed_run_is_an_error_and_the_next_request_succeeds(served: SimpleNamespace) -> None:
    with pytest.raises(InferenceServerException, match="openvino error in running inference") as caught:
        served.client.infer("picky", _inputs({"x": np.zeros((3, 2), np.float32)}))
    assert caught.value.status() == "StatusCode.INTERNAL"
    assert served.client.infer("picky", _inputs({"x": np.ones((2, 2), np.float32)})).as_numpy("y").shape == (1, 4)


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_served_is_refused_with_its_reason(served: SimpleNamespace, name: str) -> None:
    state, reason = served.states[name]
    assert state == "UNAVAILABLE"
    assert REFUSED[name][2] in reason


def test_a_whole_contract_answers_as_the_network_does(served: SimpleNamespace, contract: PoseContract) -> None:
    """In the configuration that `poseserve add --format openvino --precision bf16` writes."""
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (5, 32, 24, 3), dtype=np.uint8)
    regions = np.array([[12, 16, 24, 32], [0, 0, 0, 0], [50, 60, 240, 320], [5, 5, 12, 16], [9, 9, 24, 32]], np.float32)
    with torch.inference_mode():
        expected = contract(torch.from_numpy(crops), torch.from_numpy(regions)).numpy()
    found = served.client.infer("whole", _inputs({"INPUT__0": crops, "INPUT__1": regions})).as_numpy("OUTPUT__0")
    np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=0.02)  # bfloat16 has 8 bits
    agreeing = np.isclose(found[..., :2], expected[..., :2], atol=0.5, rtol=0).all(-1)
    assert agreeing.mean() > 0.8, "but for near ties, the same pixel"
    assert not found[1].any(), "a region without area is nobody"
