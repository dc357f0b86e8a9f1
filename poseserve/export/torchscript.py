"""From a trained network to the TorchScript file that Triton serves."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseserve.errors import ExportError
from poseserve.families.flip import FlipTested

# TorchScript is what Triton's PyTorch backend serves on every GPU of a machine; torch 2.13 calls it deprecated.
warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
# torch's own layers compare sizes, which are the same for every input.
warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean", torch.jit.TracerWarning, r"torch\.nn\.")


class _Tracing(nn.Module):
    """Answers as `network` does, and traces it on the way, on the first input that it gets."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.traced: torch.jit.ScriptModule | None = None
        self.seen: list[tuple[Tensor, Any]] = []  # the first input and the answer to it

    def forward(self, x: Tensor) -> Any:
        if self.traced is not None:
            return self.network(x)
        hook = self.network.register_forward_hook(lambda module, inputs, answer: self.seen.append((x, answer)))
        self.traced = torch.jit.trace(self.network, x, check_trace=False)
        hook.remove()
        return self.seen[0][1]


def export(contract: nn.Module, example: tuple[Tensor, ...], path: Path) -> float:
    """Trace the contract's network on `example` (inputs of the contract), script the contract around it, save, check.

    The contract gives its weights up (they are on the meta device then): a network and its file loaded again would need
    twice the memory. Returns the seconds that loading the file took. Raises ExportError, and leaves no file, when what
    was loaded answers otherwise than the network by more than 1e-3 (a thousandth of a pixel, of a score, of the bytes)
    or names a device.
    """
    contract.eval()
    # A flip test is scripted too: traced, it would hold the network's graph twice.
    owner: Any = contract.network if isinstance(contract.network, FlipTested) else contract
    tracing = _Tracing(owner.network)
    owner.network = tracing
    with torch.no_grad():
        expected = contract(*example)
        owner.network = tracing.traced
        exported = torch.jit.script(contract)
    owner.network = tracing.network
    refuse_device_literals(exported)
    path.parent.mkdir(parents=True, exist_ok=True)
    exported.save(str(path))
    del exported, tracing.traced
    for module in contract.modules():
        if not isinstance(module, torch.jit.ScriptModule):  # one from a file cannot give them up
            module.to_empty(device="meta", recurse=False)
    started = time.perf_counter()
    loaded = torch.jit.load(str(path))
    seconds = time.perf_counter() - started
    with torch.inference_mode():
        found = loaded(*example)
        if not expected.any():  # a detector that sees nobody: what its network answers says more
            image, expected = tracing.seen[0]
            found = loaded.network(image)
    apart = difference(found, expected)
    if not apart <= 1e-3:
        path.unlink()
        raise ExportError(f"the exported network differs from the eager one by {apart:.3g}")
    return seconds


def difference(found: Tensor, expected: Tensor) -> float:
    """Of two answers: the largest one of numbers; of bytes the share that differs, for near ties may go either way."""
    if expected.dtype == torch.uint8:
        return (found != expected).double().mean().item()
    return (found.double() - expected.double()).abs().max().item()


def refuse_device_literals(module: torch.jit.ScriptModule) -> None:
    """A device baked into the graph would break the network on every other device: raise ExportError."""
    graph: Any = module.inlined_graph  # it owns the nodes
    constants = [node.output() for node in graph.findAllNodes("prim::Constant", recurse=True)]
    devices = [value for value in constants if value.type().kind() == "DeviceObjType"]
    found = {_bound(use.user, value.node().s("value")): None for value in devices for use in value.uses()}
    if found:
        raise ExportError(
            f"the graph would serve on one device alone: {'; '.join(found)}. Let the network make that tensor from its "
            "input (x.new_zeros), by torch.jit.script, or once as a buffer; or use --format onnx, whose files name none"
        )


def _bound(node: Any, device: str) -> str:
    """What of the graph is bound to a device, and where in the code it came from, if that is known."""
    place = node.sourceRange().partition("\n")[0].strip()
    return f"{node.kind()} is bound to {device}" + f" ({place})" * bool(place)
