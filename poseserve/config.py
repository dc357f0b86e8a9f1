"""Writes every `config.pbtxt` from the catalogue, through Triton's own protobuf schema.

`poseserve configure` writes the files; a test fails when the committed ones differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from poseserve.catalogue import (
    CATALOGUE,
    DEFAULTS,
    DETECTIONS,
    ENSEMBLE,
    MODEL_REPOSITORY,
    PREPROCESS,
    Network,
)

MAX_PIXELS, MAX_SIDE = 2**27, 32766
WARMUP_REGION = "region"  # a file in the folder `warmup` of every pose network

Tensor = tuple[str, str, list[int]]  # name, data type without TYPE_, dims
IMAGE: Tensor = ("IMAGE", "STRING", [1])
PIXELS: Tensor = ("PIXELS", "UINT8", [-1, -1, 3])
SCALE: Tensor = ("SCALE", "FP32", [2])
SIZE: Tensor = ("SIZE", "INT32", [2])
REGIONS: Tensor = ("REGIONS", "FP32", [-1, 4])
BOXES: Tensor = ("BOXES", "FP32", [-1, 4])
SCORES: Tensor = ("SCORES", "FP32", [-1])
PEOPLE_FOUND: Tensor = ("PEOPLE_FOUND", "INT32", [1])
MASK: Tensor = ("MASK", "UINT8", [-1, -1])


def _inputs(*tensors: Tensor, optional: Iterable[str] = ()) -> list[pb.ModelInput]:
    names = set(optional)
    return [pb.ModelInput(name=n, data_type=f"TYPE_{t}", dims=d, optional=n in names) for n, t, d in tensors]


def _outputs(*tensors: Tensor) -> list[pb.ModelOutput]:
    return [pb.ModelOutput(name=n, data_type=f"TYPE_{t}", dims=d) for n, t, d in tensors]


def _parameters(**values: object) -> dict[str, pb.ModelParameter]:
    return {k: pb.ModelParameter(string_value=str(v)) for k, v in values.items()}


def network_config(network: Network) -> pb.ModelConfig:
    """A network on the PyTorch backend; Triton merges the rows of concurrent requests into one execution."""
    height, width = network.input_size
    inputs: list[Tensor] = [("INPUT__0", "UINT8", [height, width, 3])]
    if network.task == "pose":
        inputs.append(("INPUT__1", "FP32", [4]))
    output: Tensor = {
        "detector": ("OUTPUT__0", "FP32", [DETECTIONS, 5]),
        "pose": ("OUTPUT__0", "FP32", [network.keypoints if network.task == "pose" else 0, 3]),
        "parts": ("OUTPUT__0", "UINT8", [height, width]),
    }[network.task]
    warmup = pb.ModelWarmup(name="one", batch_size=1, count=2)
    for name, kind, dims in inputs:
        sample = warmup.inputs[name]
        sample.data_type = f"TYPE_{kind}"
        sample.dims.extend(dims)
        if name == "INPUT__1":  # zeros or noise may be a region without area, which warms nothing up
            sample.input_data_file = WARMUP_REGION
        else:
            sample.zero_data = True
    return pb.ModelConfig(
        name=network.name,
        platform="pytorch_libtorch",
        backend="pytorch",
        max_batch_size=network.max_batch_size,
        input=_inputs(*inputs),
        output=_outputs(output),
        instance_group=[pb.ModelInstanceGroup(count=1, kind="KIND_AUTO")],
        dynamic_batching=pb.ModelDynamicBatching(),
        model_warmup=[warmup],
    )


def _step(name: str, inputs: list, outputs: list, count: int = 1, **parameters: object) -> pb.ModelConfig:
    return pb.ModelConfig(
        name=name,
        backend="python",
        input=inputs,
        output=outputs,
        instance_group=[pb.ModelInstanceGroup(count=count, kind="KIND_CPU")],
        parameters=_parameters(**parameters),
    )


def step_configs(detector: Network, pose: Network, parts: Network) -> list[pb.ModelConfig]:
    """The Python steps before and after the networks."""
    poses: Tensor = ("POSES", "FP32", [-1, pose.keypoints, 3])
    return [
        _step(
            "decode_image",
            _inputs(IMAGE),
            _outputs(PIXELS, ("LETTERBOX", "UINT8", [*detector.input_size, 3]), SCALE, SIZE),
            count=2,
            max_pixels=MAX_PIXELS,
            max_side=MAX_SIDE,
        ),
        _step(
            "crop_people",
            _inputs(
                PIXELS,
                ("DETECTIONS", "FP32", [DETECTIONS, 5]),
                SCALE,
                BOXES,
                optional=("DETECTIONS", "SCALE", "BOXES"),
            ),
            _outputs(("CROPS", "UINT8", [-1, *pose.input_size, 3]), REGIONS, BOXES, SCORES, PEOPLE_FOUND),
            count=2,
            max_people=DETECTIONS,
        ),
        _step("collect_people", _inputs(REGIONS, poses), _outputs(("KEYPOINTS", *poses[1:]))),
        _step("resize_image", _inputs(PIXELS), _outputs(("RESIZED", "UINT8", [*parts.input_size, 3]))),
        _step("resize_mask", _inputs(("CLASSES", "UINT8", [*parts.input_size]), SIZE), _outputs(MASK)),
    ]


def _ensemble(name: str, inputs: list, outputs: list, steps: list, **parameters: object) -> pb.ModelConfig:
    """`steps` are (model, inputs, outputs); a tensor is "name in the model=name in the ensemble", or one name."""

    def mapping(names: list[str]) -> dict[str, str]:
        return {n.split("=")[0]: n.split("=")[-1] for n in names}

    scheduling = pb.ModelEnsembling(
        step=[
            pb.ModelEnsembling.Step(
                model_name=model, model_version=-1, input_map=mapping(takes), output_map=mapping(gives)
            )
            for model, takes, gives in steps
        ]
    )
    return pb.ModelConfig(
        name=name,
        platform="ensemble",
        input=inputs,
        output=outputs,
        parameters=_parameters(**parameters),
        ensemble_scheduling=scheduling,
    )


def ensemble_configs(detector: Network, pose: Network, parts: Network) -> list[pb.ModelConfig]:
    """What clients call."""
    keypoints: Tensor = ("KEYPOINTS", "FP32", [-1, pose.keypoints, 3])
    detect = [
        ("decode_image", ["IMAGE"], ["PIXELS", "LETTERBOX", "SCALE"]),
        (detector.name, ["INPUT__0=LETTERBOX"], ["OUTPUT__0=DETECTIONS"]),
    ]
    found = ["BOXES", "SCORES", "PEOPLE_FOUND"]
    estimate = [
        (pose.name, ["INPUT__0=CROPS", "INPUT__1=REGIONS"], ["OUTPUT__0=POSES"]),
        ("collect_people", ["REGIONS", "POSES"], ["KEYPOINTS"]),
    ]
    return [
        _ensemble(
            "detect",
            _inputs(IMAGE),
            _outputs(BOXES, SCORES, PEOPLE_FOUND),
            [*detect, ("crop_people", ["PIXELS", "DETECTIONS", "SCALE"], found)],
        ),
        _ensemble(
            "pose",
            _inputs(IMAGE),
            _outputs(BOXES, SCORES, keypoints, PEOPLE_FOUND),
            [
                *detect,
                ("crop_people", ["PIXELS", "DETECTIONS", "SCALE"], ["CROPS", "REGIONS", *found]),
                *estimate,
            ],
            keypoint_set=pose.labels,
        ),
        _ensemble(
            "pose_in_boxes",
            _inputs(IMAGE, BOXES),
            _outputs(keypoints),
            [
                ("decode_image", ["IMAGE"], ["PIXELS"]),
                ("crop_people", ["PIXELS", "BOXES"], ["CROPS", "REGIONS"]),
                *estimate,
            ],
            keypoint_set=pose.labels,
        ),
        _ensemble(
            "parts",
            _inputs(IMAGE),
            _outputs(MASK),
            [
                ("decode_image", ["IMAGE"], ["PIXELS", "SIZE"]),
                ("resize_image", ["PIXELS"], ["RESIZED"]),
                (parts.name, ["INPUT__0=RESIZED"], ["OUTPUT__0=CLASSES"]),
                ("resize_mask", ["CLASSES", "SIZE"], ["MASK"]),
            ],
            class_set=parts.labels,
        ),
    ]


def config_files() -> dict[Path, bytes]:
    """Path and content of every generated file of the three repositories."""
    chosen = {task: CATALOGUE[name] for task, name in DEFAULTS.items()}
    folders = {
        MODEL_REPOSITORY: [network_config(network) for network in CATALOGUE.values()],
        PREPROCESS: step_configs(**chosen),
        ENSEMBLE: ensemble_configs(**chosen),
    }
    files = {}
    for folder, configs in folders.items():
        for config in configs:
            text = text_format.MessageToString(config, use_short_repeated_primitives=True)
            files[folder / config.name / "config.pbtxt"] = text.encode()
            if folder == ENSEMBLE:
                files[folder / config.name / "1" / ".gitkeep"] = b""  # Triton asks for a version folder
    for network in CATALOGUE.values():
        if network.task == "pose":
            height, width = network.input_size
            region = np.array([width / 2, height / 2, width, height], "<f4")
            files[MODEL_REPOSITORY / network.name / "warmup" / WARMUP_REGION] = region.tobytes()
    return files


def write_configs() -> list[Path]:
    """Write them all; returns their paths."""
    files = config_files()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return list(files)
