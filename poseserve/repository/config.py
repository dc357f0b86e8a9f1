"""Writes every `config.pbtxt` from what is installed, through Triton's own protobuf schema.

`poseserve configure` writes the files; a test fails when the committed ones differ.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from poseserve.defaults import CROP_SCALE, MAX_PIXELS, MAX_SIDE, NMS_IOU, OKS_NMS
from poseserve.deployment import FORMATS, Deployment
from poseserve.networks.batch_sizes import CPU_ROWS, GPU_ROWS, map_rows
from poseserve.repository import tensors as t
from poseserve.repository.ensembles import Ensemble, ensembles, merged
from poseserve.repository.folders import PREPROCESS, is_checkout, make_readable
from poseserve.repository.installed import STATE, STEPS, Installed, Repository
from poseserve.tasks import DETECTIONS, TASKS, TensorSpec

PLATFORMS = {
    "torchscript": ("pytorch_libtorch", "pytorch"),
    "onnx": ("onnxruntime_onnx", "onnxruntime"),
    "openvino": ("", "openvino"),
}
THREADS = {
    "torchscript": "INTRA_OP_THREAD_COUNT",
    "onnx": "intra_op_thread_count",
    "openvino": "INFERENCE_NUM_THREADS",
}
FOUND = (t.BOXES, t.SCORES, t.PEOPLE_FOUND)
HEADER = "# Written by `poseserve configure` from model_repository/networks.json: changes here are lost.\n"
WARMUP_REGION = "region"  # a file in the folder `warmup` of every pose network


def _inputs(*tensors: TensorSpec, optional: Iterable[str] = ()) -> list[pb.ModelInput]:
    names = set(optional)
    return [
        pb.ModelInput(name=t.name, data_type=f"TYPE_{t.dtype}", dims=t.shape, optional=t.name in names) for t in tensors
    ]


def _outputs(*tensors: TensorSpec) -> list[pb.ModelOutput]:
    return [pb.ModelOutput(name=t.name, data_type=f"TYPE_{t.dtype}", dims=t.shape) for t in tensors]


def _parameters(**values: object) -> dict[str, pb.ModelParameter]:
    return {k: pb.ModelParameter(string_value=str(v)) for k, v in values.items()}


def network_config(installed: Installed) -> pb.ModelConfig:
    """A network on the PyTorch or ONNX Runtime backend; Triton merges the rows of concurrent requests."""
    network, deployment = installed.network, installed.deployment
    inputs = network.record.inputs(network)
    warmup = pb.ModelWarmup(name="one", batch_size=1, count=2)
    for tensor in inputs:
        sample = warmup.inputs[tensor.name]
        sample.data_type = f"TYPE_{tensor.dtype}"
        sample.dims.extend(tensor.shape)
        if tensor.name == "INPUT__1":  # zeros or noise may be a region without area, which warms nothing up
            sample.input_data_file = WARMUP_REGION
        else:
            sample.zero_data = True
    platform, backend = PLATFORMS[deployment.format]
    parameters: dict[str, object] = {THREADS[deployment.format]: deployment.threads} if deployment.threads else {}
    if deployment.format == "openvino":  # the C++ backend knows batches of one size: it fills them up with zeros
        parameters |= {"HINT_BF16": "YES", "ENABLE_BATCH_PADDING": "YES"}
    return pb.ModelConfig(
        name=network.name,
        platform=platform,
        backend=backend,
        default_model_filename=FORMATS["openvino"] if deployment.format == "openvino" else "",
        max_batch_size=installed.max_batch_size,
        input=_inputs(*inputs),
        output=_outputs(network.record.output(network)),
        instance_group=[_instance_group(deployment)],
        dynamic_batching=_dynamic_batching(installed),
        parameters=_parameters(**parameters),
        model_warmup=[warmup],
        optimization=_optimization(deployment),
    )


def _dynamic_batching(installed: Installed) -> pb.ModelDynamicBatching:
    """As many rows as the network works on at once: in a larger batch the first waits for the last."""
    network, delay = installed.network, installed.deployment.delay_us
    rows: Iterable[int] = ()
    if network.task != "detector":
        cpu_rows, gpu_rows = (CPU_ROWS, GPU_ROWS) if network.record.takes_regions else map_rows(*network.input_size)
        rows = range(cpu_rows, min(gpu_rows, installed.max_batch_size) + 1)
    return pb.ModelDynamicBatching(preferred_batch_size=rows, max_queue_delay_microseconds=delay)


def _optimization(deployment: Deployment) -> pb.ModelOptimizationPolicy | None:
    if not deployment.accelerator:
        return None
    kinds = pb.ModelOptimizationPolicy.ExecutionAccelerators
    accelerator = kinds.Accelerator(name=deployment.accelerator)
    return pb.ModelOptimizationPolicy(execution_accelerators=kinds(gpu_execution_accelerator=[accelerator]))


def _instance_group(deployment: Deployment) -> pb.ModelInstanceGroup:
    kind = "KIND_GPU" if deployment.gpus else "KIND_CPU" if deployment.format == "openvino" else "KIND_AUTO"
    return pb.ModelInstanceGroup(count=deployment.instances, kind=kind, gpus=deployment.gpus)


def _step(
    name: str, inputs: list[pb.ModelInput], outputs: list[pb.ModelOutput], **parameters: object
) -> pb.ModelConfig:
    return pb.ModelConfig(
        name=name,
        backend="python",
        input=inputs,
        output=outputs,
        parameters=_parameters(**parameters),
    )


def step_configs(repository: Repository) -> list[pb.ModelConfig]:
    """The Python steps before and after the networks; they make an output for every input size in use."""
    detectors = [i.network for i in repository.of_task("detector")]
    seen = sorted({detector.input_size for detector in detectors})
    detections = [t.detections(threshold) for threshold in sorted({d.score_threshold for d in detectors})]
    people = [*repository.of_task("pose"), *repository.of_task("parts")]
    cut = sorted({i.network.input_size for i in people})
    crops = [t.crops(*pair) for pair in sorted({(i.network.input_size, i.network.crop_filter) for i in people})]
    most = {size: min(i.max_batch_size for i in people if i.network.input_size == size) for size in cut}
    whole = {
        (i.network.input_size, i.network.resize_mode)
        for i in repository.networks.values()
        if i.network.task not in ("detector", "pose") and i.network.trained_on == "image"
    }
    resized = {spec.name: spec for pair in sorted(whole) for spec in (t.resized(*pair), t.placed(*pair))}
    maps = [task.maps for task in TASKS.values() if task.maps]
    raw = [m.network for m in maps]

    def sets(task: str, answer: TensorSpec) -> list[TensorSpec]:
        labels = dict.fromkeys(i.network.labels for i in repository.of_task(task))
        return [t.of_set(answer, name) for name in labels]

    steps = [
        _step(
            "decode_image",
            _inputs(t.IMAGE),
            _outputs(t.PIXELS, t.SIZE, *(make(size) for size in seen for make in (t.letterbox, t.scale))),
            max_pixels=MAX_PIXELS,
            max_side=MAX_SIDE,
        ),
        _step(
            "crop_people",
            _inputs(
                *(t.PIXELS, t.SIZE, *detections, t.SCALE, t.BOXES),
                optional=("PIXELS", "SIZE", *(tensor.name for tensor in detections), "SCALE", "BOXES"),
            ),
            _outputs(*crops, *(t.regions(size) for size in cut), *FOUND),
            detections=DETECTIONS,
            nms_iou=NMS_IOU,
            crop_scale=CROP_SCALE,
            max_people=json.dumps({f"{height}x{width}": rows for (height, width), rows in most.items()}),
        ),
        _step(
            "collect_people",
            _inputs(*FOUND, t.REGIONS, t.POSES, optional=("SCORES", "PEOPLE_FOUND")),
            _outputs(*FOUND, t.KEYPOINTS, t.POSE_SCORES, t.KEPT_INDICES, *sets("pose", t.KEYPOINT_SET)),
            oks_nms=OKS_NMS,
            oks_sigmas=json.dumps(repository.oks_sigmas),
        ),
        _step(
            "resize_image",
            _inputs(t.PIXELS),
            _outputs(*resized.values()),
        ),
        _step(
            "paste_masks",
            _inputs(t.PARTS, t.REGIONS, t.SIZE, t.KEPT_INDICES, optional=("KEPT_INDICES",)),
            _outputs(t.MASK, t.MASK_PNG, t.INSTANCE_IDS, *sets("parts", t.CLASS_SET)),
        ),
        _step(
            "resize_maps",
            _inputs(t.SIZE, t.BOUNDS, t.MASK, *raw, optional=("BOUNDS", "MASK", *(tensor.name for tensor in raw))),
            _outputs(*(m.image for m in maps), *(m.of_people for m in maps if m.of_people)),
            max_pixels=MAX_PIXELS,
            max_side=MAX_SIDE,
        ),
        _step("pool_features", _inputs(t.FEATURE_MAP), _outputs(t.FEATURES, t.POOLED)),
    ]
    for step in steps:
        count = repository.steps.get(step.name, STEPS[step.name])
        step.instance_group.append(pb.ModelInstanceGroup(count=count, kind="KIND_CPU"))
    return steps


def ensemble_config(ensemble: Ensemble) -> pb.ModelConfig:
    """Steps that are equal run once."""
    steps = [
        pb.ModelEnsembling.Step(model_name=step.model, model_version=-1, input_map=step.inputs, output_map=step.outputs)
        for step in merged(ensemble.steps, ensemble.outputs)
    ]
    return pb.ModelConfig(
        name=ensemble.name,
        platform="ensemble",
        input=_inputs(*ensemble.inputs),
        output=_outputs(*ensemble.outputs),
        parameters=_parameters(**ensemble.parameters),
        ensemble_scheduling=pb.ModelEnsembling(step=steps),
    )


def network_files(installed: Installed, folder: Path) -> dict[Path, bytes]:
    """Path and content of what belongs into the folder of a network, beside its weights."""
    network = installed.network
    files = {folder / "config.pbtxt": _text(network_config(installed))}
    if network.record.takes_regions:
        height, width = network.input_size
        region = np.array([width / 2, height / 2, width, height], "<f4")
        files[folder / "warmup" / WARMUP_REGION] = region.tobytes()
    return files


def _text(config: pb.ModelConfig) -> bytes:
    text: str = text_format.MessageToString(config, use_short_repeated_primitives=True)
    return (HEADER + text).encode()


def config_files(repository: Repository) -> dict[Path, bytes]:
    """Path and content of every generated file of the three folders, and of the code of the steps, which outside a
    checkout is a copy."""
    models, steps, folder = repository.folders
    files = {models / STATE: repository.state().encode()}
    for name, installed in repository.networks.items():
        files |= network_files(installed, models / name)
    for step in step_configs(repository):
        files[steps / step.name / "config.pbtxt"] = _text(step)
        if not is_checkout(repository.root):
            for source in (PREPROCESS / step.name / "1").glob("*.py"):
                files[steps / step.name / "1" / source.name] = source.read_bytes()
    for config in map(ensemble_config, ensembles(repository)):
        files[folder / config.name / "config.pbtxt"] = _text(config)
        files[folder / config.name / "1" / ".gitkeep"] = b""  # Triton asks for a version folder
    return files


def model_names(repository: Repository) -> list[str]:
    """Networks first, then steps, then the ensembles that stand on them."""
    return [path.parent.name for path in config_files(repository) if path.name == "config.pbtxt"]


def write_configs(repository: Repository) -> list[Path]:
    """Write those that changed, each whole or not at all, and remove ensembles that there are no more. Afterwards
    everybody may read the three folders.

    Returns the paths written.
    """
    files = config_files(repository)
    changed = [path for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.new")
        unfinished.write_bytes(files[path])
        unfinished.replace(path)
    _, steps, ensemble_folder = repository.folders
    for path in ensemble_folder.glob("*/config.pbtxt"):
        if path not in files:
            shutil.rmtree(path.parent)
    if not is_checkout(repository.root):
        for path in (path for name in STEPS for path in (steps / name / "1").glob("*.py")):
            if path not in files:
                path.unlink()
    make_readable(repository.root)
    return changed
