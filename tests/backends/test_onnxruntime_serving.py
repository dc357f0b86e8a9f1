"""The Python-based ONNX Runtime backend in a real Triton: names, shapes, merging, errors, options, a whole contract."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from google.protobuf import json_format, text_format
from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.utils import InferenceServerException

from poseserve.catalogue import Network
from poseserve.deployment import Deployment
from poseserve.export.onnx import export_onnx
from poseserve.networks.contracts import PoseContract
from poseserve.repository import config
from poseserve.repository.installed import Installed
from poseserve.serving.server import BACKENDS, scratch_server
from tests.backends.graphs import COMPANY, DIFFERENCE, NEGATIVE, OF_DIFFERENCE, X, Y, copies, write_graph
from tests.backends.inference import concurrently, counts, inputs_of, seen_together
from tests.eventually import eventually

TYPES = {
    "BOOL": ("bool", np.bool_),
    "UINT8": ("uint8", np.uint8),
    "UINT16": ("uint16", np.uint16),
    "UINT32": ("uint32", np.uint32),
    "UINT64": ("uint64", np.uint64),
    "INT8": ("int8", np.int8),
    "INT16": ("int16", np.int16),
    "INT32": ("int32", np.int32),
    "INT64": ("int64", np.int64),
    "FP16": ("float16", np.float16),
    "FP32": ("float", np.float32),
    "FP64": ("double", np.float64),
}
BATCHES = "max_batch_size: 8 "
MERGED = BATCHES + "dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 20000000 } "
PAIRED = BATCHES + "dynamic_batching { preferred_batch_size: 2 max_queue_delay_microseconds: 200000 } "
PICKED = """(float[n, 2] x, int64[n, 1] i) => (float[n, 2] y) {
    across = Constant <value_ints = [1]> () rows = Squeeze(i, across) y = Gather(x, rows) }"""
FIRST_ROW = """(float[n, 2] x) => (float[m, 2] y) {
    first = Constant <value = bool[1] {1}> () y = Compress <axis = 0> (x, first) }"""
PARAMETERS = "".join(
    f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }} '
    for key, value in {
        "intra_op_thread_count": 1,
        "inter_op_thread_count": 2,
        "execution_mode": 1,
        "enable_mem_arena": 0,
        "enable_mem_pattern": "false",
        "memory.enable_memory_arena_shrinkage": "",
        "session.intra_op.allow_spinning": 0,
    }.items()
)
ACCELERATED = """optimization { graph { level: 1 } execution_accelerators {
    gpu_execution_accelerator { name: "tensorrt" parameters { key: "precision_mode" value: "FP16" } }
    cpu_execution_accelerator { name: "openvino" } } } """


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }} '


# Name -> rest of the configuration, graph, reason.
REFUSED = {
    "input_name": (
        BATCHES + X.replace('"x"', '"z"') + Y,
        NEGATIVE,
        "unexpected inference input 'z', allowed inputs are: x",
    ),
    "output_name": (
        BATCHES + X + Y.replace('"y"', '"z"'),
        NEGATIVE,
        "unexpected inference output 'z', allowed outputs are: y",
    ),
    "count": (
        BATCHES + X + Y.replace('"y"', '"d"'),
        DIFFERENCE,
        "unable to load model 'count', configuration expects 1 inputs, model provides 2",
    ),
    "type": (
        BATCHES + X.replace("FP32", "INT8") + Y,
        NEGATIVE,
        "unable to load model 'type', configuration expects datatype TYPE_INT8 for input 'x', model provides TYPE_FP32",
    ),
    "text": (BATCHES + X.replace("FP32", "STRING") + Y, NEGATIVE, "unsupported datatype TYPE_STRING for input 'x'"),
    "optional": (
        BATCHES + X.replace("dims", "optional: true dims") + Y,
        NEGATIVE,
        "optional input 'x' is not supported for models that support batching",
    ),
    "shape": (
        BATCHES + X + Y.replace("dims: 2", "dims: -1"),
        NEGATIVE,
        "model 'shape', tensor 'y': the model expects 2 dimensions (shape [-1,2]) but the model configuration "
        "specifies 2 dimensions (an initial batch dimension because max_batch_size > 0 followed by the explicit "
        "tensor shape, making complete shape [-1,-1])",
    ),
    "unbatched_shape": (
        X + Y,
        NEGATIVE,
        "the model expects 2 dimensions (shape [-1,2]) but the model configuration specifies 1 dimensions (shape [2])",
    ),
    "fixed_batch": (
        BATCHES + X + Y,
        NEGATIVE.replace("n,", "1,"),
        "for the model to support batching the shape should have at least 1 dimension and the first dimension must be "
        "-1; but shape expected by the model is [1,2]",
    ),
    "mode": (BATCHES + X + Y + parameter("execution_mode", "2"), NEGATIVE, "execution_mode are 0 or 1 but got 2"),
    "threads": (
        BATCHES + X + Y + parameter("intra_op_thread_count", "many"),
        NEGATIVE,
        "failed to convert 'many' to an integer",
    ),
    "arena": (
        BATCHES + X + Y + parameter("enable_mem_arena", "perhaps"),
        NEGATIVE,
        "failed to convert 'perhaps' to boolean",
    ),
    "accelerator": (
        BATCHES + X + Y + ACCELERATED.replace("openvino", "turbo"),
        NEGATIVE,
        "unknown Execution Accelerator 'turbo' is requested",
    ),
    "missing": (BATCHES + X + Y, None, "unable to find '"),
    "corrupt": (BATCHES + X + Y, NEGATIVE, "onnx runtime error 7: Load model from"),
}


def write(repository: Path, name: str, rest: str, graph: str | None, file: str = "model.onnx") -> Path:
    config = f'name: "{name}" backend: "onnxruntime" platform: "onnxruntime_onnx" {rest}'
    return write_graph(repository, config, graph, file)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, contract: PoseContract) -> Iterator[SimpleNamespace]:
    """A server of sound and of refused models: its client, states (name -> state and reason) and log."""
    repository = tmp_path_factory.mktemp("repository")
    write(repository, "merged", MERGED + OF_DIFFERENCE + PARAMETERS + ACCELERATED, DIFFERENCE)
    picked = X + 'input { name: "i" data_type: TYPE_INT64 dims: 1 } ' + Y + 'default_model_filename: "picked.onnx"'
    write(repository, "picked", PAIRED + picked, PICKED, "picked.onnx")
    write(repository, "first_row", PAIRED + X + Y, FIRST_ROW)
    write(repository, "company", MERGED + X + Y, COMPANY)
    unbatched = (X.replace("dims: 2", "optional: true dims: [-1, 2]"), Y.replace("dims: 2", "dims: [-1, 2]"))
    write(repository, "optional_unbatched", "".join(unbatched), NEGATIVE)
    write(repository, "types", *copies({name: kind for name, (kind, _) in TYPES.items()}))
    for name, (rest, graph, _) in REFUSED.items():
        path = write(repository, name, rest, graph)
        if name == "corrupt":
            path.write_bytes(path.read_bytes()[:-20])
    _install(repository, contract)
    log = tmp_path_factory.mktemp("log") / "triton.log"
    with scratch_server([repository], exit_on_error=False, log_file=log) as server:
        client = InferenceServerClient(server.grpc_url)
        states = {m.name: (m.state, m.reason) for m in client.get_model_repository_index().models}
        yield SimpleNamespace(client=client, states=states, log=log.read_text())
        client.close()


def _install(repository: Path, contract: PoseContract) -> None:
    """As `poseserve add` does."""
    network = Network("whole", "pose", (32, 24), labels="coco_17")
    installed = Installed(network, Deployment(format="onnx"))
    settings = config.network_config(installed)
    settings.output[0].dims[0] = 3
    example = torch.zeros(1, 32, 24, 3, dtype=torch.uint8), torch.tensor([[12.0, 16.0, 24.0, 32.0]])
    export_onnx(contract, example, repository / "whole" / "1" / "model.onnx")
    (repository / "whole" / "config.pbtxt").write_text(text_format.MessageToString(settings), encoding="utf-8")
    (repository / "whole" / "warmup").mkdir()
    (repository / "whole" / "warmup" / config.WARMUP_REGION).write_bytes(example[1].numpy().tobytes())


ROW = np.array([[1, 2]], np.float32)


def test_concurrent_requests_are_merged_and_split(served: SimpleNamespace) -> None:
    xs = [np.full((n, 2), n, np.float32) for n in (1, 2, 1)]
    requests = [{"x": x, "y": np.full_like(x, 10 * i)} for i, x in enumerate(xs)]
    for request, answer in zip(requests, concurrently(served.client, "merged", requests), strict=True):
        np.testing.assert_array_equal(answer.as_numpy("d"), request["x"] - request["y"])
        np.testing.assert_array_equal(answer.as_numpy("s"), request["x"] + request["y"])
    assert eventually(lambda: counts(served.client, "merged"), (4, 1)) == (4, 1)


def test_the_network_sees_the_rows_of_merged_requests_at_once(served: SimpleNamespace) -> None:
    assert seen_together(served.client, "company", "x", "y") == [[4], [4, 4], [4]]


def test_an_optional_input_is_accepted_where_nothing_batches(served: SimpleNamespace) -> None:
    assert served.states["optional_unbatched"] == ("READY", "")
    answer = served.client.infer("optional_unbatched", inputs_of({"x": ROW})).as_numpy("y")
    np.testing.assert_array_equal(answer, -ROW)


def test_an_accelerator_that_is_not_there_is_a_warning(served: SimpleNamespace) -> None:
    assert served.states["merged"] == ("READY", "")
    assert "merged: this ONNX Runtime has no OpenVINOExecutionProvider, going on without it" in served.log
    assert "Tensorrt" not in served.log, "the instance is on the CPU"


def load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
    monkeypatch.setitem(sys.modules, "batching", load("batching", BACKENDS / "batching.py"))
    return load("backend", BACKENDS / "onnxruntime" / "model.py")


def test_on_a_gpu_its_accelerators_come_before_cuda_and_the_cpu(module: ModuleType) -> None:
    settings = pb.ModelConfig()
    text_format.Parse(ACCELERATED, settings)
    accelerator = settings.optimization.execution_accelerators.gpu_execution_accelerator[0]
    accelerator.parameters.update({"max_workspace_size_bytes": "9", "trt_engine_cache_enable": "1"})
    wanted = json_format.MessageToDict(settings, preserving_proto_field_name=True)
    assert module.providers(wanted, {"model_instance_kind": "GPU", "model_instance_device_id": "1"}) == [
        (
            "TensorrtExecutionProvider",
            {
                "trt_fp16_enable": "1",
                "trt_max_workspace_size": "9",
                "trt_engine_cache_enable": "1",
                "device_id": "1",
            },
        ),
        ("CUDAExecutionProvider", {"device_id": "1"}),
        ("OpenVINOExecutionProvider", {}),
        ("CPUExecutionProvider", {}),
    ]


def test_options_mean_what_they_mean_in_triton(module: ModuleType) -> None:
    settings = pb.ModelConfig()
    text_format.Parse(PARAMETERS + ACCELERATED, settings)
    options = module.session_options(json_format.MessageToDict(settings, preserving_proto_field_name=True))
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 2)
    assert options.execution_mode == module.onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == module.onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    assert (options.enable_cpu_mem_arena, options.enable_mem_pattern) == (False, False)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("length", [0, 3])
def test_every_type_passes_unchanged_also_without_elements(served: SimpleNamespace, length: int) -> None:
    sent = {name: np.arange(length).astype(dtype) for name, (_, dtype) in TYPES.items()}
    result = served.client.infer("types", inputs_of({f"input_{n}": a for n, a in sent.items()}))
    for name, array in sent.items():
        received = result.as_numpy(f"output_{name}")
        assert received.dtype == array.dtype
        np.testing.assert_array_equal(received, array)


def test_a_failed_run_is_an_error_and_the_next_request_succeeds(served: SimpleNamespace) -> None:
    with pytest.raises(InferenceServerException, match=r"onnx runtime error 2: .*Gather.*idx=5") as caught:
        served.client.infer("picked", inputs_of({"x": ROW, "i": np.array([[5]])}))
    assert caught.value.status() == "StatusCode.INTERNAL"
    assert served.client.infer("picked", inputs_of({"x": ROW, "i": np.array([[0]])})).as_numpy("y").tolist() == [[1, 2]]


def test_too_few_rows_fail_the_requests_that_miss_theirs(served: SimpleNamespace) -> None:
    answers = concurrently(served.client, "first_row", [{"x": ROW}] * 2)
    fits, misses = sorted(answers, key=lambda a: isinstance(a, Exception))
    assert fits.as_numpy("y").tolist() == ROW.tolist()
    assert misses.status() == "StatusCode.UNIMPLEMENTED"
    assert "expected batch size of at least 2 in model output, got 1" in misses.message()


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_served_is_refused_with_its_reason(served: SimpleNamespace, name: str) -> None:
    state, reason = served.states[name]
    assert state == "UNAVAILABLE"
    assert REFUSED[name][2] in reason


def test_an_exported_contract_is_served_with_the_configuration_of_the_project(
    served: SimpleNamespace, contract: PoseContract
) -> None:
    assert served.states["whole"] == ("READY", "")
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 24, 3), np.uint8)
    regions = np.array([[50, 60, 24, 32]], np.float32) * np.array([[1], [2], [0], [3], [1]], np.float32)
    with torch.inference_mode():
        expected = contract(torch.from_numpy(crops), torch.from_numpy(regions)).numpy()
    requests = [{"INPUT__0": crops[r], "INPUT__1": regions[r]} for r in (slice(0, 2), slice(2, 5))]
    answers = [a.as_numpy("OUTPUT__0") for a in concurrently(served.client, "whole", requests)]
    np.testing.assert_allclose(np.concatenate(answers), expected, rtol=1e-4, atol=1e-4)
