"""LitServe with batching: a worker takes the images that wait as one batch. `python -m ...batching_litserve PORT`."""

import sys
from typing import Annotated, Any

import litserve
from fastapi import Body

from loadtest.baselines.settings import as_json, load_pipeline, read_settings
from poseclient import People
from poseserve.in_process import DEVICE

# No `from __future__ import annotations`: LitServe reads the type of decode_request's argument.
Encoded = Annotated[bytes, Body(media_type="application/octet-stream")]


class Pose(litserve.LitAPI):  # type: ignore[misc]  # litserve is not in the environment that is checked
    """LitServe's hooks: bytes of an image in, JSON of its people out."""

    def setup(self, device: str) -> None:
        """Once in each worker."""
        self.pipeline = load_pipeline(read_settings())

    def decode_request(self, request: Encoded) -> bytes:
        """The encoded image."""
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """The images that wait, as they are."""
        return inputs

    def predict(self, images: list[bytes]) -> list[People]:
        """The people of each image, from one batch of the network."""
        return self.pipeline.poses(images)

    def unbatch(self, output: list[People]) -> list[People]:
        """One entry for each image, as it is."""
        return output

    def encode_response(self, output: People) -> dict[str, list[Any]]:
        """The JSON of one response."""
        return as_json(output)


if __name__ == "__main__":
    settings = read_settings()
    api = Pose(max_batch_size=settings.at_once, batch_timeout=settings.wait)
    server = litserve.LitServer(
        api, accelerator=DEVICE, devices=1, workers_per_device=settings.workers, timeout=False, fast_queue=True
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False, access_log=False
    )
