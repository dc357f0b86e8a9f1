"""What a server uses of the machine: memory that processes share counts once, gauges are read where there are any."""

import subprocess
import sys

from loadtest.experiments import machine

# A process that holds 64 MB, and its fork that shares them.
SHARING = """
import os, sys
held = b"x" * 64_000_000
if os.fork():
    print(flush=True)
sys.stdin.read()
"""
METRICS = """# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-a"} 0.5
nv_gpu_utilization{gpu_uuid="GPU-b"} 1.0
nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 3e9
nv_gpu_memory_used_bytes{gpu_uuid="GPU-b"} 1000000
nv_gpu_memory_total_bytes{gpu_uuid="GPU-a"} 8e10
nv_cpu_utilization 0.25
"""


def test_memory_that_processes_share_counts_once():
    with subprocess.Popen([sys.executable, "-c", SHARING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert 64e6 < machine.resident_bytes(process.pid) < 110e6
        process.stdin.close()


def test_gauges_are_read_where_there_are_any():
    gauges = machine.GPU_GAUGES | machine.CPU_GAUGES
    assert machine.read_gauges(METRICS, gauges) == {"GPU": 0.75, "GPU MB": 3001, "CPU": 0.25}
    assert machine.read_gauges("nv_inference_count 3\n", gauges) == {}
