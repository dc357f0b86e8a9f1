"""`make demo`: start a server, send it an image, print the people found.

The image is a photograph: one of an astronaut, or the user's own. Where the networks for photographs cannot be fetched,
it is a rendered scene, for which the networks of the tree are enough. Writes pictures of the people, and for a rendered
scene of their parts, and the keypoints as JSON, to `out/`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tritonclient.grpc

from demo.photograph import fetch_astronaut
from demo.scene import render_scene
from poseclient import PoseClient, PosedPeople, draw_parts, draw_people
from poseclient.draw import parts_legend
from poseclient.formats import coco_results
from poseclient.images import read_image, write_image
from poseserve.errors import FetchError
from poseserve.recipes import recipe
from poseserve.repository import install
from poseserve.repository.folders import REPOSITORIES
from poseserve.repository.installed import Installed, Repository
from poseserve.serving.dry_run import dry_run
from poseserve.serving.server import scratch_server
from poseserve.weights.official import official_weights

SEED, SIZE, PEOPLE = 39, (720, 1280), 6
RECIPE = "light"


def write_scene(path: Path) -> None:
    """Render the scene of the demo and write it as an image, in the format that the name of the file says."""
    scene = render_scene(SEED, SIZE, PEOPLE)
    cv2.imwrite(str(path), scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def install_photograph_networks(root: Path) -> Sequence[Path]:
    """The repositories of a server for photographs, made below `root`. Raises FetchError."""
    networks = recipe(RECIPE).networks
    checkpoints = official_weights(networks, licence_accepted=True)  # any use with notice; it prints their licences
    print(f"installing recipe {RECIPE} ...", flush=True)
    additions = list(zip(map(Installed, networks), checkpoints, strict=True))
    return install.add_all(Repository(root), additions, as_defaults=True).folders


def step_times(grpc_url: str) -> dict[str, tuple[int, float]]:
    """Per model: executions so far, and the milliseconds spent in them and in their queues."""
    client = tritonclient.grpc.InferenceServerClient(grpc_url)
    statistics = client.get_inference_statistics().model_stats
    client.close()
    return {
        m.name: (m.execution_count, (m.inference_stats.queue.ns + m.inference_stats.success.ns) / 1e6)
        for m in statistics
    }


def show(repositories: Sequence[Path], path: Path, out: Path, with_parts: bool) -> None:
    """Serve the repositories, send them the image, print the people found and write the pictures."""
    print("starting Triton ...", flush=True)
    with scratch_server(repositories) as server:
        dry_run(server.grpc_url)
        with PoseClient(f"grpc://{server.grpc_url}") as client:
            before = step_times(server.grpc_url)
            people = client.pose(path)
            mask, classes = (client.parts(path), client.class_set()) if with_parts else (None, None)
            after = step_times(server.grpc_url)

    image = read_image(path)
    written = [out / "people.jpg", out / "people.json"]
    write_image(written[0], draw_people(image, people))
    written[1].write_text(json.dumps(coco_results(people, image_id=1), indent=1), encoding="utf-8")
    _print_people(people, path)
    if mask is not None and classes is not None:
        written.append(out / "parts.jpg")
        write_image(written[-1], np.hstack([draw_parts(image, mask, classes), parts_legend(mask, classes)]))
        print(f"parts: {', '.join(classes.names[i] for i in sorted(set(mask.ravel().tolist())) if i)}")
    print("\nmilliseconds in each step (first real request; the ensembles hold the others)")
    for name, (count, spent) in after.items():
        if count > before[name][0]:
            print(f"  {name:15s} {spent - before[name][1]:7.1f}")
    print(f"\nwritten: {', '.join(map(str, written))}")


def _print_people(people: PosedPeople, path: Path) -> None:
    print(f"\n{len(people)} {'person' if len(people) == 1 else 'people'} in {path}")
    for i, (box, score) in enumerate(zip(people.boxes, people.scores, strict=True), 1):
        seen = int((people.keypoints[i - 1, :, 2] > 0.3).sum())
        corners = " ".join(f"{v:6.1f}" for v in box)
        print(f"  {i:2d}  score {score:.2f}  box {corners}  {seen} of {people.keypoints.shape[1]} keypoints")


def main() -> None:
    """Choose networks and image by what can be fetched, and show them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", nargs="?", type=Path, help="a photograph of your own")
    parser.add_argument("--out", type=Path, default=Path("out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "image.jpg"
    with tempfile.TemporaryDirectory() as root:
        try:
            repositories = install_photograph_networks(Path(root))
            if args.photo is None:
                write_image(path, read_image(fetch_astronaut()))
        except FetchError as error:
            if args.photo is not None:
                parser.exit(1, f"the networks for photographs are missing: {error}\n")
            print(f"a rendered scene instead of a photograph: {error}")
            repositories = REPOSITORIES
            write_scene(path)
        show(repositories, args.photo or path, args.out, with_parts=repositories is REPOSITORIES)


if __name__ == "__main__":
    main()
