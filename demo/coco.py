"""Rendered scenes that training never saw as a folder in COCO's format: `python -m demo.coco FOLDER`.

It is what `poseclient evaluate` takes: `images/*.jpg`, `person_keypoints.json`, and `masks/*.png` of class ids.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from demo.evaluate import evaluation_scenes, ground_truth
from demo.scene import Scene
from poseclient.images import write_image


def write_dataset(folder: Path, scenes: Sequence[tuple[bytes, Scene]]) -> None:
    """Write scenes, each the JPEG for the server and its ground truth; image, mask and annotations share a number."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for i, (jpeg, scene) in enumerate(scenes, 1):
        (folder / "images" / f"{i}.jpg").write_bytes(jpeg)
        write_image(folder / "masks" / f"{i}.png", scene.parts)
    annotations = json.dumps(ground_truth([scene for _, scene in scenes]))
    (folder / "person_keypoints.json").write_text(annotations, encoding="utf-8")


def main() -> None:
    """Render the scenes and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder that is not there yet")
    parser.add_argument("--scenes", type=int, default=300)
    args = parser.parse_args()
    write_dataset(args.folder, evaluation_scenes(args.scenes))


if __name__ == "__main__":
    main()
