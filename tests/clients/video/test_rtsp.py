"""A real RTSP server, of Debian's packages: lost and back, and a stall."""

import asyncio
import os
import signal
import socket
import subprocess
from contextlib import aclosing

import pytest

from poseclient.video import live, sources
from poseclient.video.frames import Selection
from poseclient.video.live import LiveSource
from poseclient.video.sources import Source

PYTHON = "/usr/bin/python3"  # Debian's, which has the bindings
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}"
SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 "
                   "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 pt=96 )")
server.get_mount_points().add_factory("/street", factory)
server.attach(None)
print("serving", flush=True)
GLib.MainLoop().run()
"""


def serve(port):
    process = subprocess.Popen([PYTHON, "-c", SERVER, str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "serving\n"
    return process


@pytest.fixture
def port():
    check = [PYTHON, "-c", 'import gi; gi.require_version("GstRtspServer", "1.0")']
    if not os.path.exists(PYTHON) or subprocess.run(check, capture_output=True).returncode:
        pytest.skip(f"there is no RTSP server: apt-get install {PACKAGES}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.mark.slow
async def test_a_camera_is_lost_and_back_and_stalls(port, monkeypatch):
    monkeypatch.setattr(live, "DELAYS", (0.2,))
    monkeypatch.setattr(sources, "TIMEOUT", (5.0, 1.0))
    said, processes = [], [serve(port)]
    source = LiveSource(Source(f"rtsp://me:secret@127.0.0.1:{port}/street", "street"), Selection(), said.append)
    try:
        async with asyncio.timeout(90), aclosing(source.frames()) as frames:
            times = [(await anext(frames)).time for _ in range(25)]
            processes[-1].kill()
            processes[-1].wait()
            while not said:
                await asyncio.sleep(0.05)
            processes.append(serve(port))
            times += [(await anext(frames)).time for _ in range(50)]
            assert source.reconnects == 1
            processes[-1].send_signal(signal.SIGSTOP)
            while len(said) < 3:
                await asyncio.sleep(0.05)
            processes[-1].send_signal(signal.SIGCONT)
            while source.reconnects < 2:
                times.append((await anext(frames)).time)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert times == sorted(times)
    assert times[-1] - times[0] > 2
    words = [line.removeprefix(f"rtsp://127.0.0.1:{port}/street is ") for line in said]
    assert words[0].startswith("lost (")
    assert words[1:4] == ["back", "lost (nothing came for 1 s)", "back"]
    assert not any("secret" in line for line in said)
