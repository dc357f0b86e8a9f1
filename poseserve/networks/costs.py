"""Parameters and floating point operations of the catalogue: `python -m poseserve.networks.costs` counts them.

Counted on the network itself, one input, two operations for a multiply-add; the catalogue reads them from costs.json.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from poseserve.catalogue import CATALOGUE, Network

FILE = Path(__file__).with_name("costs.json")


@cache
def costs() -> dict[str, dict[str, float]]:
    """Name -> `params` in millions and `gflops` for one input."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def count(network: Network) -> dict[str, float]:
    """`params` in millions and `gflops` of a network for one input, counted on the meta device."""
    import torch  # reading the table needs none of these
    from torch.utils.flop_counter import FlopCounterMode

    from poseserve.networks import build  # needs the families, which reading the table does not

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        bare = build.bare(network).to("meta")  # rotary tables are made on the CPU
        bare(torch.zeros(1, 3, *network.input_size))
    millions = sum(p.numel() for p in bare.parameters()) / 1e6
    return {"params": round(millions, 1), "gflops": round(counter.get_total_flops() / 1e9, 1)}


def main() -> None:
    """Count every network of the catalogue and write costs.json."""
    counted = {name: count(network) for name, network in CATALOGUE.items() if network.family != "demo"}
    FILE.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
