"""A Python-based backend that serves TorchScript files as Triton's C++ PyTorch backend does.

For a Triton that lacks the C++ one: the same folders and configs, naming rules, merging of requests, errors.
It does not do text (TYPE_STRING), ragged batches, batch inputs or sequence state. Each instance is a process.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import triton_python_backend_utils as pb_utils
from batching import (
    Arrays,
    Config,
    InferenceError,
    boolean,
    check_count,
    check_type,
    integer,
    loading,
    model_path,
    parameters,
    respond,
)
from numpy.typing import NDArray

DTYPES = {
    "TYPE_BOOL": torch.bool,
    "TYPE_UINT8": torch.uint8,
    "TYPE_INT8": torch.int8,
    "TYPE_INT16": torch.int16,
    "TYPE_INT32": torch.int32,
    "TYPE_INT64": torch.int64,
    "TYPE_FP16": torch.float16,
    "TYPE_FP32": torch.float32,
    "TYPE_FP64": torch.float64,
}
TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
TORCHSCRIPT_NAMES = {type(None): "None", tuple: "Tuple", float: "Double", int: "Int", bool: "Bool"}
DICT_OF_TENSORS = "Dict(str, Tensor)"


class TritonPythonModel:
    @loading()
    def initialize(self, args: Mapping[str, str]) -> None:
        config = json.loads(args["model_config"])
        name = args["model_name"]
        check_config(config, name)
        self._parameters = Parameters(config)
        self._parameters.apply()
        self._batching = config["max_batch_size"] > 0
        self._device = device_of(args)
        self._module = load_module(model_path(args, config, "model.pt"), self._device, name, self._parameters)
        self._arguments = map_inputs([i["name"] for i in config["input"]], forward_arguments(self._module), name)
        self._outputs = map_outputs([o["name"] for o in config["output"]])
        self._types = {o["name"]: o["data_type"] for o in config["output"]}

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return respond(requests, self._run, self._batching)

    def _run(self, arrays: Arrays) -> Arrays:
        returned = self._returned(arrays)
        return {n: as_array(n, i, returned, self._types[n]) for n, i in self._outputs.items()}

    def _returned(self, arrays: Arrays) -> tuple[torch.Tensor, ...]:
        """What the network returns for {input name: array}."""
        try:
            with self._parameters.execution():
                tensors = {n: torch.from_numpy(a).to(self._device or "cpu") for n, a in arrays.items()}
                return as_tensors(self._module(*self._arguments(tensors)))
        except Exception as error:
            raise InferenceError(f"PyTorch execute failure: {error}") from None
        finally:
            if self._parameters.cache_cleaning:
                torch.cuda.empty_cache()


# Loading


def check_config(config: Config, model: str) -> None:
    """Refuse what the C++ backend refuses before it looks at the network."""
    if not config["output"]:
        raise ValueError("model configuration must contain at least one output, none were specified.")
    for kind in ("input", "output"):
        for tensor in config[kind]:
            name = tensor["name"]
            check_type(tensor["data_type"], DTYPES, kind, name, model)
            if tensor.get("optional"):
                raise ValueError(
                    f"'optional' is set to true for input '{name}' while the backend model doesn't support "
                    "optional input"
                )


class Parameters:
    """The backend's parameters in a model's configuration."""

    def __init__(self, config: Config) -> None:
        self._texts = parameters(config)
        self._inference_mode = self._bool("INFERENCE_MODE", True)
        self._optimized = not self._bool("DISABLE_OPTIMIZED_EXECUTION", False)
        self.cache_cleaning = self._bool("ENABLE_CACHE_CLEANING", False)
        self._bool("ENABLE_WEIGHT_SHARING", False)  # of no effect: instances are processes

    def apply(self) -> None:
        """Set what holds for the whole process, which is this one instance's."""
        if self._bool("DISABLE_CUDNN", False):
            torch.backends.cudnn.enabled = False
        for name, switch in (
            ("ENABLE_JIT_EXECUTOR", torch._C._jit_set_profiling_executor),
            ("ENABLE_JIT_PROFILING", torch._C._jit_set_profiling_mode),
            ("ENABLE_TENSOR_FUSER", torch._C._jit_set_texpr_fuser_enabled),
        ):
            if name in self._texts:
                switch(self._bool(name, True))
        for name, set_threads in (
            ("INTER_OP_THREAD_COUNT", torch.set_num_interop_threads),
            ("INTRA_OP_THREAD_COUNT", torch.set_num_threads),
        ):
            if (count := integer(self._texts.get(name, "0"))) > 0:
                set_threads(count)

    def no_gradients(self) -> contextlib.AbstractContextManager[Any]:
        """In which a network is loaded and run."""
        return torch.inference_mode() if self._inference_mode else torch.no_grad()

    @contextlib.contextmanager
    def execution(self) -> Iterator[None]:
        """In which a network is run."""
        with self.no_gradients(), torch.jit.optimized_execution(self._optimized):
            yield

    def _bool(self, name: str, default: bool) -> bool:
        return boolean(self._texts.get(name, str(default)), ("true", "on", "1"), ("false", "off", "0"))


def device_of(args: Mapping[str, str]) -> torch.device | None:
    """The instance's device; None (KIND_MODEL) leaves a network where it was saved, its inputs on the CPU."""
    kind = args["model_instance_kind"]
    if kind == "GPU":
        return torch.device(f"cuda:{args['model_instance_device_id']}")
    return torch.device("cpu") if kind == "CPU" else None


def load_module(path: Path, device: torch.device | None, model: str, parameters: Parameters) -> torch.jit.ScriptModule:
    """The network as it was saved: also the C++ backend does not call eval()."""
    if not path.is_file():
        raise FileNotFoundError(f"unable to find '{path}' for model instance '{model}'")
    try:
        with parameters.no_gradients():
            module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location=device)
            return module
    except Exception as error:
        raise ValueError(f"failed to load model '{model}': {error}") from None


def forward_arguments(module: Any) -> dict[str, str]:
    """Name -> type of the arguments of forward() of a network of TorchScript."""
    if not hasattr(module, "forward"):
        raise ValueError("the network has no method forward()")
    return {argument.name: argument.type.str() for argument in module.forward.schema.arguments[1:]}


# Names


def indices_of(names: list[str]) -> list[int] | None:
    """1 of `INPUT__1` and so on; None where the first "__" of any name is not followed by digits alone."""
    numbers = [name.partition("__")[2] for name in names]
    return [int(n) for n in numbers] if all(re.fullmatch("[0-9]+", n) for n in numbers) else None


def map_inputs(
    names: list[str], arguments: Mapping[str, str], model: str
) -> Callable[[Mapping[str, torch.Tensor]], Sequence[Any]]:
    """A function from {input name: tensor} to the arguments of forward().

    By argument name when all inputs bear one, else by `__<index>` when all have one, else in config order.
    """
    if list(arguments.values()) == [DICT_OF_TENSORS]:
        return lambda tensors: ({name: tensors[name] for name in names},)
    for kind in arguments.values():
        if kind != "Tensor":
            raise ValueError(
                f"An input of type '{kind}' was detected in the model. Only a single input of type "
                f"{DICT_OF_TENSORS} or input(s) of type Tensor are supported."
            )
    check_count(len(names), len(arguments), model)
    order = order_of(names, list(arguments))
    return lambda tensors: [tensors[name] for name in order]


def order_of(names: list[str], arguments: list[str]) -> list[str]:
    """The input names in the order of forward()'s arguments."""
    if set(names) == set(arguments):
        return arguments
    indices = indices_of(names)
    if indices is None:
        return names
    if sorted(indices) != list(range(len(names))):
        raise ValueError(f"the indices of {', '.join(names)} must be 0 to {len(names) - 1}, each once")
    return [name for _, name in sorted(zip(indices, names, strict=True))]


def map_outputs(names: list[str]) -> dict[str, int]:
    """Output name -> index in what forward() returns: by `__<index>` when all have one, else in order."""
    return dict(zip(names, indices_of(names) or range(len(names)), strict=True))


# Tensors


def as_tensors(returned: object) -> tuple[torch.Tensor, ...]:
    """A tensor or a flat tuple of tensors, as a tuple; anything else is an error."""
    if isinstance(returned, torch.Tensor):
        return (returned,)
    if isinstance(returned, tuple):
        for element in returned:
            if not isinstance(element, torch.Tensor):
                kind = TORCHSCRIPT_NAMES.get(type(element), type(element).__name__)
                raise TypeError(f"Expected Tensor but got {kind}")
        return returned
    if isinstance(returned, list):
        raise TypeError("output must be of type Tensor or List[str], received List[Tensor]")
    raise TypeError(
        "output must be of type Tensor, List[str] or Tuple containing one of these two types. "
        "It should not be a List / Dictionary of Tensors or a Scalar"
    )


def as_array(name: str, index: int, returned: tuple[torch.Tensor, ...], data_type: str) -> NDArray[Any]:
    """Output `index` as an array in the memory of the CPU, of the type that the configuration promises."""
    if index >= len(returned):
        raise InferenceError(
            f"The output {name} in the model configuration refers to an output index which doesn't exist. "
            f"This model has {len(returned)} outputs",
            "INVALID_ARG",
        )
    tensor = returned[index]
    if tensor.layout != torch.strided:
        raise InferenceError(f"output tensor '{name}' is not found")
    provided = TYPE_NAMES.get(tensor.dtype, "TYPE_<invalid>")
    if provided != data_type:
        raise InferenceError(
            f"configuration expects datatype {data_type} for output '{name}', model provides {provided}",
            "INVALID_ARG",
        )
    if tensor.dim() == 0:
        raise InferenceError(f"output '{name}' is a scalar which is not supported.", "INVALID_ARG")
    return tensor.detach().cpu().contiguous().numpy()
