"""LitServe with batching: a worker takes the images that wait as one batch. `python -m ...batching_litserve PORT`."""

import sys
from typing import Annotated

import litserve
from fastapi import Body

from loadtest.baselines.settings import as_json, load_pipeline, read_settings
from poseclient import People
from poseserve.in_process import DEVICE

# No `from __future__ import annotations`: LitServe reads the type of decode_request's argument.
Encoded = Annotated[bytes, Body(media_type="application/octet-stream")]


class Pose(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.pipeline = load_pipeline(read_settings())

    def decode_request(self, request: Encoded) -> bytes:
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, images: list[bytes]) -> list[People]:
        return self.pipeline.poses(images)

    def unbatch(self, output: list[People]) -> list[People]:
        return output

    def encode_response(self, output: People) -> dict:
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
