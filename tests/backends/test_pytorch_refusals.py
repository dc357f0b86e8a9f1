"""What the Python-based PyTorch backend refuses to load, with the words of Triton's C++ one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from tritonclient.grpc import InferenceServerClient

from poseserve.serving.server import scratch_server


class Negative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


class Sum(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Maybe(nn.Module):
    def forward(self, x: Tensor | None) -> Tensor:
        return torch.zeros(1) if x is None else x


class Text(nn.Module):
    def forward(self, x: list[str]) -> Tensor:
        return torch.tensor([len(x)])


class WithoutForward(nn.Module):
    @torch.jit.export
    def backward(self, x: Tensor) -> Tensor:
        return x


def _tensor(kind: str, name: str, more: str = "", data_type: str = "FP32") -> str:
    return f'{kind} {{ name: "{name}" data_type: TYPE_{data_type} dims: 1 {more} }}\n'


X, Y = _tensor("input", "x"), _tensor("output", "y")
PARAMETER = 'parameters {{ key: "{}" value {{ string_value: "{}" }} }}'

CASES: dict[str, tuple[str, nn.Module | None, str]] = {
    "optional": (
        _tensor("input", "x", "optional: true") + Y,
        Negative(),
        "'optional' is set to true for input 'x' while the backend model doesn't support optional input",
    ),
    "bf16": (
        X + _tensor("output", "y", data_type="BF16"),
        Negative(),
        "unsupported datatype TYPE_BF16 for output 'y' for model 'bf16'",
    ),
    "uint16": (
        _tensor("input", "x", data_type="UINT16") + Y,
        Negative(),
        "unsupported datatype TYPE_UINT16 for input 'x' for model 'uint16'",
    ),
    "arguments": (
        X + Y,
        Sum(),
        "unable to load model 'arguments', configuration expects 1 inputs, model provides 2",
    ),
    "indices": (
        _tensor("input", "x__0") + _tensor("input", "y__2") + Y,
        Sum(),
        "the indices of x__0, y__2 must be 0 to 1, each once",
    ),
    "maybe": (
        X + Y,
        Maybe(),
        "An input of type 'Tensor?' was detected in the model. Only a single input of type Dict(str, Tensor) "
        "or input(s) of type Tensor are supported.",
    ),
    "text": (X + Y, Text(), "An input of type 'str[]' was detected in the model."),
    "without_forward": (X + Y, WithoutForward(), "the network has no method forward()"),
    "missing": (X + Y, None, "/missing/1/model.pt' for model instance 'missing'"),
    "corrupt": (X + Y, Negative(), "failed to load model 'corrupt': PytorchStreamReader failed"),
    "spelling": (
        X + Y + PARAMETER.format("INFERENCE_MODE", "yes"),
        Negative(),
        "failed to convert 'yes' to boolean",
    ),
    "threads": (
        X + Y + PARAMETER.format("INTRA_OP_THREAD_COUNT", "many"),
        Negative(),
        "failed to convert 'many' to an integer",
    ),
}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, write_model: Callable[..., Path]) -> Iterator[dict]:
    """Name -> state and reason of every model; one sound network among the broken ones."""
    repository = tmp_path_factory.mktemp("repository")
    write_model(repository, f'name: "sound"\n{X}{Y}', Negative())
    for name, (config, network, _) in CASES.items():
        path = write_model(repository, f'name: "{name}"\n{config}', network)
        if name == "corrupt":
            path.write_bytes(path.read_bytes()[:500])
    with scratch_server([repository], exit_on_error=False) as server:
        client = InferenceServerClient(server.grpc_url)
        yield {m.name: (m.state, m.reason) for m in client.get_model_repository_index().models}
        client.close()


@pytest.mark.parametrize("name", CASES)
def test_a_model_that_cannot_be_served_is_refused_with_its_reason(states: dict, name: str) -> None:
    state, reason = states[name]
    assert state == "UNAVAILABLE"
    assert CASES[name][2] in reason


def test_a_sound_model_is_served_beside_refused_ones(states: dict) -> None:
    assert states["sound"] == ("READY", "")
