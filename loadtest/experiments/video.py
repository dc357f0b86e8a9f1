"""`python -m loadtest.experiments.video`: the frames of a video through `track`, against the same frames as JPEGs that
wait in memory, with as many requests in flight; and `poseclient video`, which also draws, encodes and writes.

The second is what the server can do at most: its client neither decodes nor encodes. All share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from demo.film import Film, rendered, write_video
from poseclient import AsyncPoseClient
from poseclient.arguments import parser as client_parser
from poseclient.columns import columns
from poseclient.video.follow import encode_jpeg
from poseclient.video.frames import Selection
from poseclient.video.run import run
from poseclient.video.sources import Source, file_frames
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.server import scratch_server

STORY, SECONDS = "crossings", 2.0  # of rendered people, again and again
IN_FLIGHT = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.video", description=__doc__)
    parser.add_argument("--frames", type=int, default=200, help="of the video")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="poseserve-video-") as folder:
        path = Path(folder) / "video.mp4"
        frames = rendered(Film(STORY, seconds=SECONDS))
        write_video(path, list(itertools.islice(itertools.cycle(frames), arguments.frames)))
        with scratch_server(REPOSITORIES) as server:
            times = asyncio.run(measure(f"grpc://{server.grpc_url}", path, arguments.rounds))
    fastest = np.array(times["JPEGs in memory"])
    rows: list[tuple[str, ...]] = [("medians", "frames/s", "of the first")]
    for name, seconds in times.items():
        ratio = float(np.median(fastest / seconds))
        rows.append((name, f"{arguments.frames / float(np.median(seconds)):.1f}", f"{ratio:.2f}"))
    print(
        f"{arguments.frames} frames of {frames[0].image.shape[1]} x {frames[0].image.shape[0]}, {IN_FLIGHT} in flight"
    )
    print(columns(rows, left=1))
    return 0


async def measure(url: str, path: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds for all frames, by variant, in turns."""
    images = [encode_jpeg(frame.image) for frame in file_frames(Source(str(path), path.name), Selection())]
    async with AsyncPoseClient(url) as client:

        async def jpegs() -> None:
            waiting: Iterator[bytes] = iter(images)

            async def user() -> None:
                for image in waiting:
                    await client.pose(image)

            await asyncio.gather(*(user() for _ in range(IN_FLIGHT)))

        async def track() -> None:
            async for _ in client.track(path, window=IN_FLIGHT):
                pass

        async def command() -> None:
            options = ["--url", url, "--out", str(path.parent / "out"), "--overwrite", f"--concurrency={IN_FLIGHT}"]
            with redirect_stdout(sys.stderr):
                await run(client_parser().parse_args(["video", str(path), *options]))

        variants: dict[str, Callable[[], Awaitable[None]]] = {
            "JPEGs in memory": jpegs,
            "track": track,
            "poseclient video": command,
        }
        times: dict[str, list[float]] = {name: [] for name in variants}
        await jpegs()
        for _ in range(rounds):
            for name, variant in variants.items():
                start = time.perf_counter()
                await variant()
                times[name].append(time.perf_counter() - start)
        return times


if __name__ == "__main__":
    sys.exit(main())
