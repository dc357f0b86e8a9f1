"""What both applications share: how they are started, and their responses."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from poseclient import People
from poseserve.in_process import InProcess
from poseserve.repository.installed import read_repository

VARIABLE = "BASELINE"  # of the environment: processes that a server starts have it too
READY = "this worker is ready"


@dataclass(frozen=True)
class Settings:
    """Of a baseline. workers: processes that hold the networks. threads: of torch in each. at_once: in FastAPI the
    requests that a worker computes at the same time, in LitServe the most images of one batch. wait: seconds that
    LitServe waits for further images. root: of the repository."""

    workers: int
    threads: int
    at_once: int
    wait: float = 0.0
    root: str = ""

    def environment(self) -> dict[str, str]:
        """For read_settings() in another process."""
        return {VARIABLE: json.dumps(asdict(self)), "OMP_NUM_THREADS": str(self.threads)}


def read_settings() -> Settings:
    """Those of this process's environment."""
    return Settings(**json.loads(os.environ[VARIABLE]))


def load_pipeline(settings: Settings) -> InProcess:
    """The networks of the repository below `root`; prints READY."""
    torch.set_num_threads(settings.threads)
    cv2.setNumThreads(1)
    pipeline = InProcess(read_repository(Path(settings.root)))
    print(READY, flush=True)
    return pipeline


def as_json(people: People) -> dict[str, list[Any]]:
    """The response to a request."""
    assert people.keypoints is not None
    return {name: getattr(people, name).tolist() for name in ("boxes", "scores", "keypoints")}
