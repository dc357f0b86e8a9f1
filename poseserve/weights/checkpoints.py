"""Weights out of every container that the networks' authors publish, without running any code that a file holds."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from poseserve.errors import CheckpointError
from poseserve.weights import tfjs

ACCEPTED = (
    "accepted are PyTorch checkpoints (.pth, .pt, .bin), safetensors, TorchScript and torch.export archives (.pt2), "
    "the ONNX files of ViTPose and the graph models of TensorFlow.js (.json, the .bin beside it)"
)
NAMES_SHOWN = 3

# Parts of a training network that no inference network has: the MAE decoder and the normalisation of the trainer.
TRAINING_ONLY = ("neck.", "decoder_", "data_preprocessor.")

# The names that TorchScript archives and the numbers that torch.export archives have for dtypes.
STORAGE_DTYPES = {
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16,
}
EXPORT_DTYPES = {5: torch.int64, 6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}


def read(path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint: name -> CPU tensor, shapes and dtypes as in the file.

    The container is recognised by its content: a PyTorch pickle (a dict of tensors, bare or under `state_dict` or
    `model`), safetensors, a TorchScript or torch.export archive, an ONNX file that torch's first exporter wrote of
    ViTPose, or a graph model of TensorFlow.js (tfjs.py). Objects of classes that no checkpoint needs come out empty,
    whatever their pickle asks for. A leading `module.` of a name is dropped. Raises CheckpointError.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; get it with `poseserve fetch`")
    reader = _reader(path)
    try:
        state = reader(path)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: the pickle holds more than tensors and plain data, and reading it would run code of the file; "
            "refused. Get the file from its authors: poseserve fetch"
        ) from error
    except Exception as error:  # every library has its own errors for bytes that it did not expect
        reason = str(error).partition("\n")[0][:200]
        raise CheckpointError(f"{path}: damaged or cut short ({reason}); download it again: poseserve fetch") from error
    tensors = {name.removeprefix("module."): value.detach() for name, value in state.items() if _is_tensor(name, value)}
    if not tensors:
        raise CheckpointError(f"{path}: holds no tensors; {ACCEPTED}")
    return tensors


def _is_tensor(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _reader(path: Path) -> Callable[[Path], Mapping[str, Any]]:
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"PK"):
        return _archive_reader(path)
    if head.startswith(b"\x80"):  # a pickle, as torch wrote before version 1.6
        return _read_pickle
    if head.lstrip().startswith(b"{") and b"\0" not in head:
        return tfjs.read
    if head[8:9] == b"{":  # the JSON header follows its length in eight bytes
        return load_file
    if head.startswith(b"\x08"):  # the version, first field of an ONNX model
        return _read_onnx
    if not head:
        found = "an empty file"
    elif head.startswith(b"version https://"):
        found = "a Git LFS pointer, not the file itself"
    elif head.lstrip().startswith(b"<"):
        found = "a web page, perhaps one that asks for a login or a licence"
    else:
        found = f"no checkpoint (it starts with {head!r})"
    raise CheckpointError(f"{path}: {found}; {ACCEPTED}. Download it again: poseserve fetch")


def _archive_reader(path: Path) -> Callable[[Path], Mapping[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path}: an archive that is cut short ({path.stat().st_size:,} bytes); download it again: poseserve fetch"
        ) from error
    if _member(names, "constants.pkl"):
        return _read_torchscript
    if _member(names, "serialized_state_dict.pt") or _member(names, "archive_format"):
        return _read_export
    if _member(names, "data.pkl"):
        return _read_pickle
    raise CheckpointError(f"{path}: a zip archive that is no checkpoint; {ACCEPTED}")


def _member(names: Iterable[str], suffix: str) -> str | None:
    """The member of that name at the top of an archive or in its one folder."""
    return next((name for name in names if name.partition("/")[2] == suffix or name == suffix), None)


class _Object:
    """Stands in for every class of a pickle that is unknown here; keeps the attributes and does nothing."""

    attributes: Mapping[str, Any] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> _Object:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, Mapping):
            self.attributes = state


def _read_pickle(path: Path) -> Mapping[str, Any]:
    zipped = zipfile.is_zipfile(path)
    unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
    return _tensors_of(path, unknown, mmap=zipped)


def _tensors_of(file: Path | IO[bytes], unknown: Iterable[str] = (), mmap: bool | None = None) -> Mapping[str, Any]:
    with torch.serialization.safe_globals([(_Object, name) for name in unknown]):
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    return state if isinstance(state, Mapping) else {}


def _read_torchscript(path: Path) -> Mapping[str, Any]:
    """`torch.jit.load` would run the archive's own code, which may write files."""
    with zipfile.ZipFile(path) as archive:
        module = _ScriptUnpickler(archive).load()
    state: dict[str, Any] = {}

    def collect(module: _Object, prefix: str) -> None:
        for name, value in module.attributes.items():
            if isinstance(value, _Object):
                collect(value, f"{prefix}{name}.")
            else:
                state[prefix + name] = value

    collect(module, "")
    return state


class _ScriptUnpickler(pickle.Unpickler):
    """Modules of a TorchScript archive as `_Object`; all that a pickle can name or call are the few things below."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.member = _member(archive.namelist(), "data.pkl") or ""
        super().__init__(archive.open(self.member))
        self.archive, self.storages = archive, dict[str, Tensor]()

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        known = {"torch._utils._rebuild_tensor_v2": _rebuild_tensor, "collections.OrderedDict": dict}
        return known.get(f"{module}.{name}", _Object)

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, _ = pid
        if key not in self.storages:
            data = self.archive.read(self.member.removesuffix(".pkl") + f"/{key}")
            self.storages[key] = torch.frombuffer(bytearray(data), dtype=dtype)
        return self.storages[key]


def _rebuild_tensor(storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _read_export(path: Path) -> Mapping[str, Any]:
    """The weights alone: `torch.export.load` would unpickle the archive's example inputs too."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        # Torch 2.3 wrote one pickle, later versions moved it below data/; 2.13 writes raw files and a table of them.
        for pickled in ("serialized_state_dict.pt", "data/weights/model.pt"):
            if member := _member(names, pickled):
                return _tensors_of(io.BytesIO(archive.read(member)))
        table = _member(names, "data/weights/model_weights_config.json")
        if table is None:
            raise CheckpointError(f"{path}: an archive without the weights of a model; {ACCEPTED}")
        folder = table.rpartition("/")[0]
        entries = json.loads(archive.read(table))["config"]
        return {
            name: _exported(archive.read(f"{folder}/{entry['path_name']}"), entry) for name, entry in entries.items()
        }


def _exported(data: bytes, entry: dict[str, Any]) -> Tensor:
    if entry["use_pickle"]:
        tensor: Tensor = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return tensor
    meta = entry["tensor_meta"]
    sizes, strides = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
    flat = torch.frombuffer(bytearray(data), dtype=EXPORT_DTYPES[meta["dtype"]])
    return flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"])


def _read_onnx(path: Path) -> Mapping[str, Any]:
    """Initialisers under the names of the module's parameters.

    The exporter transposes the weight of a linear layer and takes its name away; the bias that is added to the product
    still has its own. It also splits ViTPose's position table in the two parts that are added to the tokens.
    """
    try:
        import onnx  # only this container needs it
    except ImportError as error:
        raise CheckpointError(f"{path} is ONNX, which needs more packages: pip install 'poseserve[onnx]'") from error

    graph = onnx.load(str(path), load_external_data=False).graph
    tensors = {i.name: torch.tensor(onnx.numpy_helper.to_array(i, str(path.parent))) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in tensors:  # equal parameters are stored once
            tensors[node.output[0]] = tensors[node.input[0]]
    state = {name: tensor for name, tensor in tensors.items() if not _is_anonymous(name)}

    products = {n.output[0]: n.input[1] for n in graph.node if n.op_type == "MatMul" and n.input[1] in tensors}
    positions = []
    for node in graph.node:
        if node.op_type != "Add":
            continue
        constants = [name for name in node.input if name in tensors]
        factors = [products[name] for name in node.input if name in products]
        if constants and factors and constants[0].endswith("bias"):
            state[constants[0].removesuffix("bias") + "weight"] = tensors[factors[0]].t().contiguous()
        elif constants and _is_anonymous(constants[0]) and tensors[constants[0]].dim() == 3:
            positions.append(tensors[constants[0]])
    patches = next((name for name in state if name.endswith("patch_embed.proj.weight")), None)
    if patches is not None and len(positions) == 2:
        positions.sort(key=lambda part: part.shape[1])  # the first row comes alone
        state[patches.removesuffix("patch_embed.proj.weight") + "pos_embed"] = torch.cat(positions, 1)
    return state


def _is_anonymous(name: str) -> bool:
    return "::" in name or name.isdecimal()


def load_strict(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Put the weights of `state` into `module`, whose state dict must have the same names and shapes.

    Every tensor takes the dtype that the module has there; a module on the meta device gets the tensors themselves.
    A `backbone.` prefix on either side, missing counters of batch norms and parts that only training uses are passed
    over. Raises CheckpointError, whose message starts with `source`, for everything else that differs.
    """
    expected = module.state_dict()
    state = _renamed(state, expected)
    for name, wanted in expected.items():
        if name.endswith("num_batches_tracked") and name not in state:
            state[name] = torch.zeros(wanted.shape, dtype=wanted.dtype)
    _compare(state, expected, source)
    module.load_state_dict(
        {name: state[name].to(wanted.dtype) for name, wanted in expected.items()},
        assign=any(tensor.is_meta for tensor in expected.values()),
    )


def _renamed(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = "backbone."
    candidates = (
        dict(state),
        {name.removeprefix(prefix): tensor for name, tensor in state.items()},
        {prefix + name: tensor for name, tensor in state.items()},
    )
    chosen = max(candidates, key=lambda names: len(names.keys() & expected.keys()))
    unused = tuple(part for part in TRAINING_ONLY if not any(name.startswith(part) for name in expected))
    return {name: tensor for name, tensor in chosen.items() if not name.removeprefix(prefix).startswith(unused)}


def _compare(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    if not (missing or unexpected or reshaped):
        return
    # Only the last layer can have other outputs while all layers after it agree.
    if not (missing or unexpected) and len({name.rpartition(".")[0] for name in reshaped}) == 1:
        found, wanted = state[reshaped[0]].shape, expected[reshaped[0]].shape
        if found[1:] == wanted[1:]:
            raise CheckpointError(
                f"{source}: the file has {found[0]} outputs, this network expects {wanted[0]}; "
                "choose the network with that keypoint or class set"
            )
    shapes = [f"{name} {list(state[name].shape)}, must be {list(expected[name].shape)}" for name in reshaped]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    differences = "; ".join(f"{len(names)} {kind} ({_first(names)})" for kind, names in kinds if names)
    if 2 * (len(missing) + len(reshaped)) > len(expected):
        advice = "this looks like a network of another family or size"
    else:
        advice = "choose the network that this file was made for"
    raise CheckpointError(f"{source} does not fit this network: {differences}; {advice}")


def _first(names: list[str]) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
