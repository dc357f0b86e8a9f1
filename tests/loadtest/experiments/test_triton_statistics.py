"""Triton's statistics: what happened between two readings."""

from tritonclient.grpc.service_pb2 import ModelStatistics

from loadtest.experiments.triton_statistics import Counters, StepStatistics, counters, steps


def test_a_step_is_what_happened_in_between():
    before = {"pose": Counters(10, 50, 5, (0, 0, 7_000_000, 0)), "idle": Counters(3, 3, 3, (9, 9, 9, 9))}
    after = {
        "crop": Counters(4, 4, 4, (4_000_000, 0, 0, 0)),
        "pose": Counters(14, 70, 7, (8_000_000, 0, 27_000_000, 0)),
        "idle": before["idle"],
    }
    assert steps(before, after) == [
        StepStatistics("pose", 4, 10, (2, 0, 5, 0)),
        StepStatistics("crop", 4, 1, (1, 0, 0, 0)),
    ]


def test_counters_are_tritons():
    statistics = ModelStatistics(name="pose", inference_count=20, execution_count=2)
    statistics.inference_stats.success.count = 5
    statistics.inference_stats.queue.ns = 1
    statistics.inference_stats.compute_output.ns = 4
    assert counters(statistics) == Counters(5, 20, 2, (1, 0, 0, 4))
