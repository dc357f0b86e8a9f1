"""The sweep loads a real server in both ways and reports what it saw; its arithmetic is exact."""

import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc.service_pb2 import ModelStatistics

from loadtest import machine, sweep
from loadtest.load import LAPS, Answer, arrivals, closed_load, latencies, open_load, steady, throughput
from loadtest.triton_statistics import Counters, Step, counters, read_counters, steps

METRICS = """# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-a"} 0.5
nv_gpu_utilization{gpu_uuid="GPU-b"} 1.0
nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 3e9
nv_gpu_memory_used_bytes{gpu_uuid="GPU-b"} 1000000
nv_gpu_memory_total_bytes{gpu_uuid="GPU-a"} 8e10
nv_cpu_utilization 0.25
"""


def test_a_sweep_writes_tables_and_pictures_and_ends_with_plain_lines(server, tmp_path, capsys):
    (tmp_path / "performance.md").write_text(f"before\n{sweep.BEGIN}\nold\n{sweep.END}\nafter\n")
    options = f"--url grpc://{server.grpc_url} --metrics-url {server.metrics_url} --ensemble detect"
    options += f" --concurrency 1,2 --seconds 0.5 --out {tmp_path}"
    assert sweep.main(options.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("throughput at 2: ")
    assert lines[1].startswith("p99/p50 at 80%: ")
    assert " Poisson arrivals, " in lines[2]
    text = (tmp_path / "performance.md").read_text()
    assert text.startswith(f"before\n{sweep.BEGIN}\nCommand: `python -m loadtest.sweep --url")
    assert text.endswith(f"{sweep.END}\nafter\n")
    assert "old" not in text
    used = "| client cores | CPU | RAM MB |"
    assert "| open, 80% | demo_detector | " in text
    for told in ("; Triton 2.", "; the client's machine: ", " cores of ", used, "| 2 | ", "| demo_detector | ", *lines):
        assert told in text
    for picture, told in (("latency-throughput.svg", "images per second"), ("steps.svg", "demo_detector")):
        assert told in (tmp_path / "images" / picture).read_text()


def test_closed_load_counts_people_and_triton_tells_the_same_requests(server, scene):
    with InferenceServerClient(server.grpc_url) as api:
        before = read_counters(api)
        answers = closed_load(f"grpc://{server.grpc_url}", "pose", [scene.jpeg], users=2, seconds=0).answers
        found = {step.model: step for step in steps(before, read_counters(api))}
    assert len(answers) >= 2 * LAPS
    assert {answer.people for answer in answers} == {len(scene.people)}
    assert found["demo_pose"].requests == len(answers) + 1
    assert len(scene.people) <= found["demo_pose"].batch <= 2 * len(scene.people)
    assert found["demo_pose"].milliseconds[2] > 1


def test_open_load_sends_what_is_due_however_slow_the_answers(server, scene):
    answers = open_load(f"grpc://{server.grpc_url}", "detect", [scene.jpeg], rate=100, seconds=0.1, seed=7).answers
    due = sorted(answer.sent for answer in answers)
    wanted = arrivals(100, 0.1, seed=7)
    assert [t - due[0] for t in due] == pytest.approx(wanted - wanted[0])
    assert all(answer.answered > answer.sent for answer in answers)


def test_arrivals_are_a_poisson_process():
    times = arrivals(50, 1000, seed=0)
    assert not set(times) & set(arrivals(50, 1000, seed=1))
    gaps = times[1:] - times[:-1]
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.02)


def test_a_request_counts_by_its_share_of_the_window():
    answers = [Answer(0, 2, 4), Answer(2, 4, 2), Answer(4, 8, 0)]
    assert throughput(answers, 1, 5) == (1.75 / 4, 4 / 4)


def test_all_users_are_at_it_from_their_first_answers_to_the_last_sending():
    assert steady([Answer(0, 3, 1), Answer(0, 2, 1), Answer(2, 4, 1), Answer(3, 9, 1)], 2) == (3, 3)


def test_latencies_are_percentiles_in_milliseconds():
    assert latencies([Answer(0, i / 1000, 1) for i in range(1, 101)]) == pytest.approx((50, 95, 99))


def test_a_step_is_what_happened_in_between():
    before = {"pose": Counters(10, 50, 5, (0, 0, 7_000_000, 0)), "idle": Counters(3, 3, 3, (9, 9, 9, 9))}
    after = {
        "crop": Counters(4, 4, 4, (4_000_000, 0, 0, 0)),
        "pose": Counters(14, 70, 7, (8_000_000, 0, 27_000_000, 0)),
        "idle": before["idle"],
    }
    assert steps(before, after) == [Step("pose", 4, 10, (2, 0, 5, 0)), Step("crop", 4, 1, (1, 0, 0, 0))]


def test_counters_are_tritons():
    statistics = ModelStatistics(name="pose", inference_count=20, execution_count=2)
    statistics.inference_stats.success.count = 5
    statistics.inference_stats.queue.ns = 1
    statistics.inference_stats.compute_output.ns = 4
    assert counters(statistics) == Counters(5, 20, 2, (1, 0, 0, 4))


def test_gauges_are_read_where_there_are_any():
    gauges = machine.GPU_GAUGES | machine.CPU_GAUGES
    assert machine.read_gauges(METRICS, gauges) == {"GPU": 0.75, "GPU MB": 3001, "CPU": 0.25}
    assert machine.read_gauges("nv_inference_count 3\n", gauges) == {}


def test_a_table_is_markdown():
    assert sweep.markdown({"a": ["1", "2"], "b": ["x", "y"]}) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |"


def open_run(slowest):
    """Answers after a second each, but for the last three of a hundred and one."""
    seconds = [1.0] * 98 + [slowest] * 3
    return sweep.Run([Answer(10 * i, 10 * i + s, 1) for i, s in enumerate(seconds)], [Step("pose", 1, 1, (0,) * 4)], {})


def closed_run(users, images):
    """Images take one second alone, every eighth three."""
    answers = [Answer(0, 3 if i % sweep.SCENES == 0 else 1, 1) for i in range(images)]
    return sweep.Point(users, 0.8, 0, 1, 1, 1, 1, sweep.Run(answers, [], {}))


def test_the_tail_is_the_median_of_the_runs_and_stands_beside_that_of_an_ideal_queue():
    opened = [open_run(slowest) for slowest in (5, 2, 3)]
    _, ratio, run = sweep.conclusions([closed_run(1, 16)], 0.64, opened)
    # 1.25 seconds on average alone: one place, 0.8 images per second: nobody waits, one in eight takes thrice.
    assert ratio == (
        "p99/p50 at 80%: 3.0, median of 3 runs (2.0 to 5.0); "
        "an ideal queue of such images, 1 at a time, first in, first out: 3.0"
    )
    assert run == "run of that median: 101 Poisson arrivals, 0.64 images/s: p50 1000 ms, p95 1000 ms, p99 3000 ms"


@pytest.mark.parametrize(("users", "images"), [(2, 16), (1, 7)])
def test_an_ideal_queue_needs_each_image_alone(users, images):
    assert sweep.ideal([closed_run(users, images)], [open_run(2)]) == ""


def test_a_gauge_that_some_runs_lack_has_empty_cells():
    steps_ = [Step("detector", 1, 1, (0, 0, 0, 0))]
    used = {"client cores": 0.5}, {"client cores": 0.5, "GPU": 0.25}, {"GPU": 1}
    points = [sweep.Point(i, 1, 1, 1, 1, 1, 1, sweep.Run([], steps_, usage)) for i, usage in enumerate(used, 1)]
    lines = sweep.report("", points, [open_run(1)], []).splitlines()
    cells = [line.split(" | ")[-2:] for line in lines if " | 1.00 | " in line]
    assert cells == [["0.50", " |"], ["0.50", "0.25 |"], ["", "1.00 |"]]


@pytest.mark.parametrize(
    "options", ["--concurrency 0,1", "--ensemble depth", "--network a --url grpc://b:1", "--metrics-url b:2"]
)
def test_what_cannot_be_swept_is_refused_at_once(options):
    with pytest.raises(SystemExit):
        sweep.main(options.split())


def test_a_report_without_marks_keeps_its_text(tmp_path):
    path = tmp_path / "performance.md"
    path.write_text("kept\n")
    sweep.write_report(path, "new")
    sweep.write_report(path, "newer")
    assert path.read_text() == f"kept\n{sweep.BEGIN}\nnewer\n{sweep.END}\n"
