"""Where a request's time goes: Triton's own statistics of every model, over a period of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc.service_pb2 import ModelStatistics

STAGES = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True)
class Counters:
    """Of one model since it was loaded. requests: with a response without error. rows: of their batches. executions:
    of the model. nanoseconds: by stage, summed over the requests."""

    requests: int
    rows: int
    executions: int
    nanoseconds: tuple[int, ...]


@dataclass(frozen=True)
class StepStatistics:
    """One model over a period of time. batch: rows of an execution; milliseconds: by stage, of a request; both means.

    Requests that share a batch each wait for all of it, so the milliseconds of a step are not the machine's.
    """

    model: str
    requests: int
    batch: float
    milliseconds: tuple[float, ...]


def read_counters(client: InferenceServerClient) -> dict[str, Counters]:
    """By name, of every model that ran; an ensemble is one too."""
    models = client.get_inference_statistics().model_stats
    return {m.name: counters(m) for m in models if m.execution_count}


def counters(model: ModelStatistics) -> Counters:
    """Of one model in Triton's protobuf."""
    stats = model.inference_stats
    nanoseconds = tuple(getattr(stats, stage).ns for stage in STAGES)
    return Counters(stats.success.count, model.inference_count, model.execution_count, nanoseconds)


def steps(before: Mapping[str, Counters], after: Mapping[str, Counters]) -> list[StepStatistics]:
    """The models with requests in between, the one that took longest first."""
    nothing = Counters(0, 0, 0, (0,) * len(STAGES))
    found = [_step(name, before.get(name, nothing), now) for name, now in after.items()]
    return sorted((s for s in found if s.requests), key=lambda s: -sum(s.milliseconds))


def _step(name: str, before: Counters, after: Counters) -> StepStatistics:
    requests = after.requests - before.requests
    batch = (after.rows - before.rows) / max(1, after.executions - before.executions)
    spent = (b - a for a, b in zip(before.nanoseconds, after.nanoseconds, strict=True))
    return StepStatistics(name, requests, batch, tuple(ns / 1e6 / max(1, requests) for ns in spent))
