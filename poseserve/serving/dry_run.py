"""One real request to every ensemble: does every network answer?"""

from __future__ import annotations

import time

import cv2
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from poseserve.errors import ServerError


def dry_run(grpc_url: str) -> dict[str, float]:
    """Milliseconds that each served ensemble took for a small JPEG and one box, by name.

    Raises ServerError with the ensemble's name and its answer when one fails.
    """
    client = InferenceServerClient(grpc_url)
    try:
        return {name: _call(client, name, inputs) for name, inputs in _ensembles(client).items()}
    finally:
        client.close()


def _ensembles(client: InferenceServerClient) -> dict[str, list[str]]:
    """Names of the inputs of every served ensemble."""
    served = [model.name for model in client.get_model_repository_index().models if model.state == "READY"]
    configs = [client.get_model_config(name).config for name in sorted(served)]
    return {c.name: [i.name for i in c.input] for c in configs if c.HasField("ensemble_scheduling")}


def _call(client: InferenceServerClient, name: str, inputs: list[str]) -> float:
    samples = _samples()
    unknown = set(inputs) - samples.keys()
    if unknown:
        raise ServerError(f"dry run: {name} takes {', '.join(sorted(unknown))}, of which there is no sample")
    started = time.perf_counter()
    try:
        client.infer(name, [samples[i] for i in inputs])
    except InferenceServerException as error:
        raise ServerError(f"dry run: {name} answered: {error.message()}") from error
    return (time.perf_counter() - started) * 1000


def _samples() -> dict[str, InferInput]:
    """A grey picture of 640 x 480 pixels, and one box inside it."""
    _, jpeg = cv2.imencode(".jpg", np.full((480, 640, 3), 128, np.uint8))
    image = InferInput("IMAGE", [1], "BYTES")
    image.set_data_from_numpy(np.array([jpeg.tobytes()], dtype=object))
    boxes = InferInput("BOXES", [1, 4], "FP32")
    boxes.set_data_from_numpy(np.array([[200, 100, 400, 460]], np.float32))
    return {"IMAGE": image, "BOXES": boxes}
