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


def seen_together(client: InferenceServerClient, model: str, name: str, output: str) -> list[list[float]]:
    """What a model that answers each row with the number of rows seen at once says to requests of 1, 2 and 1 rows."""
    requests = [{name: np.zeros((rows, 2), np.float32)} for rows in (1, 2, 1)]
    return [answer.as_numpy(output)[:, 0].tolist() for answer in concurrently(client, model, requests)]


def counts(client: InferenceServerClient, model: str) -> tuple[int, int]:
    """Rows and executions of a model."""
    statistics = client.get_inference_statistics(model).model_stats[0]
    return statistics.inference_count, statistics.execution_count


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
