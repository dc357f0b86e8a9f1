"""`poseserve tune`: what it tries, and what it proposes."""

from __future__ import annotations

from poseserve import tune
from poseserve.cli import main
from poseserve.repository import Deployment


def test_instances_and_threads_share_the_cores():
    shared = [(d.instances, d.threads) for d in tune.layouts(Deployment(), 6)]
    assert shared == [(1, 6), (2, 3), (4, 1)]


def test_only_engines_of_the_wanted_precisions_are_tried():
    tried = {precision: [(d.format, d.precision) for d in tune.engines([precision])] for precision in ("fp32", "bf16")}
    assert tried == {
        "fp32": [("torchscript", "fp32"), ("onnx", "fp32")],
        "bf16": [("torchscript", "bf16"), ("openvino", "bf16")],
    }


def test_a_deployment_is_described_by_the_options_that_make_it():
    deployment = Deployment(format="onnx", instances=2, threads=1, delay_us=500)
    words = "--format onnx --precision fp32 --instances 2 --threads 1 --delay-us 500"
    assert tune.describe(deployment) == words


def test_the_fastest_is_proposed(root, capsys, monkeypatch):
    monkeypatch.setattr(tune, "SECONDS", 0.2)
    monkeypatch.setattr(tune, "DELAYS_US", (0, 1000))
    assert main(["tune", "demo_pose", "--people", "2", "--root", str(root)]) == 0
    *tried, last = capsys.readouterr().out.splitlines()
    rates = {line.partition(": ")[0]: float(line.split()[-2]) for line in tried if "single rows" not in line}
    fastest = max(rates, key=lambda options: rates[options])
    assert last.startswith(f"fastest here: poseserve add demo_pose {fastest}")
    assert sum("single rows" in line for line in tried) == 2


def test_a_network_that_nobody_knows_is_refused(root, capsys):
    assert main(["tune", "nobody", "--root", str(root)]) == 1
    assert "neither installed nor in the catalogue" in capsys.readouterr().err
