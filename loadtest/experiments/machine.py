"""The machine under load: its hardware, and what a server uses of it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import psutil

GPU_GAUGES = {"GPU": "nv_gpu_utilization", "GPU MB": "nv_gpu_memory_used_bytes"}
CPU_GAUGES = {"CPU": "nv_cpu_utilization", "RAM MB": "nv_cpu_memory_used_bytes"}


def described(triton: str = "") -> str:
    """Hardware and versions of this machine; `triton` is the version of a server that runs on it."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    cores = f"{len(os.sched_getaffinity(0))} cores of {processor[1] if processor else platform.machine()}"
    versions = {"Python": platform.python_version(), "Triton": triton, "OpenCV": cv2.__version__}
    versions |= {name: version(name) for name in ("torch", "numpy")}
    known = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    return f"{', '.join([cores, *gpu_names()])}; {known}"


def gpu_names() -> list[str]:
    """Names of the GPUs; empty where NVIDIA's driver is absent."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def cpu_seconds(pid: int) -> float:
    """CPU time of the process and its children."""
    times = (process.cpu_times() for process in family(pid))
    return float(sum(t.user + t.system for t in times))


def resident_bytes(pid: int) -> int:
    """Memory of the process and its children; a page that several of them map counts once (PSS)."""
    return sum(process.memory_full_info().pss for process in family(pid))


def family(pid: int) -> list[psutil.Process]:
    """The process and what it started, directly or not."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def read_metrics(url: str) -> str:
    """The text of Triton's metrics; `url` is host:port."""
    with urllib.request.urlopen(f"http://{url}/metrics", timeout=10) as response:
        return bytes(response.read()).decode()


def read_gauges(metrics: str, gauges: Mapping[str, str]) -> dict[str, float]:
    """Those of the gauges (name -> Triton's) that the metrics hold: MB as the sum of all devices, shares of the time in
    which these were busy, 0..1, as their mean."""
    found = {}
    for name, gauge in gauges.items():
        values = [float(value) for value in re.findall(rf"^{gauge}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)]
        if values:
            found[name] = sum(values) / 1e6 if name.endswith("MB") else float(np.mean(values))
    return found
