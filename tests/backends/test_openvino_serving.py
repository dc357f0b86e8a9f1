"""The Python-based OpenVINO backend in a real Triton: names, merging, parameters, errors, a whole contract."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openvino
import pytest
import torch
from torch import nn
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from poseserve.catalogue import Network
from poseserve.deployment import Deployment
from poseserve.export.onnx import export_onnx
from poseserve.families.outputs import StrideHeatmaps, UdpHeatmaps
from poseserve.networks.contracts import PoseContract
from poseserve.repository.config import network_files
from poseserve.repository.installed import Installed
from poseserve.serving.server import scratch_server
from tests.backends.graphs import COMPANY, DIFFERENCE, NEGATIVE, OF_DIFFERENCE, Corners, X, Y, copies, write_graph
from tests.backends.inference import counts, inputs_of, seen_together
from tests.eventually import eventually

BATCHES = "max_batch_size: 8 "
MERGED = BATCHES + "dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 20000000 } "
TYPES = {"BOOL": ("bool", np.bool_), "UINT8": ("uint8", np.uint8), "INT64": ("int64", np.int64)}
TYPES |= {"FP16": ("float16", np.float16), "FP32": ("float", np.float32)}


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
    config = f'name: "{name}" backend: "openvino" default_model_filename: "model.onnx" {rest}'
    return write_graph(repository, config + " instance_group { kind: KIND_CPU }", graph)


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
def served(tmp_path_factory: pytest.TempPathFactory, contract: PoseContract) -> Iterator[SimpleNamespace]:
    """A server of sound and of refused models: its client, and states (name -> state and reason)."""
    repository = tmp_path_factory.mktemp("repository")
    options = parameters(INFERENCE_NUM_THREADS=1, NUM_STREAMS=1, PERFORMANCE_HINT="LATENCY", ENABLE_BATCH_PADDING="YES")
    write(repository, "merged", MERGED + OF_DIFFERENCE + options, DIFFERENCE)
    write(repository, "company", MERGED + X + Y, COMPANY)
    write(repository, "types", *copies({name: kind for name, (kind, _) in TYPES.items()}))
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
    with scratch_server([repository], exit_on_error=False) as server:
        client = InferenceServerClient(server.grpc_url)
        states = {m.name: (m.state, m.reason) for m in client.get_model_repository_index().models}
        yield SimpleNamespace(client=client, states=states)
        client.close()


def test_concurrent_requests_are_merged_and_split(served: SimpleNamespace) -> None:
    requests = [{"x": np.full((n, 2), n, np.float32), "y": np.full((n, 2), 10, np.float32)} for n in (1, 2, 1)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda request: served.client.infer("merged", inputs_of(request)), requests))
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer.as_numpy("d"), request["x"] - request["y"])
        np.testing.assert_array_equal(answer.as_numpy("s"), request["x"] + request["y"])
    assert eventually(lambda: counts(served.client, "merged"), (4, 1)) == (4, 1)


def test_the_network_sees_the_rows_of_merged_requests_at_once(served: SimpleNamespace) -> None:
    assert seen_together(served.client, "company", "x", "y") == [[4], [4, 4], [4]]


def test_every_type_passes_unchanged(served: SimpleNamespace) -> None:
    sent = {name: np.arange(3).astype(dtype) for name, (_, dtype) in TYPES.items()}
    inputs = inputs_of({f"input_{n}": a for n, a in sent.items()})
    result = served.client.infer("types", inputs)
    for name, array in sent.items():
        received = result.as_numpy(f"output_{name}")
        assert received.dtype == array.dtype
        np.testing.assert_array_equal(received, array)


def test_a_failed_run_is_an_error_and_the_next_request_succeeds(served: SimpleNamespace) -> None:
    with pytest.raises(InferenceServerException, match="openvino error in running inference") as caught:
        served.client.infer("picky", inputs_of({"x": np.zeros((3, 2), np.float32)}))
    assert caught.value.status() == "StatusCode.INTERNAL"
    assert served.client.infer("picky", inputs_of({"x": np.ones((2, 2), np.float32)})).as_numpy("y").shape == (1, 4)


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
    found = served.client.infer("whole", inputs_of({"INPUT__0": crops, "INPUT__1": regions})).as_numpy("OUTPUT__0")
    np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=0.02)  # bfloat16 has 8 bits
    agreeing = np.isclose(found[..., :2], expected[..., :2], atol=0.5, rtol=0).all(-1)
    assert agreeing.mean() > 0.8, "but for near ties, the same pixel"
    assert not found[1].any(), "a region without area is nobody"
