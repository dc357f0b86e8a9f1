"""The committed configuration is what the catalogue says, and what Triton's schema accepts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from poseserve.catalogue import CATALOGUE, Network
from poseserve.deployment import Deployment
from poseserve.repository.config import config_files, network_config, step_configs
from poseserve.repository.folders import REPOSITORIES, ROOT
from poseserve.repository.installed import Installed, Repository, read_repository

SHIPPED = read_repository()
FILES = config_files(SHIPPED)
CONFIGS = {
    path: text_format.Parse(content, pb.ModelConfig()) for path, content in FILES.items() if path.suffix == ".pbtxt"
}
BY_NAME = {config.name: config for config in CONFIGS.values()}


def test_there_are_files_of_every_kind():
    assert {path.name for path in FILES} == {"networks.json", "config.pbtxt", ".gitkeep", "region"}
    assert {config.backend or config.platform for config in CONFIGS.values()} == {"pytorch", "python", "ensemble"}
    assert len(SHIPPED.networks) == 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_committed_file_is_what_the_catalogue_says(path):
    assert path.read_bytes() == FILES[path], "run `make configure` and commit the result"


def test_every_model_folder_is_generated():
    folders = {path.parent for repository in REPOSITORIES for path in repository.glob("*/config.pbtxt")}
    assert folders == {path.parent for path in CONFIGS}


def test_every_model_is_named_after_its_folder():
    assert all(path.parent.name == config.name for path, config in CONFIGS.items())


def test_every_network_batches_across_requests():
    for name in SHIPPED.networks:
        assert BY_NAME[name].max_batch_size > 1
        assert BY_NAME[name].HasField("dynamic_batching")
        assert BY_NAME[name].instance_group[0].kind == pb.ModelInstanceGroup.KIND_AUTO


def crowded() -> Repository:
    """With networks of several tasks and input sizes installed beside the demo ones."""
    repository = SHIPPED
    for name in (
        "sapiens-0.3b-parts",
        "sapiens2-0.4b-pose",
        "vitpose-s-coco_25",
        "rtmdet-m",
        "sapiens-1b-depth",
        "sapiens2-0.4b-parts",
        "sapiens2-0.4b-normals",
        "sapiens2-0.4b-pointmap",
    ):
        repository = repository.with_network(Installed(CATALOGUE[name]))
    return repository


def parsed(repository: Repository) -> dict[str, pb.ModelConfig]:
    files = {path: content for path, content in config_files(repository).items() if path.suffix == ".pbtxt"}
    return {path.parent.name: text_format.Parse(content, pb.ModelConfig()) for path, content in files.items()}


CROWDED = parsed(crowded())


@pytest.mark.parametrize("name", [n for n, c in CROWDED.items() if c.platform == "ensemble"])
def test_ensemble_steps_fit_together(name):
    """Every tensor that a step reads has one source, with the same type and dims (a batch dimension aside)."""
    ensemble = CROWDED[name]
    tensors = {i.name: (i.data_type, list(i.dims)) for i in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        model = CROWDED[step.model_name]
        inputs = {i.name: i for i in model.input}
        for inside, outside in step.input_map.items():
            kind, dims = tensors[outside]
            assert inputs[inside].data_type == kind
            expected = list(inputs[inside].dims)
            # Between a batching network and a step the batch is the first dimension of the step's tensor, or is 1.
            assert any(fits(dims, e) for e in (expected, [-1, *expected])) or fits([-1, *dims], expected), inside
        assert {i for i, t in inputs.items() if not t.optional} <= set(step.input_map)
        outputs = {o.name: o for o in model.output}
        for inside, outside in step.output_map.items():
            assert outside not in tensors, f"{outside} has two sources"
            tensors[outside] = outputs[inside].data_type, list(outputs[inside].dims)
    for output in ensemble.output:
        kind, dims = tensors[output.name]
        assert kind == output.data_type
        assert fits(dims, list(output.dims))


@pytest.mark.parametrize("name", [n for n, c in CROWDED.items() if c.platform == "ensemble"])
def test_no_output_is_the_input_of_a_step(name):
    """Triton drops such a tensor together with the step when a request asks for it and not for what the step gives."""
    ensemble = CROWDED[name]
    taken = {tensor for step in ensemble.ensemble_scheduling.step for tensor in step.input_map.values()}
    assert not taken & {output.name for output in ensemble.output}


def test_people_are_decoded_detected_and_cut_out_once():
    steps = [step.model_name for step in CROWDED["people"].ensemble_scheduling.step]
    assert sorted(steps) == sorted(set(steps))
    assert {"demo_detector", "demo_pose", "demo_parts"} <= set(steps)


def fits(dims: list[int], expected: list[int]) -> bool:
    return len(dims) == len(expected) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(dims, expected, strict=True)
    )


def named_sets(configs: dict[str, pb.ModelConfig]) -> dict[str, dict[str, str]]:
    """Ensemble -> its output that names a set -> the output of the step that it comes from."""
    return {
        name: {
            outside: inside
            for step in config.ensemble_scheduling.step
            for inside, outside in step.output_map.items()
            if outside in ("KEYPOINT_SET", "CLASS_SET")
        }
        for name, config in configs.items()
        if config.platform == "ensemble"
    }


def test_the_ensemble_says_which_set_its_network_answers_with():
    """Also where two sets have as many keypoints."""
    sets = named_sets(parsed(crowded().with_network(Installed(CATALOGUE["vitpose-s-ap10k"]))))
    assert sets["pose"] == {"KEYPOINT_SET": "KEYPOINT_SET_coco_17"}
    assert sets["pose_in_boxes.vitpose-s-ap10k"] == {"KEYPOINT_SET": "KEYPOINT_SET_ap10k_17"}
    assert sets["pose_of_image.vitpose-s-coco_25"] == {"KEYPOINT_SET": "KEYPOINT_SET_coco_25"}
    assert sets["parts"] == {"CLASS_SET": "CLASS_SET_sapiens_28"}
    assert sets["parts.sapiens2-0.4b-parts"] == {"CLASS_SET": "CLASS_SET_sapiens2_29"}
    assert sets["people"] == {**sets["pose"], **sets["parts"]}
    assert sets["depth"] == sets["detect"] == {}


def without(*names: str) -> Repository:
    repository = SHIPPED
    for name in names:
        repository = repository.without(name)
    return repository


DEMO = ("demo_normals", "demo_depth", "demo_pose_133", "demo_pose", "demo_parts", "demo_detector")


def test_the_demo_networks_can_all_be_removed():
    assert not without(*DEMO).networks
    assert not without(*DEMO).defaults
    assert [c.name for c in parsed(without(*DEMO)).values() if c.platform == "ensemble"] == []


def test_without_parts_depth_is_of_the_image_alone():
    configs = parsed(without("demo_parts"))
    assert [output.name for output in configs["depth"].output] == ["DEPTH"]
    assert "people" not in configs
    assert "pose" in configs


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("demo_pose", "demo_pose is what `pose` means: choose another first, .*; there are demo_pose_133"),
        ("demo_detector", "demo_detector is the only detector, which demo_pose, demo_parts, demo_pose_133 need"),
        ("demo_pos", r"installed are .*; did you mean demo_pose"),
    ],
)
def test_what_others_need_is_not_removed(name, words):
    with pytest.raises(ValueError, match=words):
        SHIPPED.without(name)


def test_the_first_network_of_a_task_is_its_default_again():
    repository = without(*DEMO).with_network(Installed(CATALOGUE["rtmdet-m"]))
    repository = repository.with_network(Installed(CATALOGUE["vitpose-s-coco_25"]))
    assert repository.defaults == {"detector": "rtmdet-m", "pose": "vitpose-s-coco_25"}


def test_a_pose_network_needs_a_detector():
    with pytest.raises(ValueError, match="vitpose-s-coco_25 needs a detector: add one first, such as rtmdet-m"):
        without(*DEMO).with_network(Installed(CATALOGUE["vitpose-s-coco_25"]))


def test_networks_of_other_input_sizes_share_the_steps():
    outputs = {o.name for o in CROWDED["crop_people"].output}
    assert {"CROPS_256x192", "REGIONS_256x192", "CROPS_1024x768", "REGIONS_1024x768"} <= outputs
    assert {"RESIZED_1024x768", "REGIONS_1024x768"} <= {o.name for o in CROWDED["resize_image"].output}


def test_every_network_but_the_defaults_has_ensembles_of_its_own():
    named = {name for name in CROWDED if CROWDED[name].platform == "ensemble" and "." in name}
    assert named == {
        "pose.demo_pose_133",
        "pose_in_boxes.demo_pose_133",
        "pose_of_image.demo_pose_133",
        "pose.sapiens2-0.4b-pose",
        "pose_in_boxes.sapiens2-0.4b-pose",
        "pose_of_image.sapiens2-0.4b-pose",
        "pose.vitpose-s-coco_25",
        "pose_in_boxes.vitpose-s-coco_25",
        "pose_of_image.vitpose-s-coco_25",
        "parts.sapiens-0.3b-parts",
        "parts_of_people.sapiens-0.3b-parts",
        "parts.sapiens2-0.4b-parts",
        "parts_of_people.sapiens2-0.4b-parts",
        "detect.rtmdet-m",
        "depth.sapiens-1b-depth",
        "normals.sapiens2-0.4b-normals",
        "pointmap.sapiens2-0.4b-pointmap",
    }


def test_plain_names_mean_the_defaults():
    def networks(config: pb.ModelConfig) -> set[str]:
        return {step.model_name for step in config.ensemble_scheduling.step} & set(
            SHIPPED.networks | crowded().networks
        )

    assert networks(CROWDED["pose"]) == {"demo_detector", "demo_pose"}
    chosen = parsed(crowded().with_default("pose", "vitpose-s-coco_25").with_default("detector", "rtmdet-m"))
    assert networks(chosen["pose"]) == {"rtmdet-m", "vitpose-s-coco_25"}
    assert networks(chosen["parts"]) == {"rtmdet-m", "demo_parts"}


def test_parts_see_what_they_were_trained_on():
    steps = lambda name: [step.model_name for step in CROWDED[name].ensemble_scheduling.step]  # noqa: E731
    assert "crop_people" in steps("parts")
    assert "resize_image" in steps("parts.sapiens-0.3b-parts")
    assert "crop_people" in steps("parts_of_people.sapiens-0.3b-parts")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("vitpose-s-coco_25", range(8, 17)),
        ("sapiens-0.3b-parts", range(1, 5)),
        ("sapiens-1b-depth", range(1, 5)),
        ("rtmdet-m", []),
    ],
)
def test_batches_are_what_a_network_works_on_at_once(name, rows):
    config = network_config(Installed(CATALOGUE[name]))
    assert list(config.dynamic_batching.preferred_batch_size) == list(rows)


def test_no_batch_is_larger_than_a_network_takes():
    config = network_config(Installed(CATALOGUE["vitpose-s-coco_25"], Deployment(max_people=9)))
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 9]


def test_the_number_of_processes_of_a_step_is_kept():
    more = read_repository().with_steps({"decode_image": 8, "resize_maps": 2})
    counts = {config.name: config.instance_group[0].count for config in step_configs(more)}
    assert (counts["decode_image"], counts["resize_maps"], counts["crop_people"]) == (8, 2, 2)
    assert json.loads(more.state())["steps"] == {"decode_image": 8, "resize_maps": 2}
    usual = more.with_steps({"decode_image": 2, "resize_maps": 1})
    assert usual.state() == read_repository().state()


@pytest.mark.parametrize(
    ("instances", "words"),
    [({"decode": 1}, "there is no step 'decode', there are decode_image, crop"), ({"crop_people": 0}, "must be 1 to")],
)
def test_steps_that_cannot_be_are_refused(instances, words):
    with pytest.raises(ValueError, match=words):
        read_repository().with_steps(instances)


def test_normals_and_point_maps_of_sapiens2_keep_the_aspect_of_the_image():
    fits = {(network.family, network.task, network.resize_mode) for network in CATALOGUE.values()}
    assert {entry for entry in fits if "pad" in entry or {"normals", "pointmap"} & set(entry)} == {
        ("demo", "normals", "stretch"),
        ("sapiens", "normals", "stretch"),
        ("sapiens2", "normals", "pad"),
        ("sapiens2", "pointmap", "pad"),
    }


def test_networks_of_one_input_size_see_the_image_each_in_its_own_way():
    chosen = parsed(crowded().with_default("parts", "sapiens2-0.4b-parts"))
    steps = {name: chosen[name].ensemble_scheduling.step for name in chosen}
    (resize,) = (step for step in steps["normals.sapiens2-0.4b-normals"] if step.model_name == "resize_image")
    assert set(resize.output_map) == {"PADDED_1024x768", "BOUNDS_1024x768", "AVERAGED_1024x768", "REGIONS_1024x768"}
    seen = {
        step.model_name: step.input_map["INPUT__0"]
        for step in steps["normals.sapiens2-0.4b-normals"]
        if "INPUT__0" in step.input_map
    }
    assert seen["sapiens2-0.4b-normals"] == "PADDED_1024x768"
    assert seen["sapiens2-0.4b-parts"] == "AVERAGED_1024x768"
    maps = [step for step in steps["normals.sapiens2-0.4b-normals"] if step.model_name == "resize_maps"]
    assert [step.input_map["BOUNDS"] for step in maps] == ["BOUNDS_1024x768"] * 2
    assert "RESIZED_1024x768" in {seen for step in steps["depth.sapiens-1b-depth"] for seen in step.input_map.values()}
    assert all("BOUNDS" not in step.input_map for step in steps["depth.sapiens-1b-depth"])


def test_a_network_in_onnx_goes_to_onnxruntime():
    deployment = Deployment(format="onnx")
    config = parsed(SHIPPED.with_network(Installed(CATALOGUE["vitpose-s-coco"], deployment)))["vitpose-s-coco"]
    assert (config.platform, config.backend) == ("onnxruntime_onnx", "onnxruntime")


def config_of(**options):
    return parsed(SHIPPED.with_network(Installed(CATALOGUE["vitpose-s-coco"], Deployment(**options))))["vitpose-s-coco"]


def test_an_accelerator_is_one_line_of_the_configuration():
    accelerators = config_of(format="onnx", accelerator="tensorrt").optimization.execution_accelerators
    assert [a.name for a in accelerators.gpu_execution_accelerator] == ["tensorrt"]


def test_openvino_reads_the_onnx_file_on_the_cpu():
    config = config_of(format="openvino", precision="bf16")
    assert (config.backend, config.default_model_filename) == ("openvino", "model.onnx")
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_CPU
    assert config.parameters["HINT_BF16"].string_value == "YES"


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({}, "INTRA_OP_THREAD_COUNT"),
        ({"format": "onnx"}, "intra_op_thread_count"),
        ({"format": "openvino", "precision": "bf16"}, "INFERENCE_NUM_THREADS"),
    ],
)
def test_each_backend_has_its_own_name_for_threads(options, parameter):
    assert parameter not in config_of(**options).parameters
    config = config_of(**options, threads=3, delay_us=500)
    assert config.parameters[parameter].string_value == "3"
    assert config.dynamic_batching.max_queue_delay_microseconds == 500


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp8"}, "must be one of fp32, bf16, fp16"),
        ({"format": "engine"}, "must be one of torchscript, onnx, openvino"),
        ({"instances": 0}, "instances 0, must be 1 to 64"),
        ({"threads": -1}, "threads -1, must be 0 to 1024"),
        ({"delay_us": 2_000_000}, "must be 0 to 1000000"),
        ({"format": "openvino"}, "--precision bf16 with --format openvino"),
        ({"format": "openvino", "precision": "bf16", "gpus": (0,)}, "serves on CPUs"),
        ({"accelerator": "tensorrt"}, "needs --format onnx"),
        ({"accelerator": "coreml", "format": "onnx"}, "must be one of tensorrt$"),
        ({"precision": "bf16", "format": "onnx"}, "no bf16 on a CPU"),
        ({"max_people": 101}, "must be 1 to 100"),
    ],
)
def test_deployments_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Deployment(**options)


def test_default_networks_have_their_task():
    assert all(CATALOGUE[name].task == task for task, name in SHIPPED.defaults.items())


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="must be one of detector, pose, parts"):
        Network("x", "smell", (1, 1))


@pytest.mark.parametrize(("task", "labels", "mode"), [("depth", None, "crop"), ("parts", "sapiens_28", "pad")])
def test_a_resize_mode_that_cannot_be_is_refused(task, labels, mode):
    with pytest.raises(ValueError, match=f"resize mode '{mode}', must be one of stretch, average, pad"):
        Network("x", task, (1024, 768), labels, resize_mode=mode)


def with_animals() -> Repository:
    """A detector of animals, and a pose network that looks at what it finds."""
    animals = Network("animals", "detector", (640, 640), family="yolo", size="v8", class_indices=(16, 17))
    dogs = replace(CATALOGUE["vitpose-s-ap10k"], name="dogs", checkpoint=None)
    return SHIPPED.with_network(Installed(animals)).with_network(Installed(dogs, Deployment(detector="animals")))


def test_a_network_may_name_its_own_detector():
    configs = parsed(with_animals())
    steps = {name: [s.model_name for s in configs[name].ensemble_scheduling.step] for name in ("pose", "pose.dogs")}
    assert "demo_detector" in steps["pose"]
    assert "animals" not in steps["pose"]
    assert "animals" in steps["pose.dogs"]
    assert "demo_detector" not in steps["pose.dogs"]


def test_it_is_kept_in_the_state(tmp_path):
    (tmp_path / "model_repository").mkdir()
    (tmp_path / "model_repository" / "networks.json").write_text(with_animals().state())
    assert read_repository(tmp_path).networks["dogs"].deployment.detector == "animals"


def test_a_detector_that_others_name_stays():
    with pytest.raises(ValueError, match="animals is the detector of dogs"):
        with_animals().without("animals")


def test_a_detector_that_is_not_installed_is_refused():
    with pytest.raises(ValueError, match="detector nobody is not installed; there are demo_detector"):
        SHIPPED.with_network(Installed(CATALOGUE["vitpose-s-ap10k"], Deployment(detector="nobody")))


def test_a_network_of_whole_images_takes_no_detector():
    with pytest.raises(ValueError, match="looks at whole images"):
        SHIPPED.with_network(Installed(CATALOGUE["sapiens-0.3b-depth"], Deployment(detector="demo_detector")))


def test_written_files_say_what_writes_them():
    for path, content in FILES.items():
        if path.suffix == ".pbtxt":
            assert content.startswith(b"# Written by `poseserve configure`")


def with_small() -> Repository:
    """A detector of another input size, its own threshold, and a pose network that looks at what it finds."""
    small = Network("small", "detector", (416, 480), score_threshold=0.45)
    cut = replace(CATALOGUE["vitpose-s-coco"], name="cut", checkpoint=None, crop_filter="area")
    return SHIPPED.with_network(Installed(small)).with_network(Installed(cut, Deployment(detector="small")))


def test_a_detector_gets_the_letterbox_of_its_size_and_its_threshold():
    configs = parsed(with_small())
    assert [(o.name, list(o.dims)) for o in configs["decode_image"].output][2:] == [
        ("LETTERBOX_416x480", [416, 480, 3]),
        ("SCALE_416x480", [2]),
        ("LETTERBOX_640x640", [640, 640, 3]),
        ("SCALE_640x640", [2]),
    ]
    read = {
        (name, step.model_name): dict(step.input_map)
        for name in ("detect", "detect.small", "pose.cut")
        for step in configs[name].ensemble_scheduling.step
    }
    assert read["detect", "demo_detector"] == {"INPUT__0": "LETTERBOX_640x640"}
    assert read["pose.cut", "small"] == read["detect.small", "small"] == {"INPUT__0": "LETTERBOX_416x480"}
    usual = {"SIZE": "SIZE", "DETECTIONS_ABOVE_0.3": "DETECTIONS", "SCALE": "SCALE_640x640"}
    own = {"DETECTIONS_ABOVE_0.45": "DETECTIONS", "SCALE": "SCALE_416x480"}
    assert read["detect", "crop_people"] == usual
    assert read["detect.small", "crop_people"] == {"SIZE": "SIZE", **own}
    assert read["pose.cut", "crop_people"] == {"PIXELS": "PIXELS", **own}
    assert read["pose.cut", "cut"]["INPUT__0"] == "CROPS_AREA_256x192"


def test_detectors_of_one_size_and_threshold_share_them():
    configs = parsed(SHIPPED.with_network(Installed(CATALOGUE["rtmdet-m"])))
    assert [o.name for o in configs["decode_image"].output] == ["PIXELS", "SIZE", "LETTERBOX_640x640", "SCALE_640x640"]
    named = [i.name for i in configs["crop_people"].input if i.name.startswith("DETECTIONS")]
    assert named == ["DETECTIONS_ABOVE_0.3"]


def test_boxes_of_clients_reach_the_last_step_without_scores():
    """So it knows that nobody is to be dropped from them."""
    taken = {
        name: next(set(s.input_map) for s in BY_NAME[name].ensemble_scheduling.step if s.model_name == "collect_people")
        for name in ("pose", "pose_in_boxes", "people")
    }
    assert taken["pose_in_boxes"] == {"BOXES", "REGIONS", "POSES"}
    assert taken["pose"] == taken["people"] == {"BOXES", "SCORES", "PEOPLE_FOUND", "REGIONS", "POSES"}


def test_threshold_and_filter_are_kept_in_the_state(tmp_path):
    (tmp_path / "model_repository").mkdir()
    (tmp_path / "model_repository" / "networks.json").write_text(with_small().state())
    assert read_repository(tmp_path).networks == with_small().networks


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"score_threshold": -0.1}, "score threshold -0.1, must be 0 to 1"),
        ({"score_threshold": 1.5}, "score threshold 1.5, must be 0 to 1"),
        ({"score_threshold": float("nan")}, "score threshold nan, must be 0 to 1"),
        ({"crop_filter": "lanczos"}, "crop filter 'lanczos', must be one of bilinear, area"),
    ],
)
def test_thresholds_and_filters_that_cannot_be_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Network("x", "detector", (640, 640), **fields)
