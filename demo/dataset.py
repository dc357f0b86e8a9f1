"""Training scenes on disk: shards of letterboxed images, their maps and people.

`python -m demo.dataset --scenes 4000` renders what is not there yet; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from demo.body import KEYPOINTS
from demo.scene import render_scene

FOLDER = Path(__file__).parent / ".cache" / "scenes"
SIDE = 640  # the detector's input; every training scene has this longer side
SHARD = 100
SIZES = ((480, 640), (640, 480), (640, 640), (427, 640), (360, 640), (640, 427))
TRAIN_SEED, EVALUATION_SEED = 1_000_000, 0


@dataclass(frozen=True)
class Shard:
    """images: u8 [n, 640, 640, 3], padded with 114 right and below. parts: u8 [n, 640, 640], padded with 0.

    depth: f16 [n, 640, 640], NaN without people. normals: i8 [n, 640, 640, 3] in 127ths, 0 without people.
    sizes: i32 [n, 2] height, width. people: f32 [m, 1 + 4 + 399]: scene index, box, 133 keypoints x, y, visibility.
    """

    images: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    depth: NDArray[np.float16]
    normals: NDArray[np.int8]
    sizes: NDArray[np.int32]
    people: NDArray[np.float32]


def render_shard(index: int, folder: Path = FOLDER) -> None:
    """Render the SHARD scenes of shard `index` and write one .npy file for each field of `Shard` to `folder`."""
    cv2.setNumThreads(1)
    images = np.full((SHARD, SIDE, SIDE, 3), 114, np.uint8)
    parts = np.zeros((SHARD, SIDE, SIDE), np.uint8)
    depth = np.full((SHARD, SIDE, SIDE), np.nan, np.float16)
    normals = np.zeros((SHARD, SIDE, SIDE, 3), np.int8)
    sizes, people = np.zeros((SHARD, 2), np.int32), []
    for i in range(SHARD):
        seed = TRAIN_SEED + index * SHARD + i
        h, w = sizes[i] = SIZES[seed % len(SIZES)]
        scene = render_scene(seed, (int(h), int(w)))
        images[i, :h, :w], parts[i, :h, :w], depth[i, :h, :w] = scene.image, scene.parts, scene.depth
        normals[i, :h, :w] = np.rint(np.nan_to_num(scene.normals) * 127)
        people += [np.concatenate([[i], p.box, p.whole_body.ravel()]) for p in scene.people]
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {
        "images": images,
        "parts": parts,
        "depth": depth,
        "normals": normals,
        "sizes": sizes,
    }
    for name, array in arrays.items():
        np.save(folder / f"{index:04d}.{name}.npy", array)
    unfinished = folder / f"{index:04d}.people.tmp.npy"
    np.save(unfinished, np.array(people, np.float32).reshape(-1, 1 + 4 + 3 * KEYPOINTS))
    os.replace(unfinished, folder / f"{index:04d}.people.npy")  # written last: marks the shard as complete


def load_shards(folder: Path = FOLDER) -> list[Shard]:
    """All complete shards, memory-mapped. Raises FileNotFoundError if there are none."""
    stems = sorted(p.name.split(".")[0] for p in folder.glob("????.people.npy"))
    if not stems:
        raise FileNotFoundError(f"no scenes in {folder}: run `python -m demo.dataset` first")
    names = [field.name for field in fields(Shard)]
    return [Shard(*(np.load(folder / f"{s}.{n}.npy", mmap_mode="r") for n in names)) for s in stems]


def main() -> None:
    """Render the shards that are missing, several at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    missing = [i for i in range(-(-args.scenes // SHARD)) if not (FOLDER / f"{i:04d}.people.npy").exists()]
    with ProcessPoolExecutor(args.jobs) as pool:
        for done in tqdm(as_completed(pool.submit(render_shard, i) for i in missing), total=len(missing), unit="shard"):
            done.result()


if __name__ == "__main__":
    main()
