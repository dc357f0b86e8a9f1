"""`make demo`: start a server, send it an image, print the people found.

Without an image it renders one. Writes images of the people and of their parts, and the keypoints as JSON, to `out/`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import tritonclient.grpc

from demo.scene import render_scene
from poseclient import PoseClient, draw_parts, draw_people
from poseclient.draw import parts_legend
from poseclient.formats import coco_results
from poseclient.images import read_image, write_image
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.dry_run import dry_run
from poseserve.serving.server import scratch_server

SEED, SIZE, PEOPLE = 39, (720, 1280), 6


def write_scene(path: Path) -> None:
    """Render the scene of the demo and write it as an image, in the format that the name of the file says."""
    scene = render_scene(SEED, SIZE, PEOPLE)
    cv2.imwrite(str(path), scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def step_times(grpc_url: str) -> dict[str, tuple[int, float]]:
    """Per model: executions so far, and the milliseconds spent in them and in their queues."""
    client = tritonclient.grpc.InferenceServerClient(grpc_url)
    statistics = client.get_inference_statistics().model_stats
    client.close()
    return {
        m.name: (m.execution_count, (m.inference_stats.queue.ns + m.inference_stats.success.ns) / 1e6)
        for m in statistics
    }


def main() -> None:
    """Start a server, send it the image, print the people found and write the images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", nargs="?", type=Path, help="the demo networks were trained on rendered people only")
    parser.add_argument("--out", type=Path, default=Path("out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.image or args.out / "scene.jpg"
    if args.image is None:
        write_scene(path)

    print("starting Triton ...", flush=True)
    with scratch_server(REPOSITORIES) as server:
        dry_run(server.grpc_url)
        with PoseClient(f"grpc://{server.grpc_url}") as client:
            before = step_times(server.grpc_url)
            people = client.pose(path)
            mask = client.parts(path)
            after = step_times(server.grpc_url)
            classes = client.class_set()

    image = read_image(path)
    overlay, parts = args.out / "people.jpg", args.out / "parts.jpg"
    write_image(overlay, draw_people(image, people))
    write_image(parts, np.hstack([draw_parts(image, mask, classes), parts_legend(mask, classes)]))
    (args.out / "people.json").write_text(json.dumps(coco_results(people, image_id=1), indent=1), encoding="utf-8")

    print(f"\n{len(people)} people in {path}")
    for i, (box, score) in enumerate(zip(people.boxes, people.scores, strict=True), 1):
        seen = int((people.keypoints[i - 1, :, 2] > 0.3).sum())
        corners = " ".join(f"{v:6.1f}" for v in box)
        print(f"  {i:2d}  score {score:.2f}  box {corners}  {seen} of {people.keypoints.shape[1]} keypoints")
    names = [classes.names[i] for i in sorted(set(mask.ravel().tolist())) if i]
    print(f"parts: {', '.join(names)}\n\nmilliseconds in each step (first real request; the ensembles hold the others)")
    for name, (count, spent) in after.items():
        executions = count - before[name][0]
        if executions:
            print(f"  {name:15s} {spent - before[name][1]:7.1f}")
    print(f"\nwritten: {overlay}, {parts}, {args.out / 'people.json'}")


if __name__ == "__main__":
    main()
