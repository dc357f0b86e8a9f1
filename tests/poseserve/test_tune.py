"""`poseserve tune`: what it tries, and what it proposes."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from poseserve import tune
from poseserve.catalogue import CATALOGUE
from poseserve.cli import main
from poseserve.deployment import Deployment
from poseserve.repository.installed import Installed, read_repository
from tests import golden


def test_instances_and_threads_share_the_cores():
    shared = [(d.instances, d.threads) for d in tune.layouts(Deployment(), 6)]
    assert shared == [(1, 6), (2, 3), (4, 1)]


def test_only_engines_of_the_wanted_precisions_are_tried():
    tried = {precision: [(d.format, d.precision) for d in tune.engines([precision])] for precision in ("fp32", "bf16")}
    assert tried == {
        "fp32": [("torchscript", "fp32"), ("onnx", "fp32")],
        "bf16": [("torchscript", "bf16"), ("openvino", "bf16")],
    }


def test_engines_keep_what_else_is_installed():
    installed = Deployment("bf16", "openvino", max_people=20, flip_test=True)
    tried = tune.engines(["fp32", "bf16"], installed)
    assert len(tried) == len(set(tried)) == 4
    assert all(d.max_people == 20 and d.flip_test for d in tried)


def test_an_accelerator_is_tried_with_its_engine_alone():
    installed = Deployment("fp16", "onnx", accelerator="tensorrt")
    tried = [(d.format, d.precision, d.accelerator) for d in tune.engines(["fp16"], installed)]
    assert tried == [("torchscript", "fp16", ""), ("onnx", "fp16", "tensorrt")]


@pytest.mark.parametrize(("people", "requests"), [(1, 32), (3, 12), (4, 8), (40, 4)])
def test_the_load_fills_the_batches_of_the_most_instances(people, requests):
    installed = Installed(CATALOGUE["demo_pose"])
    assert tune.callers(installed, people, cores=2) == requests
    assert tune.callers(installed, people, cores=3) == requests
    assert tune.callers(installed, people, cores=8) == 4 * requests


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        (Deployment(), "--precision fp32 --format torchscript --instances 1"),
        (
            Deployment(format="onnx", instances=2, threads=1, delay_us=500),
            "--precision fp32 --format onnx --instances 2 --threads 1 --delay-us 500",
        ),
        (
            Deployment("fp16", "onnx", (0, 1), max_people=9, flip_test=True, accelerator="tensorrt"),
            "--precision fp16 --format onnx --gpus 0,1 --instances 1 --max-people 9 --flip-test --accelerator tensorrt",
        ),
    ],
)
def test_a_deployment_is_described_by_the_options_that_make_it(deployment, words):
    assert tune.describe(deployment) == words


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Real measurements, but for a moment each, and of one core unless said."""
    monkeypatch.setattr(tune, "SECONDS", 0.2)
    monkeypatch.setattr(tune, "DELAYS_US", (0,))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})


def tuned(capsys, *arguments: object) -> list[str]:
    """The lines that `poseserve tune` prints."""
    capsys.readouterr()
    assert main(["tune", *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def follow(line: str) -> None:
    """Run the command that the line proposes."""
    assert main(shlex.split(line.partition(": poseserve ")[2])) == 0


@pytest.mark.slow
def test_the_better_of_the_best_two_is_proposed(root, capsys, monkeypatch):
    monkeypatch.setattr(tune, "DELAYS_US", (0, 1000))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    *tried, fastest, last = tuned(capsys, "demo_pose", "--people", 2, "--root", root)
    sums: Counter[str] = Counter()
    for line in tried:
        options, again, rate = line.partition(", again: ")
        if again:
            sums[options] += float(rate.removesuffix(" rows/s"))
    assert sums.keys() == {tune.describe(d) for d in tune.layouts(Deployment(), 2)}
    assert sum("single rows" in line for line in tried) == 2
    options = json.loads(fastest.partition('"deployment": ')[2])
    assert tune.describe(replace(Deployment(**options), delay_us=0)) == max(sums, key=lambda words: sums[words])
    state = root / "model_repository" / "networks.json"
    written = json.loads(state.read_text())
    written["networks"]["demo_pose"]["deployment"] = options
    state.write_text(json.dumps(written))
    follow(last)
    config = (root / "model_repository" / "demo_pose" / "config.pbtxt").read_text()
    assert f'string_value: "{options["threads"]}"' in config


@pytest.mark.slow
def test_a_network_of_ones_own_is_tuned_by_its_name_and_the_proposal_changes_nothing_else(
    root, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(tune, "find_spec", lambda package: None)  # TorchScript alone
    (tmp_path / "fox_3.json").write_text('{"names": ["snout", "left_paw", "right_paw"], "swap_pairs": [[1, 2]]}')
    layout = [[k, [3, *s[1:]] if "final_layer" in k else s, d] for k, s, d in golden.layouts()["vitpose/vitpose_s"]]
    torch.save(golden.filled(layout), tmp_path / "a fox.pth")
    own = ["fox", "--family", "vitpose", "--size", "s", "--keypoints", tmp_path / "fox_3.json"]
    own += ["--checkpoint", tmp_path / "a fox.pth", "--root", root]
    assert main(["add", *map(str, own), "--max-people", "2", "--flip-test"]) == 0
    before = read_repository(root).networks["fox"]
    *_, proposal = tuned(capsys, "fox", "--root", root, "--precision", "fp32")
    assert proposal.startswith(f"fastest here: poseserve add fox --root {root} --precision fp32")
    follow(proposal)
    after = read_repository(root).networks["fox"]
    assert after == replace(before, deployment=replace(before.deployment, threads=1))


@pytest.mark.parametrize(
    ("missing", "lines"),
    [
        ({"openvino"}, ["not tried: --format openvino --precision bf16, for openvino is missing: "]),
        ({"onnxruntime"}, ["not tried: --format onnx --precision fp32, for onnxruntime is missing: "]),
        (set(), []),
    ],
)
def test_an_engine_without_its_packages_is_named_with_the_way_to_get_it(missing, lines, monkeypatch):
    found = tune.find_spec
    monkeypatch.setattr(tune, "find_spec", lambda package: None if package in missing else found(package))
    said = tune.not_tried(["fp32", "bf16"])
    assert [line[: len(words)] for line, words in zip(said, lines, strict=True)] == lines
    assert all("pip install --constraint constraints.txt -e '.[" in line for line in said)
    assert tune.not_tried(["fp16"]) == []


def test_the_fastest_is_installed_from_the_weights_that_are_known(root, vitpose_file, tmp_path, capsys, monkeypatch):
    """Of an installed network neither a file nor the licence is asked for again."""
    known = ["openvino", "onnxruntime"]
    monkeypatch.setattr(tune, "find_spec", lambda package: None if package in known else True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    name = "vitpose-s-coco_25"
    assert main(["add", name, "--checkpoint", str(vitpose_file), "--max-people", "9", "--root", str(root)]) == 0
    lines = tuned(capsys, name, "--precision", "bf16", "--people", 1, "--install", "--root", root)
    assert any(line.startswith("not tried: --format openvino") for line in lines)
    installed = read_repository(root).networks[name]
    assert installed.deployment == Deployment("bf16", threads=1, max_people=9)
    assert installed.checkpoint == str(vitpose_file)
    assert main(["add", name, "--root", str(root)]) == 0
    assert read_repository(root).networks[name].deployment == Deployment()


def test_the_fastest_of_a_network_whose_weights_are_not_at_hand_is_installed_too(root, capsys):
    tuned(capsys, "demo_pose", "--people", 1, "--install", "--root", root)
    assert read_repository(root).networks["demo_pose"].deployment == Deployment(threads=1)
    assert "INTRA_OP_THREAD_COUNT" in (root / "model_repository" / "demo_pose" / "config.pbtxt").read_text()


class Yolo(nn.Module):
    """[B, 3, 64, 64] -> [B, 6, 64]: layout v8, two classes."""

    def forward(self, x: Tensor) -> Tensor:
        cells = nn.functional.avg_pool2d(x, 8).flatten(2)
        return torch.cat([cells, cells], 1)


@pytest.fixture
def yolo(root, tmp_path) -> list[object]:
    """Options of a detector that there is in fp32 alone."""
    torch.jit.trace(Yolo(), torch.zeros(1, 3, 64, 64)).save(str(tmp_path / "yolo.torchscript"))
    own = ["--family", "yolo", "--size", "v8", "--input-size", "64x64", "--checkpoint", tmp_path / "yolo.torchscript"]
    return ["my-yolo", *own, "--root", root]


def test_an_engine_that_cannot_serve_a_network_is_passed_over(root, capsys, yolo):
    refused, *_, last = tuned(capsys, *yolo, "--precision", "bf16")
    assert refused == "torchscript bf16: my-yolo: detectors of yolo are served in fp32 and without flip test"
    follow(last)
    assert read_repository(root).networks["my-yolo"].deployment == Deployment("bf16", "openvino", threads=1)


def test_a_network_that_no_engine_can_serve_is_refused(capsys, yolo):
    assert main(["tune", *map(str, yolo), "--precision", "fp16"]) == 1
    assert "no engine can serve my-yolo" in capsys.readouterr().err


def test_a_network_that_nobody_knows_is_refused(root, capsys):
    assert main(["tune", "nobody", "--root", str(root)]) == 1
    assert "nobody is not in the catalogue" in capsys.readouterr().err
