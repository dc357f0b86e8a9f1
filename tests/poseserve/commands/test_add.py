"""`poseserve add`: a network is installed whole, or nothing is."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poseclient import keypoint_set
from poseserve.catalogue import CATALOGUE, OFFICIAL_TASKS, Network
from poseserve.cli import main
from poseserve.deployment import Deployment
from poseserve.families.family import families
from poseserve.networks import build
from poseserve.networks.contracts import PoseContract
from poseserve.networks.costs import costs, count
from poseserve.repository import install
from poseserve.repository.config import network_config, write_configs
from poseserve.repository.folders import FOLDERS, ROOT
from poseserve.repository.installed import Installed, read_repository
from poseserve.weights import disk
from poseserve.weights.official import official_weights
from tests import golden

NAME = "vitpose-s-coco_25"


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def refusal(capsys, *arguments: object) -> str:
    """What `poseserve` prints as it refuses."""
    assert main([str(a) for a in arguments]) == 1
    return capsys.readouterr().err


def test_the_installed_file_answers_as_the_network_does(root, vitpose_file):
    assert main(["add", NAME, "--checkpoint", str(vitpose_file), "--root", str(root)]) == 0
    network = CATALOGUE[NAME]
    bare = build.bare(network)
    bare.load_state_dict(torch.load(vitpose_file, weights_only=True))
    crops, regions = build.example(network)
    crops, regions = crops.repeat(3, 1, 1, 1), regions.repeat(3, 1)
    regions[1] = 0  # nobody
    served = torch.jit.load(read_repository(root).model_file(NAME))
    with torch.inference_mode():
        found, expected = served(crops, regions), build.contract(network, bare)(crops, regions)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert found[1].eq(0).all()


def test_all_that_follows_is_configured(root, vitpose_file):
    options = ["--gpus", "0,1", "--instances", "2", "--max-people", "20", "--root", str(root)]
    assert main(["add", NAME, "--checkpoint", str(vitpose_file), *options]) == 0
    models, steps, ensembles = (root / name for name in FOLDERS)
    network = (models / NAME / "config.pbtxt").read_text()
    assert "gpus: [0, 1]" in network
    assert "count: 2" in network
    assert "max_batch_size: 20" in network
    assert r"{\"256x192\": 20, \"320x240\": 100}" in (steps / "crop_people" / "config.pbtxt").read_text()
    assert (ensembles / f"pose.{NAME}" / "config.pbtxt").is_file()
    assert (ensembles / f"pose_in_boxes.{NAME}" / "config.pbtxt").is_file()


def test_adding_and_removing_leaves_no_trace(root, vitpose_file):
    before = snapshot(root)
    assert main(["add", NAME, "--checkpoint", str(vitpose_file), "--root", str(root)]) == 0
    assert snapshot(root) != before
    assert main(["remove", NAME, "--root", str(root)]) == 0
    assert snapshot(root) == before


def test_adding_again_replaces(root, vitpose_file):
    repository = read_repository(root)
    for precision in ("fp32", "bf16"):
        installed = Installed(CATALOGUE[NAME], Deployment(precision=precision))
        repository = install.add(repository, installed, vitpose_file, say=lambda text: None)
    size = repository.model_file(NAME).stat().st_size
    assert size < 0.6 * vitpose_file.stat().st_size
    assert read_repository(root) == repository


def test_the_flip_test_is_inside_the_file(root, vitpose_file):
    assert main(["add", NAME, "--flip-test", "--checkpoint", str(vitpose_file), "--root", str(root)]) == 0
    repository = read_repository(root)
    assert repository.networks[NAME].deployment.flip_test
    crops, regions = build.example(CATALOGUE[NAME])
    served = torch.jit.load(repository.model_file(NAME))
    mirrored = keypoint_set("coco_25").mirrored
    with torch.inference_mode():
        found, back = served(crops, regions)[0], served(crops.flip(2), regions)[0, mirrored]
    # The mirror image's mirror image is the image: x runs the other way, and y and the scores are the same.
    same = (found[:, 1:] - back[:, 1:]).abs() < 1e-2
    assert same.float().mean() > 0.9  # all, but for near ties between two peaks


def test_a_flip_test_needs_sides(root, tmp_path, capsys):
    torch.save(golden.filled(golden.layouts()["rtmdet/rtmdet_m"]), tmp_path / "rtmdet.pth")
    arguments = ("add", "rtmdet-m", "--checkpoint", tmp_path / "rtmdet.pth", "--flip-test", "--root", root)
    assert "a flip test is for pose and parts" in refusal(capsys, *arguments)


def test_half_precision_stays_close(root, vitpose_file):
    network = CATALOGUE[NAME]
    state = torch.load(vitpose_file, weights_only=True)
    inputs = build.example(network)
    answers = {}
    for precision in ("fp32", "bf16", "fp16"):
        bare = build.bare(network)
        bare.load_state_dict(state)
        contract = build.contract(network, bare, precision)
        assert isinstance(contract, PoseContract)
        with torch.inference_mode():
            heatmaps = contract.network(contract.normalise(inputs[0]))
        assert heatmaps.dtype == build.DTYPES[precision]
        answers[precision] = heatmaps.float()
    spread = answers["fp32"].std()
    assert (answers["fp16"] - answers["fp32"]).abs().mean() < 0.01 * spread
    assert (answers["bf16"] - answers["fp32"]).abs().mean() < 0.05 * spread


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda state: state.pop("backbone.blocks.3.attn.qkv.bias"), "1 missing (backbone.blocks.3.attn.qkv.bias)"),
        (
            lambda state: state.update({k: state[k][:17] for k in state if "final_layer" in k}),
            "the file has 17 outputs, this network expects 25",
        ),
        (lambda state: state.update(more=torch.zeros(1)), "1 unexpected (more)"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(root, vitpose_file, tmp_path, capsys, damage, words):
    state = torch.load(vitpose_file, weights_only=True)
    damage(state)
    torch.save(state, tmp_path / "damaged.pth")
    before = snapshot(root)
    error = refusal(capsys, "add", NAME, "--checkpoint", tmp_path / "damaged.pth", "--root", root)
    assert words in error
    assert snapshot(root) == before


def test_another_family_is_named_as_such(root, tmp_path, capsys):
    torch.save({"final_layer.weight": torch.zeros(17, 32, 1, 1)}, tmp_path / "other.pth")
    before = snapshot(root)
    assert "another family or size" in refusal(
        capsys, "add", NAME, "--checkpoint", tmp_path / "other.pth", "--root", root
    )
    assert snapshot(root) == before


def test_a_truncated_file_changes_nothing(root, vitpose_file, tmp_path, capsys):
    (tmp_path / "cut.pth").write_bytes(vitpose_file.read_bytes()[:1_000_000])
    before = snapshot(root)
    assert "cut short" in refusal(capsys, "add", NAME, "--checkpoint", tmp_path / "cut.pth", "--root", root)
    assert snapshot(root) == before


def test_a_pickle_with_code_is_not_run(root, tmp_path, capsys):
    class Evil:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": {"weight": Evil()}}, tmp_path / "evil.pth")
    refusal(capsys, "add", NAME, "--checkpoint", tmp_path / "evil.pth", "--root", root)
    assert not (tmp_path / "ran").exists()


def test_a_failure_while_installing_is_taken_back(root, vitpose_file, monkeypatch):
    before = snapshot(root)
    write = install.write_configs
    calls = []

    def full_disk(repository):
        calls.append(repository)
        if len(calls) == 1:
            write(repository)
            raise OSError("No space left on device")
        return write(repository)

    monkeypatch.setattr(install, "write_configs", full_disk)
    with pytest.raises(OSError, match="No space left"):
        install.add(read_repository(root), Installed(CATALOGUE[NAME]), vitpose_file, say=lambda text: None)
    assert snapshot(root) == before


def test_unknown_names_and_defaults_in_use_are_refused(root, capsys):
    assert "not in the catalogue" in refusal(capsys, "add", "vitpose-xxl", "--root", root)
    assert "demo_pose is what `pose` means" in refusal(capsys, "remove", "demo_pose", "--root", root)
    assert "no installed network for 'pose'" in refusal(capsys, "default", "pose", "demo_parts", "--root", root)
    assert "is not installed" in refusal(capsys, "remove", "rtmdet-m", "--root", root)


def test_weights_that_no_program_can_fetch_say_where_they_are(root, capsys):
    assert "download it from https://github.com" in refusal(capsys, "add", "posehrnet-w32", "--root", root)


def test_the_licence_comes_before_the_download(root, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POSESERVE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert "--accept-licence" in refusal(capsys, "add", "sapiens-0.3b-parts", "--root", root)


def test_a_network_of_ones_own_with_its_own_keypoints(root, tmp_path):
    names = ["snout", "left_paw", "right_paw"]
    table = {"names": names, "swap_pairs": [[1, 2]], "links": [[0, 1], [0, 2]]}
    (tmp_path / "fox_3.json").write_text(json.dumps(table))
    own_weights(tmp_path / "mine.pth", 3)
    own = ["--family", "vitpose", "--size", "s", "--keypoints", tmp_path / "fox_3.json"]
    arguments = ["add", "fox", *own, "--checkpoint", tmp_path / "mine.pth", "--root", root]
    assert main([str(a) for a in arguments]) == 0
    installed = read_repository(root).networks["fox"]
    assert installed.network.outputs == 3
    ensemble = (root / "ensemble" / "pose.fox" / "config.pbtxt").read_text()
    assert 'string_value: "fox_3"' in ensemble
    assert "right_paw" in ensemble


def test_an_own_network_is_added_again_by_its_name(root, tmp_path, capsys):
    own_weights(tmp_path / "mine.pth", 17)
    own = ["--family", "vitpose", "--size", "s", "--keypoints", "coco_17", "--checkpoint", tmp_path / "mine.pth"]
    assert main([str(a) for a in ("add", "mine", *own, "--root", root)]) == 0
    before = read_repository(root).networks["mine"]
    assert main(["add", "mine", "--max-people", "7", "--root", str(root)]) == 0
    after = read_repository(root).networks["mine"]
    assert after == replace(before, deployment=Deployment(max_people=7))
    assert "--size: for a network of your own, with --family\n" in refusal(
        capsys, "add", "mine", "--size", "b", "--root", root
    )
    (tmp_path / "mine.pth").unlink()
    assert "give a file, --checkpoint FILE" in refusal(capsys, "add", "mine", "--root", root)


def test_where_the_configuration_of_a_detector_is_stays_known(root, tmp_path):
    network = Network("fcos", "detector", (640, 640), family="mmdet")
    installed = Installed(network, checkpoint="/weights/fcos.pth", config="/configs/fcos.py")
    write_configs(read_repository(root).with_network(installed))
    assert read_repository(root).networks["fcos"] == installed


def test_two_keypoint_sets_of_one_name_are_refused(root, tmp_path, capsys):
    names = {"three": ["snout", "left_paw", "right_paw"], "two": ["snout", "tail"]}
    arguments = {}
    for name, points in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "fox.json").write_text(json.dumps({"names": points}))
        own_weights(tmp_path / name / "fox.pth", len(points))
        own = ["--family", "vitpose", "--size", "s", "--keypoints", tmp_path / name / "fox.json"]
        arguments[name] = ["add", name, *own, "--checkpoint", tmp_path / name / "fox.pth", "--root", root]
    assert main([str(a) for a in arguments["three"]]) == 0
    before = snapshot(root)
    assert "three has other keypoints under the name fox: rename the file" in refusal(capsys, *arguments["two"])
    assert snapshot(root) == before
    assert read_repository(root).networks["three"].network.outputs == 3


def own_weights(file: Path, keypoints: int) -> None:
    """ViTPose-S with that many keypoints."""
    layout = golden.layouts()["vitpose/vitpose_s"]
    layout = [[key, [keypoints, *s[1:]] if "final_layer" in key else s, d] for key, s, d in layout]
    torch.save({"state_dict": golden.filled(layout)}, file)


@pytest.mark.parametrize("name", ["people", "pose", "pose_in_boxes", "parts_of_people", "crop_people", "depth"])
def test_names_of_steps_and_ensembles_are_refused(root, tmp_path, capsys, name):
    before = snapshot(root)
    own = ["--family", "vitpose", "--size", "s", "--keypoints", "coco_17", "--checkpoint", tmp_path / "x.pth"]
    assert f"{name}: a step or an ensemble has that name" in refusal(capsys, "add", name, *own, "--root", root)
    assert snapshot(root) == before


def test_a_network_takes_no_name_that_its_own_ensembles_bring(root, tmp_path, capsys):
    own = ["--family", "sapiens2", "--size", "0.4b", "--task", "features", "--checkpoint", tmp_path / "x.pth"]
    assert "features: a step or an ensemble" in refusal(capsys, "add", "features", *own, "--root", root)


def test_networks_of_the_catalogue_are_described_there_alone(root, tmp_path, capsys):
    own = ("--checkpoint", tmp_path / "x.pth", "--keypoints", "mine.json", "--size", "b")
    error = refusal(capsys, "add", NAME, *own, "--root", root)
    assert "--size, --keypoints: for a network of your own, with --family and another name" in error


def test_options_that_a_network_has_no_use_for_are_refused(root, tmp_path, capsys):
    add = ("add", "x", "--checkpoint", tmp_path / "x.pth", "--root", root, "--family")
    error = refusal(capsys, *add, "vitpose", "--class-index", "3", "--trained-on", "person", "--config", "x.py")
    assert "--config, --class-index, --trained-on: not for a pose network of family vitpose" in error
    error = refusal(capsys, *add, "vitpose", "--score-threshold", "0.4", "--crop-filter", "area")
    assert "--score-threshold: not for a pose network of family vitpose" in error
    error = refusal(capsys, *add, "yolo", "--crop-filter", "area", "--score-threshold", "0.4")
    assert "--crop-filter: not for a detector network of family yolo" in error
    error = refusal(capsys, *add, "yolo", "--score-threshold", "1.4")
    assert "x: score threshold 1.4, must be 0 to 1" in error
    assert "family yolo does not do pose" in refusal(capsys, *add, "yolo", "--task", "pose")


class Cats(torch.nn.Module):
    """A YOLO export of layout v8 with two classes: it sees one of the first, and one of the second, twice as wide."""

    raw: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        raw = torch.zeros(1, 6, 6400)
        raw[0, :, 0] = torch.tensor([100, 100, 64, 64, 0.9, 0])
        raw[0, :, 1] = torch.tensor([400, 400, 128, 128, 0, 0.8])
        self.register_buffer("raw", raw)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.raw.expand(x.shape[0], 6, 6400)


def test_another_class_of_a_detector_can_be_served(root, tmp_path, capsys):
    file = tmp_path / "cats.torchscript"
    torch.jit.trace(Cats(), torch.zeros(1, 3, 640, 640)).save(str(file))
    add = ("add", "cats", "--family", "yolo", "--size", "v8", "--checkpoint", file, "--root", root, "--class-index")
    assert "has 2 classes: there is none with the index 2" in refusal(capsys, *add, "1,2")
    assert main([str(a) for a in (*add, 1)]) == 0
    repository = read_repository(root)
    assert repository.networks["cats"].network.class_indices == (1,)
    repository = install.add(repository, repository.networks["cats"], file)
    with torch.inference_mode():
        (found,) = torch.jit.load(repository.model_file("cats"))(torch.zeros(1, 640, 640, 3, dtype=torch.uint8))
    torch.testing.assert_close(found[0], torch.tensor([336, 336, 464, 464, 0.8]))
    assert found[1:].eq(0).all()


def test_parts_networks_may_want_people_cut_out(root, tmp_path, monkeypatch):
    small = replace(families()["sapiens"], build=lambda network: torch.nn.Conv2d(3, network.outputs, 16, 16))
    monkeypatch.setitem(families(), "sapiens", small)
    file, own = tmp_path / "mine.pth", ["--family", "sapiens", "--size", "0.3b", "--task", "parts"]
    torch.save({"weight": torch.zeros(28, 3, 16, 16), "bias": torch.zeros(28)}, file)
    add = ["add", "mine", *own, "--classes", "sapiens_28", "--checkpoint", str(file), "--root", str(root)]
    steps = {}
    for view in ("image", "person"):
        assert main([*add, "--trained-on", view]) == 0
        ensemble = (root / "ensemble" / "parts.mine" / "config.pbtxt").read_text()
        steps[view] = [step for step in ("crop_people", "resize_image") if f'"{step}"' in ensemble]
    assert steps == {"image": ["resize_image"], "person": ["crop_people"]}


def test_without_mmdet_its_extra_is_named(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmdet", None)
    own = ("--family", "mmdet", "--config", "fcos.py", "--checkpoint", tmp_path / "x.pth")
    assert "pip install 'poseserve[mmdet]'" in refusal(capsys, "add", "fcos", *own, "--root", root)


def test_a_full_disk_is_noticed_before_the_export(root, vitpose_file, capsys, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("", (), {"free": 90_000_000}))
    before = snapshot(root)
    add = ("add", NAME, "--checkpoint", vitpose_file, "--root", root)
    assert f"{NAME} needs 0.1 GB" in refusal(capsys, *add)
    assert snapshot(root) == before
    assert main([str(a) for a in (*add, "--precision", "bf16")]) == 0  # half the size


def test_own_networks_need_all_that_describes_them(root, tmp_path, capsys):
    file = tmp_path / "x.pth"
    assert "need --checkpoint" in refusal(capsys, "add", "x", "--family", "vitpose", "--root", root)
    own = ("add", "x", "--checkpoint", file, "--root", root, "--family")
    assert "needs --keypoints" in refusal(capsys, *own, "vitpose", "--size", "s")
    assert "does not do depth" in refusal(capsys, *own, "vitpose", "--task", "depth")
    assert "choose another name" in refusal(capsys, "add", NAME, "--family", "vitpose", "--root", root)
    bad = tmp_path / "bad_set.json"
    bad.write_text('{"names": ["a", "b"], "links": [[0, 2]]}')
    assert "links must be pairs of indices 0 to 1" in refusal(capsys, *own, "vitpose", "--keypoints", bad)


def test_a_folder_without_repositories_is_refused(tmp_path, capsys):
    assert "holds no model_repository/networks.json" in refusal(capsys, "catalogue", "--root", tmp_path)


def test_the_catalogue_is_a_table_and_json(root, capsys):
    assert main(["catalogue", "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CATALOGUE) + 1
    assert main(["catalogue", "--json", "--task", "depth", "--root", str(root)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["task"] for row in rows} == {"depth"}
    assert {row["name"] for row in rows if row["installed"]} == {"demo_depth"}


def test_the_committed_state_installs_the_demo_networks_alone():
    repository = read_repository(ROOT)
    tasks = "detector", "pose", "parts", "depth", "normals", "pose_133"
    assert set(repository.networks) == {f"demo_{task}" for task in tasks}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("sapiens-0.3b-parts", "seg/checkpoints/sapiens_0.3b/sapiens_0.3b_goliath_best_goliath_mIoU_7673_epoch_194"),
        ("sapiens-1b-pose-17", "pose/checkpoints/sapiens_1b/sapiens_1b_coco_best_coco_AP_821"),
    ],
)
@pytest.mark.parametrize("ending", ["_torchscript.pt2", "_bfloat16.pt2", ".pth"])
def test_existing_downloads_are_used_in_place(tmp_path, monkeypatch, name, place, ending):
    downloaded(tmp_path, f"{place}{ending}", monkeypatch)
    assert official_weights([CATALOGUE[name]], licence_accepted=False) == [tmp_path / f"{place}{ending}"]


def test_the_detector_of_sapiens_is_used_in_place(tmp_path, monkeypatch):
    file = "detector/checkpoints/rtmpose/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth"
    downloaded(tmp_path, file, monkeypatch)
    assert official_weights([CATALOGUE["rtmdet-m"]], licence_accepted=False) == [tmp_path / file]


def test_of_several_downloads_the_one_in_full_precision_is_used(tmp_path, monkeypatch):
    stem = "depth/checkpoints/sapiens_2b/sapiens_2b_render_people_epoch_25"
    for ending in ("_bfloat16.pt2", ".pth", "_torchscript.pt2"):
        downloaded(tmp_path, stem + ending, monkeypatch)
        assert official_weights([CATALOGUE["sapiens-2b-depth"]], False) == [tmp_path / (stem + ending)]


def downloaded(root: Path, file: str, monkeypatch) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).touch()
    monkeypatch.setenv("SAPIENS_LITE_CHECKPOINT_ROOT", str(root))


def test_the_costs_are_those_of_the_networks():
    assert costs().keys() == {name for name, network in CATALOGUE.items() if network.family != "demo"}
    for name in ("rtmdet-m", "vitpose-b-coco", "simdr-w48", "sapiens-0.3b-depth", "sapiens2-0.4b-pose"):
        assert count(CATALOGUE[name]) == costs()[name]


def official_layout(network: Network) -> list[tuple[str, list[int]]]:
    """Layouts of pose networks are written for one keypoint set, of which the last layer alone depends."""
    task = OFFICIAL_TASKS.get(network.task, network.task)
    kind = task if network.family.startswith("sapiens") else network.family
    layout = golden.layouts()[f"{network.family}/{kind}_{network.size}"]
    by_keypoints = "final_layer" if task == "pose" else "nothing"
    return [(key, [network.outputs, *shape[1:]] if by_keypoints in key else shape) for key, shape, _ in layout]


@pytest.mark.parametrize(
    "name", [name for name, network in CATALOGUE.items() if network.family not in ("demo", "movenet", "nanodet")]
)
def test_the_official_weights_of_every_network_would_load(name):
    """Of MoveNet and NanoDet the files themselves are at hand (tests/poseserve/families)."""
    network = CATALOGUE[name]
    with torch.device("meta"):
        state = build.bare(network).state_dict()
    assert [(key, list(value.shape)) for key, value in state.items()] == official_layout(network)


def test_features_have_the_channels_that_the_catalogue_says():
    for network in CATALOGUE.values():
        if network.task == "features":
            with torch.device("meta"), torch.no_grad():
                features = build.bare(network).to("meta")(torch.zeros(1, 3, *network.input_size))
            (output,) = [o for o in network_config(Installed(network)).output if o.name == "OUTPUT__0"]
            assert list(features.shape[1:]) == list(output.dims)
