"""From a trained network to the TorchScript file that Triton serves."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# TorchScript is what Triton's PyTorch backend serves on every GPU of a machine; torch 2.13 calls it deprecated.
warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)


class ExportError(RuntimeError):
    """The exported file would not serve: it differs from the network, or is bound to one device."""


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every BatchNorm that follows a convolution in an nn.Sequential into it, in place; eval mode only."""
    for block in list(module.modules()):
        if isinstance(block, nn.Sequential):
            for i in reversed(range(len(block) - 1)):
                conv, norm = block[i], block[i + 1]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    block[i] = fuse_conv_bn_eval(conv, norm)
                    del block[i + 1]


def export(contract: nn.Module, network_input: tuple[int, int], example: tuple[Tensor, ...], path: Path) -> None:
    """Trace the contract's network at `network_input` (height, width), script the contract around it, check, save.

    `example` are inputs of the contract. Raises ExportError when the exported answer differs from the eager one by more
    than 1e-3 (a thousandth of a pixel, or of a score) or when the graph names a device.
    """
    contract.eval()
    with torch.inference_mode():
        expected = contract(*example)
    eager = contract.network
    with torch.no_grad():
        contract.network = torch.jit.trace(eager, torch.zeros(2, 3, *network_input), check_trace=False)
        exported = torch.jit.script(contract)
    contract.network = eager
    refuse_device_literals(exported)
    with torch.inference_mode():
        difference = (exported(*example).double() - expected.double()).abs().max().item()
    if not difference <= 1e-3:
        raise ExportError(f"the exported network differs from the eager one by {difference:.3g}")
    path.parent.mkdir(parents=True, exist_ok=True)
    exported.save(str(path))


def refuse_device_literals(module: torch.jit.ScriptModule) -> None:
    """A device baked into the graph would break the network on every other device: raise ExportError."""
    found = set(re.findall(r'Device = prim::Constant\[value="([^"]+)"\]', str(module.inlined_graph)))
    if found:
        raise ExportError(f"the exported graph is bound to {', '.join(sorted(found))}")
