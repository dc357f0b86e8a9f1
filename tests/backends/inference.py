"""Requests to models over gRPC, one or several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


def inputs_of(arrays: dict[str, np.ndarray]) -> list[InferInput]:
    inputs = []
    for name, array in arrays.items():
        inputs.append(InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def concurrently(client: InferenceServerClient, model: str, requests: list[dict[str, np.ndarray]]) -> list:
    """Send all requests at once; each one's result, or its error."""
    answers: list = [None] * len(requests)
    done = threading.Semaphore(0)

    def receive(i: int) -> Callable[[InferResult | None, InferenceServerException | None], None]:
        def callback(result: InferResult | None, error: InferenceServerException | None) -> None:
            answers[i] = error or result
            done.release()

        return callback

    for i, request in enumerate(requests):
        client.async_infer(model, inputs_of(request), receive(i))
    for _ in requests:
        assert done.acquire(timeout=60)
    return answers
