"""Writes every `config.pbtxt` from what is installed, through Triton's own protobuf schema.

`poseserve configure` writes the files; a test fails when the committed ones differ.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from poseserve.catalogue import DETECTIONS, SAPIENS_INPUT, Network
from poseserve.repository import ENSEMBLE_TASKS, STATE, Deployment, Installed, Repository

MAX_PIXELS, MAX_SIDE = 2**27, 32766
LETTERBOX = 640  # side of what every detector sees
PLATFORMS = {"torchscript": ("pytorch_libtorch", "pytorch"), "onnx": ("onnxruntime_onnx", "onnxruntime")}
WARMUP_REGION = "region"  # a file in the folder `warmup` of every pose network

FOUND = ["BOXES", "SCORES", "PEOPLE_FOUND"]
Tensor = tuple[str, str, list[int]]  # name, data type without TYPE_, dims
IMAGE: Tensor = ("IMAGE", "STRING", [1])
PIXELS: Tensor = ("PIXELS", "UINT8", [-1, -1, 3])
SCALE: Tensor = ("SCALE", "FP32", [2])
SIZE: Tensor = ("SIZE", "INT32", [2])
REGIONS: Tensor = ("REGIONS", "FP32", [-1, 4])
BOXES: Tensor = ("BOXES", "FP32", [-1, 4])
SCORES: Tensor = ("SCORES", "FP32", [-1])
PEOPLE_FOUND: Tensor = ("PEOPLE_FOUND", "INT32", [1])
POSES: Tensor = ("POSES", "FP32", [-1, -1, 3])
KEYPOINTS: Tensor = ("KEYPOINTS", "FP32", [-1, -1, 3])
MASK: Tensor = ("MASK", "UINT8", [-1, -1])


def _inputs(*tensors: Tensor, optional: Iterable[str] = ()) -> list[pb.ModelInput]:
    names = set(optional)
    return [pb.ModelInput(name=n, data_type=f"TYPE_{t}", dims=d, optional=n in names) for n, t, d in tensors]


def _outputs(*tensors: Tensor) -> list[pb.ModelOutput]:
    return [pb.ModelOutput(name=n, data_type=f"TYPE_{t}", dims=d) for n, t, d in tensors]


def _parameters(**values: object) -> dict[str, pb.ModelParameter]:
    return {k: pb.ModelParameter(string_value=str(v)) for k, v in values.items()}


def crops(network: Network) -> Tensor:
    """What `crop_people` makes for a network that sees one person: networks of one input size share it."""
    height, width = network.input_size
    return f"CROPS_{height}x{width}", "UINT8", [-1, height, width, 3]


def resized(input_size: tuple[int, int]) -> Tensor:
    """What `resize_image` makes for networks of that input size that see the whole image."""
    height, width = input_size
    return f"RESIZED_{height}x{width}", "UINT8", [height, width, 3]


def network_outputs(network: Network) -> Tensor:
    """`OUTPUT__0` of the contract of its task (docs/contracts.md)."""
    height, width = network.input_size
    cell = 64 if network.size == "1b_4k" else 16  # pixels of the image for one feature
    kinds: dict[str, tuple[str, list[int]]] = {
        "detector": ("FP32", [DETECTIONS, 5]),
        "pose": ("FP32", [network.outputs, 3]),
        "parts": ("UINT8", [height, width]),
        "depth": ("FP16", [height, width]),
        "normals": ("FP16", [height, width, 3]),
        "features": ("FP16", [network.outputs, height // cell, width // cell]),
        "pointmap": ("FP32", [height, width, 3]),
        "matting": ("UINT8", [height, width, 4]),
    }
    return "OUTPUT__0", *kinds[network.task]


def network_config(installed: Installed) -> pb.ModelConfig:
    """A network on the PyTorch or ONNX Runtime backend; Triton merges the rows of concurrent requests."""
    network, deployment = installed.network, installed.deployment
    height, width = network.input_size
    inputs: list[Tensor] = [("INPUT__0", "UINT8", [height, width, 3])]
    if network.task == "pose":
        inputs.append(("INPUT__1", "FP32", [4]))
    warmup = pb.ModelWarmup(name="one", batch_size=1, count=2)
    for name, kind, dims in inputs:
        sample = warmup.inputs[name]
        sample.data_type = f"TYPE_{kind}"
        sample.dims.extend(dims)
        if name == "INPUT__1":  # zeros or noise may be a region without area, which warms nothing up
            sample.input_data_file = WARMUP_REGION
        else:
            sample.zero_data = True
    platform, backend = PLATFORMS[deployment.format]
    return pb.ModelConfig(
        name=network.name,
        platform=platform,
        backend=backend,
        max_batch_size=installed.max_batch_size,
        input=_inputs(*inputs),
        output=_outputs(network_outputs(network)),
        instance_group=[_instance_group(deployment)],
        dynamic_batching=pb.ModelDynamicBatching(),
        model_warmup=[warmup],
        optimization=_optimization(deployment),
    )


def _optimization(deployment: Deployment) -> pb.ModelOptimizationPolicy | None:
    if not deployment.accelerator:
        return None
    kinds = pb.ModelOptimizationPolicy.ExecutionAccelerators
    accelerator = kinds.Accelerator(name=deployment.accelerator)
    where = "gpu_execution_accelerator" if deployment.accelerator == "tensorrt" else "cpu_execution_accelerator"
    return pb.ModelOptimizationPolicy(execution_accelerators=kinds(**{where: [accelerator]}))


def _instance_group(deployment: Deployment) -> pb.ModelInstanceGroup:
    kind = "KIND_GPU" if deployment.gpus else "KIND_AUTO"
    return pb.ModelInstanceGroup(count=deployment.instances, kind=kind, gpus=deployment.gpus)


def _step(name: str, inputs: list, outputs: list, count: int = 1, **parameters: object) -> pb.ModelConfig:
    return pb.ModelConfig(
        name=name,
        backend="python",
        input=inputs,
        output=outputs,
        instance_group=[pb.ModelInstanceGroup(count=count, kind="KIND_CPU")],
        parameters=_parameters(**parameters),
    )


def step_configs(repository: Repository) -> list[pb.ModelConfig]:
    """The Python steps before and after the networks; they make an output for every input size in use."""
    people = [*repository.of_task("pose"), *repository.of_task("parts")]
    # The input of the Sapiens networks is always there: a step needs an output, and the demo network sees people only.
    sizes = {SAPIENS_INPUT, *(i.network.input_size for i in repository.of_task("parts") if i.network.view == "image")}
    return [
        _step(
            "decode_image",
            _inputs(IMAGE),
            _outputs(PIXELS, ("LETTERBOX", "UINT8", [LETTERBOX, LETTERBOX, 3]), SCALE, SIZE),
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
            _outputs(*_distinct(crops(i.network) for i in people), REGIONS, BOXES, SCORES, PEOPLE_FOUND),
            count=2,
            max_people=min(i.max_batch_size for i in people),
        ),
        _step("collect_people", _inputs(REGIONS, POSES), _outputs(KEYPOINTS)),
        _step("resize_image", _inputs(PIXELS), _outputs(*map(resized, sorted(sizes)))),
        _step("resize_mask", _inputs(("CLASSES", "UINT8", [-1, -1]), SIZE), _outputs(MASK)),
        _step("paste_masks", _inputs(("CLASSES", "UINT8", [-1, -1, -1]), REGIONS, SIZE), _outputs(MASK)),
    ]


def _distinct(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({tensor[0]: tensor for tensor in tensors}.values())


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


def _detect_steps(detector: Network) -> list:
    return [
        ("decode_image", ["IMAGE"], ["PIXELS", "LETTERBOX", "SCALE"]),
        (detector.name, ["INPUT__0=LETTERBOX"], ["OUTPUT__0=DETECTIONS"]),
    ]


def detector_ensembles(detector: Network, suffix: str = "") -> list[pb.ModelConfig]:
    crop_people = ("crop_people", ["PIXELS", "DETECTIONS", "SCALE"], FOUND)
    outputs = _outputs(BOXES, SCORES, PEOPLE_FOUND)
    return [_ensemble(f"detect{suffix}", _inputs(IMAGE), outputs, [*_detect_steps(detector), crop_people])]


def pose_ensembles(detector: Network, pose: Installed, suffix: str = "") -> list[pb.ModelConfig]:
    """With the detector, and in boxes of the client's."""
    network, crop = pose.network, f"{crops(pose.network)[0]}=CROPS"
    keypoints: Tensor = ("KEYPOINTS", "FP32", [-1, network.outputs, 3])
    labels = {"keypoint_set": network.labels}
    if pose.keypoint_table is not None:
        labels["keypoint_table"] = json.dumps(pose.keypoint_table)
    estimate = [
        (network.name, ["INPUT__0=CROPS", "INPUT__1=REGIONS"], ["OUTPUT__0=POSES"]),
        ("collect_people", ["REGIONS", "POSES"], ["KEYPOINTS"]),
    ]
    return [
        _ensemble(
            f"pose{suffix}",
            _inputs(IMAGE),
            _outputs(BOXES, SCORES, keypoints, PEOPLE_FOUND),
            [
                *_detect_steps(detector),
                ("crop_people", ["PIXELS", "DETECTIONS", "SCALE"], [crop, "REGIONS", *FOUND]),
                *estimate,
            ],
            **labels,
        ),
        _ensemble(
            f"pose_in_boxes{suffix}",
            _inputs(IMAGE, BOXES),
            _outputs(keypoints),
            [
                ("decode_image", ["IMAGE"], ["PIXELS"]),
                ("crop_people", ["PIXELS", "BOXES"], [crop, "REGIONS"]),
                *estimate,
            ],
            **labels,
        ),
    ]


def parts_ensembles(detector: Network, parts: Network, suffix: str = "") -> list[pb.ModelConfig]:
    """`parts_of_people` cuts people out and pastes their masks; `parts` is the same, or the whole image at once, as the
    network was trained."""
    crop = f"{crops(parts)[0]}=CROPS"
    of_people = [
        ("decode_image", ["IMAGE"], ["PIXELS", "LETTERBOX", "SCALE", "SIZE"]),
        (detector.name, ["INPUT__0=LETTERBOX"], ["OUTPUT__0=DETECTIONS"]),
        ("crop_people", ["PIXELS", "DETECTIONS", "SCALE"], [crop, "REGIONS"]),
        (parts.name, ["INPUT__0=CROPS"], ["OUTPUT__0=CLASSES"]),
        ("paste_masks", ["CLASSES", "REGIONS", "SIZE"], ["MASK"]),
    ]
    of_image = [
        ("decode_image", ["IMAGE"], ["PIXELS", "SIZE"]),
        ("resize_image", ["PIXELS"], [f"{resized(parts.input_size)[0]}=RESIZED"]),
        (parts.name, ["INPUT__0=RESIZED"], ["OUTPUT__0=CLASSES"]),
        ("resize_mask", ["CLASSES", "SIZE"], ["MASK"]),
    ]
    ways = {"parts": of_image if parts.view == "image" else of_people, "parts_of_people": of_people}
    return [
        _ensemble(f"{name}{suffix}", _inputs(IMAGE), _outputs(MASK), steps, class_set=parts.labels)
        for name, steps in ways.items()
    ]


def ensemble_configs(repository: Repository) -> list[pb.ModelConfig]:
    """What clients call: `pose` is the default network, `pose.NAME` a certain one."""
    configs = []
    for suffix, installed in _named(repository):
        network = installed.network
        if network.task == "detector":
            configs += detector_ensembles(network, suffix)
        elif network.task == "pose":
            configs += pose_ensembles(repository.default("detector"), installed, suffix)
        else:
            configs += parts_ensembles(repository.default("detector"), network, suffix)
    return configs


def _named(repository: Repository) -> Iterator[tuple[str, Installed]]:
    """The suffix of its ensembles' names, and the network: the defaults without one, then all but the demo networks."""
    for task in ENSEMBLE_TASKS:
        yield "", repository.networks[repository.defaults[task]]
        for installed in repository.of_task(task):
            if installed.network.family != "demo":
                yield f".{installed.network.name}", installed


def config_files(repository: Repository) -> dict[Path, bytes]:
    """Path and content of every generated file of the three folders."""
    models, steps, ensembles = repository.folders
    networks = list(repository.networks.values())
    configs = {
        models: [network_config(installed) for installed in networks],
        steps: step_configs(repository),
        ensembles: ensemble_configs(repository),
    }
    files = {models / STATE: repository.state().encode()}
    for folder, entries in configs.items():
        for config in entries:
            text = text_format.MessageToString(config, use_short_repeated_primitives=True)
            files[folder / config.name / "config.pbtxt"] = text.encode()
            if folder == ensembles:
                files[folder / config.name / "1" / ".gitkeep"] = b""  # Triton asks for a version folder
    for installed in networks:
        network = installed.network
        if network.task == "pose":
            height, width = network.input_size
            region = np.array([width / 2, height / 2, width, height], "<f4")
            files[models / network.name / "warmup" / WARMUP_REGION] = region.tobytes()
    return files


def write_configs(repository: Repository) -> list[Path]:
    """Write those that changed, each whole or not at all, and remove ensembles that there are no more.

    Returns the paths written.
    """
    files = config_files(repository)
    changed = [path for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.new")
        unfinished.write_bytes(files[path])
        unfinished.replace(path)
    ensembles = repository.folders[2]
    for path in ensembles.glob("*/config.pbtxt"):
        if path not in files:
            shutil.rmtree(path.parent)
    return changed
