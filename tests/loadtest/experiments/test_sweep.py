"""The sweep loads a real server, closed and open, and reports what it saw; its arithmetic is exact."""

import pytest

from loadtest.experiments import sweep
from loadtest.experiments.load import Response
from loadtest.experiments.triton_statistics import StepStatistics


def tables(text):
    """The cells of the Markdown tables, row by row, without the line below the header."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    return [[line.strip("| ").split(" | ") for line in lines if not line.startswith("| ---")] for lines in blocks]


def test_a_sweep_writes_tables_and_pictures_and_ends_with_plain_lines(server, tmp_path, capsys):
    (tmp_path / "performance.md").write_text(f"before\n{sweep.BEGIN}\nold\n{sweep.END}\nafter\n")
    options = f"--url grpc://{server.grpc_url} --metrics-url {server.metrics_url} --ensemble detect"
    options += f" --concurrency 1,2 --seconds 0.2 --out {tmp_path}"
    assert sweep.main(options.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("throughput at 2: ")
    assert lines[1].startswith("p99/p50 at 80%: ")
    assert " Poisson arrivals, " in lines[2]
    text = (tmp_path / "performance.md").read_text()
    assert text.startswith(f"before\n{sweep.BEGIN}\nCommand: `python -m loadtest.experiments.sweep --url")
    assert text.endswith(f"{sweep.END}\nafter\n")
    assert "\nold\n" not in text
    for told in ("; Triton 2.", "; the client's machine: ", " cores of ", *lines):
        assert told in text
    runs, spent = tables(text)
    assert runs[0][:3] == ["in flight", "images/s", "people/s"]
    assert runs[0][-3:] == ["client cores", "CPU", "RAM MB"]
    assert [row[0] for row in runs[1:]] == ["1", "2"]
    assert min(float(cell) for row in runs[1:] for cell in row[:7]) > 0
    assert f"({max(float(row[1]) for row in runs[1:]):.2f} images/s" in lines[0]
    steps = {row[1] for row in spent[1:] if row[0] == "open, 80%"}
    assert steps == {"decode_image", "demo_detector", "crop_people"}
    for picture, told in (("latency-throughput.svg", "images per second"), ("steps.svg", "demo_detector")):
        assert told in (tmp_path / "images" / picture).read_text()


def test_a_table_is_markdown():
    assert sweep.markdown({"a": ["1", "2"], "b": ["x", "y"]}) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |"


def open_run(slowest):
    """Responses after a second each, but for the last three of a hundred and one."""
    seconds = [1.0] * 98 + [slowest] * 3
    return sweep.Run(
        [Response(10 * i, 10 * i + s, 1) for i, s in enumerate(seconds)], [StepStatistics("pose", 1, 1, (0,) * 4)], {}
    )


def closed_run(users, images):
    """Images take one second alone, every eighth three."""
    responses = [Response(0, 3 if i % sweep.SCENES == 0 else 1, 1) for i in range(images)]
    return sweep.Point(users, 0.8, 0, 1, 1, 1, 1, sweep.Run(responses, [], {}))


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
    assert sweep.ideal_tail([closed_run(users, images)], [open_run(2)]) == ""


def test_a_gauge_that_some_runs_lack_has_empty_cells():
    steps_ = [StepStatistics("detector", 1, 1, (0, 0, 0, 0))]
    used = {"client cores": 0.5}, {"client cores": 0.5, "GPU": 0.25}, {"GPU": 1}
    points = [sweep.Point(i, 1, 1, 1, 1, 1, 1, sweep.Run([], steps_, usage)) for i, usage in enumerate(used, 1)]
    lines = sweep.report("", points, [open_run(1)], []).splitlines()
    cells = [line.split(" | ")[-2:] for line in lines if " | 1.00 | " in line]
    assert cells == [["0.50", " |"], ["0.50", "0.25 |"], ["", "1.00 |"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--concurrency 0,1", "argument --concurrency: invalid counts value: '0,1'"),
        ("--ensemble depth", "--ensemble depth: must be "),
        ("--network a --url grpc://b:1", "--network is for a server of its own"),
        ("--metrics-url b:2", "--metrics-url is that of the server that --url names"),
    ],
)
def test_what_cannot_be_swept_is_refused_at_once(options, said, capsys):
    with pytest.raises(SystemExit):
        sweep.main(options.split())
    assert said in capsys.readouterr().err


def test_a_report_without_marks_keeps_its_text(tmp_path):
    path = tmp_path / "performance.md"
    path.write_text("kept\n")
    sweep.write_report(path, "new")
    sweep.write_report(path, "newer")
    assert path.read_text() == f"kept\n{sweep.BEGIN}\nnewer\n{sweep.END}\n"
