"""What the backends hand to Triton; Triton itself would drop outputs that nobody asked for, after copying them."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from poseserve.serving.server import BACKENDS


@pytest.fixture
def batching(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module beside which Triton's own are: a tensor is its name and array, a response its tensors by name."""
    triton = ModuleType("triton_python_backend_utils")
    triton.Tensor = lambda name, array: (name, array)
    triton.InferenceResponse = dict
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", triton)
    spec = importlib.util.spec_from_file_location("batching", BACKENDS / "batching.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def request(rows: list[int], *wanted: str) -> SimpleNamespace:
    array = np.array(rows)
    tensor = SimpleNamespace(name=lambda: "x", as_numpy=lambda: array, shape=lambda: array.shape)
    return SimpleNamespace(inputs=lambda: [tensor], requested_output_names=lambda: list(wanted), request_id=lambda: "")


@pytest.mark.parametrize(("merged", "calls"), [(True, 1), (False, 2)])
def test_a_response_holds_the_outputs_that_were_asked_for_and_no_others(
    batching: ModuleType, merged: bool, calls: int
) -> None:
    seen = []

    def run(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(arrays["x"])
        return {"same": arrays["x"], "negative": -arrays["x"]}

    requests = [request([1, 2], "negative"), request([3], "same", "negative")]
    first, second = batching.respond(requests, run, merged)
    assert len(seen) == calls
    assert {name: array.tolist() for name, array in first.items()} == {"negative": [-1, -2]}
    assert {name: array.tolist() for name, array in second.items()} == {"same": [3], "negative": [-3]}
