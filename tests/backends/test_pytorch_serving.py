"""The Python-based PyTorch backend in a real Triton: names, types, merging, splitting, errors, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from poseserve.serving.server import scratch_server
from tests.backends.inference import concurrently, counts, inputs_of, seen_together
from tests.eventually import eventually

TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


class Difference(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return first - second, first + second


class Company(nn.Module):
    """The answer to every row is how many rows the network saw at once."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x, float(x.shape[0]))


class EchoAll(nn.Module):
    """The tensors of the dictionary, in the order of TYPES."""

    def forward(self, t: dict[str, Tensor]):
        integers = (t["UINT8"], t["INT8"], t["INT16"], t["INT32"], t["INT64"])
        return (t["BOOL"], *integers, t["FP16"], t["FP32"], t["FP64"])


class Misbehaving(nn.Module):
    """What `mode` says is wrong with the answer; 0 is nothing."""

    def forward(self, x: Tensor, mode: Tensor) -> Any:
        m = int(mode[0, 0])
        if m < 5:
            return self.of_another_kind(x, m)
        return (x,) if m == 9 else (x, self.of_another_form(x, m))

    def of_another_kind(self, x: Tensor, m: int) -> Any:
        answer: Any = (x, x)
        if m == 1:
            raise ValueError("a network's own complaint")
        if m == 2:
            answer = [x, x]
        if m == 3:
            answer = {"a": x, "b": x}
        if m == 4:
            answer = (x, None)
        return answer

    def of_another_form(self, x: Tensor, m: int) -> Tensor:
        if m == 5:
            x = x.half()
        if m == 6:
            x = x.sum()
        if m == 7:
            x = x.to(torch.bfloat16)
        if m == 8:
            x = x.to_sparse()
        if m == 10:
            x = x[:1]
        if m == 11:
            x = torch.cat([x, x + 100])
        if m == 12:
            x = x.t().contiguous().t().flip(1)
        return x


class State(nn.Module):
    """Whether the run is in inference mode, and how many of a thousand ones dropout left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ones = torch.nn.functional.dropout(torch.ones(1000), 0.5, self.training)
        return torch.tensor([x.is_inference()]), (ones > 0).sum().view(1), self.weight


class Rows(nn.Module):
    """The rows of x that are above zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x[x[:, 0] > 0]


def _pair(name: str, inputs: list[str], outputs: list[str], rest: str = "") -> str:
    tensors = [f'input {{ name: "{n}" data_type: TYPE_FP32 dims: 2 }}' for n in inputs]
    tensors += [f'output {{ name: "{n}" data_type: TYPE_FP32 dims: 2 }}' for n in outputs]
    return f'name: "{name}" max_batch_size: 8\n' + "\n".join(tensors) + rest


MERGING = "\ndynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 20000000 }"
STATE = """
input { name: "x" data_type: TYPE_FP32 dims: 1 }
output { name: "inference" data_type: TYPE_BOOL dims: 1 }
output { name: "kept" data_type: TYPE_INT64 dims: 1 }
output { name: "weight" data_type: TYPE_FP32 dims: 1 }
"""
ALL_PARAMETERS = "".join(
    f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'
    for key, value in {
        "INFERENCE_MODE": "Off",
        "DISABLE_OPTIMIZED_EXECUTION": "TRUE",
        "DISABLE_CUDNN": "1",
        "ENABLE_CACHE_CLEANING": "0",
        "ENABLE_WEIGHT_SHARING": "on",
        "ENABLE_JIT_EXECUTOR": "false",
        "ENABLE_JIT_PROFILING": "false",
        "ENABLE_TENSOR_FUSER": "true",
        "INTER_OP_THREAD_COUNT": "1",
        "INTRA_OP_THREAD_COUNT": "1",
    }.items()
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, write_model) -> Iterator[InferenceServerClient]:
    repository = tmp_path_factory.mktemp("repository")
    write_model(repository, _pair("by_name", ["second", "first"], ["D", "S"], MERGING), Difference())
    write_model(repository, _pair("company", ["x"], ["y"], MERGING), Company())
    write_model(repository, _pair("by_index", ["b__1", "a__0"], ["s__1", "d__0"]), Difference())
    write_model(repository, _pair("by_order", ["second", "x__1"], ["d__0", "S"]), Difference())
    every = [f'{kind} {{ name: "{t}" data_type: TYPE_{t} dims: -1 }}' for kind in ("input", "output") for t in TYPES]
    write_model(repository, 'name: "types" max_batch_size: 0\n' + "\n".join(every), EchoAll())
    misbehaving = _pair("misbehaving", ["x"], ["OUTPUT__0", "OUTPUT__1"]) + (
        '\ninput { name: "mode" data_type: TYPE_INT32 dims: 1 }'
        "\ndynamic_batching { preferred_batch_size: 2 max_queue_delay_microseconds: 200000 }"
    )
    write_model(repository, misbehaving, Misbehaving())
    write_model(repository, 'name: "default_state"' + STATE, State().train())
    write_model(repository, 'name: "changed_state"' + STATE + ALL_PARAMETERS, State().eval())
    rows = """name: "rows" instance_group { kind: KIND_MODEL }
        input { name: "x" data_type: TYPE_FP32 dims: [-1, 3] }
        output { name: "y" data_type: TYPE_FP32 dims: [-1, 3] }"""
    write_model(repository, rows, Rows())
    with scratch_server([repository]) as server:
        client = InferenceServerClient(server.grpc_url)
        yield client
        client.close()


FIRST, SECOND = np.array([[5, 6]], np.float32), np.array([[1, 2]], np.float32)


@pytest.mark.parametrize(
    ("model", "first", "second", "difference"),
    [("by_index", "a__0", "b__1", "d__0"), ("by_order", "second", "x__1", "d__0")],
)
def test_tensors_are_matched_by_index_else_by_order(
    client: InferenceServerClient, model: str, first: str, second: str, difference: str
) -> None:
    result = client.infer(model, inputs_of({first: FIRST, second: SECOND}))
    assert result.as_numpy(difference).tolist() == [[4, 4]]


def test_arguments_matched_by_name_and_concurrent_requests_merged_and_split(
    client: InferenceServerClient,
) -> None:
    firsts = [np.full((n, 2), n, np.float32) for n in (1, 2, 1)]
    requests = [{"first": f, "second": np.full_like(f, 10 * i)} for i, f in enumerate(firsts)]
    answers = concurrently(client, "by_name", requests)
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer.as_numpy("D"), request["first"] - request["second"])
        np.testing.assert_array_equal(answer.as_numpy("S"), request["first"] + request["second"])
    assert eventually(lambda: counts(client, "by_name"), (4, 1)) == (4, 1)


def test_the_network_sees_the_rows_of_merged_requests_at_once(client: InferenceServerClient) -> None:
    assert seen_together(client, "company", "x", "y") == [[4], [4, 4], [4]]


@pytest.mark.parametrize("length", [0, 3])
def test_every_type_passes_unchanged_also_without_elements(client: InferenceServerClient, length: int) -> None:
    sent = {name: np.arange(length).astype(dtype) for name, dtype in TYPES.items()}
    result = client.infer("types", inputs_of(sent))
    for name, array in sent.items():
        received = result.as_numpy(name)
        assert received.dtype == array.dtype
        np.testing.assert_array_equal(received, array)


def test_without_batching_the_first_dimension_is_free(client: InferenceServerClient) -> None:
    x = np.array([[1, 2, 3], [-1, 2, 3]], np.float32)
    assert client.infer("rows", inputs_of({"x": x})).as_numpy("y").tolist() == [[1, 2, 3]]
    assert client.infer("rows", inputs_of({"x": -abs(x)})).as_numpy("y").shape == (0, 3)


X = np.array([[1, 2]], np.float32)


def _mode(mode: int, rows: int = 1) -> dict[str, np.ndarray]:
    return {"x": X.repeat(rows, 0), "mode": np.full((rows, 1), mode, np.int32)}


@pytest.mark.parametrize(
    ("mode", "status", "message"),
    [
        (1, "INTERNAL", "PyTorch execute failure: .*a network's own complaint"),
        (2, "INTERNAL", r"output must be of type Tensor or List\[str\], received List\[Tensor\]"),
        (3, "INTERNAL", r"output must be of type Tensor, List\[str\] or Tuple"),
        (4, "INTERNAL", "PyTorch execute failure: Expected Tensor but got None"),
        (
            5,
            "INVALID_ARGUMENT",
            "expects datatype TYPE_FP32 for output 'OUTPUT__1', model provides TYPE_FP16",
        ),
        (6, "INVALID_ARGUMENT", "output 'OUTPUT__1' is a scalar which is not supported."),
        (7, "INVALID_ARGUMENT", "model provides TYPE_<invalid>"),
        (8, "INTERNAL", "output tensor 'OUTPUT__1' is not found"),
        (9, "INVALID_ARGUMENT", "OUTPUT__1 .* index which doesn't exist. This model has 1 outputs"),
    ],
)
def test_a_wrong_answer_is_an_error_and_the_next_request_succeeds(
    client: InferenceServerClient, mode: int, status: str, message: str
) -> None:
    with pytest.raises(InferenceServerException, match=f"(?s){message}") as caught:
        client.infer("misbehaving", inputs_of(_mode(mode)))
    assert caught.value.status() == f"StatusCode.{status}"
    assert client.infer("misbehaving", inputs_of(_mode(0))).as_numpy("OUTPUT__1").tolist() == X.tolist()


def test_too_few_rows_fail_the_requests_that_miss_theirs(client: InferenceServerClient) -> None:
    fits, misses = sorted(concurrently(client, "misbehaving", [_mode(10)] * 2), key=lambda a: isinstance(a, Exception))
    assert fits.as_numpy("OUTPUT__1").tolist() == X.tolist()
    assert misses.status() == "StatusCode.UNIMPLEMENTED"
    assert misses.message() == (
        "[request id: <id_unknown>] failed to split the output tensor 'OUTPUT__1' in responses: expected "
        "batch size of at least 2 in model output, got 1"
    )


def test_rows_beyond_the_batch_are_dropped(client: InferenceServerClient) -> None:
    assert client.infer("misbehaving", inputs_of(_mode(11, rows=2))).as_numpy("OUTPUT__1").tolist() == [[1, 2]] * 2


def test_outputs_need_not_be_contiguous(client: InferenceServerClient) -> None:
    assert client.infer("misbehaving", inputs_of(_mode(12, rows=2))).as_numpy("OUTPUT__1").tolist() == [[2, 1]] * 2


def test_a_network_runs_in_the_mode_it_was_saved_in_and_in_inference_mode(
    client: InferenceServerClient,
) -> None:
    result = client.infer("default_state", inputs_of({"x": np.zeros(1, np.float32)}))
    assert result.as_numpy("inference").tolist() == [True]
    assert 0 < result.as_numpy("kept")[0] < 1000


def test_parameters_are_honoured(client: InferenceServerClient) -> None:
    result = client.infer("changed_state", inputs_of({"x": np.zeros(1, np.float32)}))
    assert result.as_numpy("inference").tolist() == [False]
    assert result.as_numpy("kept").tolist() == [1000]
    assert result.as_numpy("weight").tolist() == [1]
