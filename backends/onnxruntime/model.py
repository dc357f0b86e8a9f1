"""A Python-based backend that serves ONNX files as Triton's C++ ONNX Runtime backend does.

For a Triton that lacks the C++ one: the same folders and configs, checks of names, types and shapes, merging of
requests, errors. It does not do text (TYPE_STRING), scalars, ragged batches, batch inputs or sequence state, nor share
threads between models. Each instance is a process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils
from batching import (
    Arrays,
    Config,
    InferenceError,
    boolean,
    check_tensors,
    integer,
    loading,
    model_path,
    parameters,
    respond,
)

TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
}
BOOLEANS = ("true", "1"), ("false", "0")
LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
MODES = {0: onnxruntime.ExecutionMode.ORT_SEQUENTIAL, 1: onnxruntime.ExecutionMode.ORT_PARALLEL}
# Accelerators of a configuration -> ONNX Runtime's execution providers.
GPU_ACCELERATORS = {"tensorrt": "TensorrtExecutionProvider", "cuda": "CUDAExecutionProvider"}
CPU_ACCELERATORS = {"openvino": "OpenVINOExecutionProvider"}
PRECISIONS = {"FP32": {}, **{p: {f"trt_{p.lower()}_enable": "1"} for p in ("FP16", "BF16", "INT8")}}


def ort_message(error: Exception) -> str:
    """ONNX Runtime's complaint in the words of the C++ backend."""
    found = re.fullmatch(r"(?s)\[ONNXRuntimeError\] : (\d+) : \w+ : (.*)", str(error))
    return f"onnx runtime error {found[1]}: {found[2]}" if found else str(error)


class TritonPythonModel:
    @loading(ort_message)
    def initialize(self, args: Mapping[str, str]) -> None:
        config = json.loads(args["model_config"])
        name = args["model_name"]
        self._batching = config["max_batch_size"] > 0
        self._outputs = [o["name"] for o in config["output"]]
        self._run_options = run_options(config)
        path, options, wanted = model_file(args, config, name), session_options(config), providers(config, args)
        self._session = onnxruntime.InferenceSession(path, options, providers=wanted)
        for provider, _ in wanted:
            if provider not in self._session.get_providers():
                pb_utils.Logger.log_warn(f"{name}: this ONNX Runtime has no {provider}, going on without it")
        check_graph(config, self._session, name)

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return respond(requests, self._run, self._batching)

    def _run(self, arrays: Arrays) -> Arrays:
        try:
            results = self._session.run(self._outputs, arrays, self._run_options)
        except Exception as error:
            raise InferenceError(ort_message(error)) from None
        return dict(zip(self._outputs, results, strict=True))


# Loading


def model_file(args: Mapping[str, str], config: Config, model: str) -> str:
    """Path of the file; a folder of that name holds it as model.onnx."""
    path = model_path(args, config, "model.onnx")
    if path.is_dir():
        path = path / "model.onnx"
    if not path.is_file():
        raise FileNotFoundError(f"unable to find '{path}' for model instance '{model}'")
    return str(path)


def session_options(config: Config) -> onnxruntime.SessionOptions:
    """By the names and values that the C++ backend knows. Raises ValueError for a value that cannot be."""
    options, texts = onnxruntime.SessionOptions(), parameters(config)
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = LEVELS.get(level, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    mode = integer(texts.get("execution_mode", "0"))
    if mode not in MODES:
        raise ValueError(
            f"Invalid configuration value provided. Expected values for  execution_mode are 0 or 1 but got {mode} ."
        )
    options.execution_mode = MODES[mode]
    options.intra_op_num_threads = max(integer(texts.get("intra_op_thread_count", "0")), 0)
    options.inter_op_num_threads = max(integer(texts.get("inter_op_thread_count", "0")), 0)
    options.enable_cpu_mem_arena = boolean(texts.get("enable_mem_arena", "1"), *BOOLEANS)
    options.enable_mem_pattern = boolean(texts.get("enable_mem_pattern", "1"), *BOOLEANS)
    for key, text in texts.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, text)
    return options


def run_options(config: Config) -> onnxruntime.RunOptions:
    """Whether memory is given back after a run."""
    key = "memory.enable_memory_arena_shrinkage"
    options = onnxruntime.RunOptions()
    if (text := parameters(config).get(key)) is not None:
        options.add_run_config_entry(key, text)
    return options


def providers(config: Config, args: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """ONNX Runtime's execution providers with their options, in order of preference."""
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    wanted = {}
    if args["model_instance_kind"] == "GPU":
        device = {"device_id": args["model_instance_device_id"]}
        wanted = chosen(accelerators.get("gpu_execution_accelerator", []), GPU_ACCELERATORS)
        wanted.setdefault("CUDAExecutionProvider", {})
        wanted = {provider: options | device for provider, options in wanted.items()}
    wanted |= chosen(accelerators.get("cpu_execution_accelerator", []), CPU_ACCELERATORS)
    return [*wanted.items(), ("CPUExecutionProvider", {})]


def chosen(accelerators: Iterable[Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Provider -> options of the accelerators that a configuration names."""
    wanted = {}
    for accelerator in accelerators:
        name = accelerator["name"]
        if name not in known:
            raise ValueError(f"unknown Execution Accelerator '{name}' is requested")
        options = accelerator.get("parameters", {})
        wanted[known[name]] = tensorrt_options(options) if name == "tensorrt" else dict(options)
    return wanted


def tensorrt_options(accelerator: Mapping[str, str]) -> dict[str, str]:
    """ONNX Runtime's options of TensorRT from those of a configuration. Raises ValueError for an unknown precision."""
    options: dict[str, str] = {}
    for key, value in accelerator.items():
        if key == "precision_mode":
            if value not in PRECISIONS:
                raise ValueError(f"unsupported precision mode '{value}' is requested")
            options |= PRECISIONS[value]
        elif key == "max_workspace_size_bytes":
            options["trt_max_workspace_size"] = value
        else:
            options[key if key.startswith("trt_") else f"trt_{key}"] = value
    return options


def check_graph(config: Config, session: onnxruntime.InferenceSession, model: str) -> None:
    """The configuration's tensors must be those of the graph, also in shape."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    types = ({tensor.name: TYPES.get(tensor.type, "TYPE_<invalid>") for tensor in known} for known in (inputs, outputs))
    check_tensors(config, model, {name: name for name in TYPES.values()}, *types)
    batching = config["max_batch_size"] > 0
    for kind, known in (("input", inputs), ("output", outputs)):
        shapes = {tensor.name: tensor.shape for tensor in known}
        for tensor in config[kind]:
            name = tensor["name"]
            if tensor.get("optional") and batching:
                raise ValueError(
                    f"unable to load model '{model}', optional input '{name}' is not supported for models that "
                    "support batching"
                )
            check_shape(tensor, shapes[name], batching, kind == "output", model)


def check_shape(tensor: Config, shape: Sequence[Any], batching: bool, exactly: bool, model: str) -> None:
    """A graph's free dimension takes any of an input's, but of an output only a free one."""
    provided = [d if isinstance(d, int) else -1 for d in shape]
    dims = [int(d) for d in tensor.get("reshape", {}).get("shape", tensor["dims"])]
    if batching and provided[:1] != [-1]:
        raise ValueError(
            f"model '{model}', tensor '{tensor['name']}': for the model to support batching the shape should have at "
            "least 1 dimension and the first dimension must be -1; but shape expected by the model is "
            f"{shown(provided)}"
        )
    full = [-1, *dims] if batching else dims
    fits = len(full) == len(provided) and all(
        p == f or (p == -1 and not exactly) for p, f in zip(provided, full, strict=True)
    )
    if not fits:
        about = (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, making "
            "complete shape"
            if batching
            else "shape"
        )
        raise ValueError(
            f"model '{model}', tensor '{tensor['name']}': the model expects {len(provided)} dimensions (shape "
            f"{shown(provided)}) but the model configuration specifies {len(full)} dimensions ({about} {shown(full)})"
        )


def shown(shape: Sequence[int]) -> str:
    """[-1,2] without spaces, as the C++ backend writes it."""
    return f"[{','.join(map(str, shape))}]"
