"""Videos of rendered people whose boxes, keypoints and track ids are known; deterministic from a story and a seed.

>>> film = Film("crossings", seed=1, seconds=2)
>>> film[0].image.shape, film[0].track_ids
((480, 640, 3), array([4, 3, 1]))

`python -m demo.film FOLDER` writes a video of each story, and who is where in it, as MOT text.

People walk on a ground seen by a pinhole camera; lengths on it are in body heights. Each is rendered as in a scene, so
that what is known of them is exact.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from demo.backgrounds import background, foreground
from demo.body import build_body
from demo.pose import Pose
from demo.scene import Person, Placed, drop_shadow, ground_truth, paint, place, random_light, visible_pixels

FPS = 25
FOCAL = 1.4  # of the camera, in heights of the image
CAMERA = 1.05  # body heights above the ground
HORIZON = 0.28  # of the image's height, from its top
STRIDE = 0.88  # body heights of two steps
LOOK_AHEAD = 0.3  # seconds before and after, between which a person's velocity is taken
LEAST_VISIBLE = 0.5  # of a person's silhouette, for them to count as being in a frame
LEAST_INSIDE = 0.05  # of a person's extent, for them to be rendered


@dataclass(frozen=True)
class Frame:
    """time: seconds. image: u8 [h, w, 3] RGB. people: farthest first. track_ids: i64 [n], from 1, of the same rows.

    A person of whom less than LEAST_VISIBLE is seen is not among the people.
    """

    time: float
    image: NDArray[np.uint8]
    people: list[Person]
    track_ids: NDArray[np.int64]


@dataclass(frozen=True)
class Actor:
    """looks: seed of the body. path: f64 [m, 3] of seconds, X to the right of the camera's axis, Z away from it."""

    looks: int
    path: NDArray[np.float64]

    def place(self, time: float) -> NDArray[np.float64]:
        """X, Z."""
        seconds, x, z = self.path.T
        return np.array([np.interp(time, seconds, x), np.interp(time, seconds, z)])

    def velocity(self, time: float) -> NDArray[np.float64]:
        """Of X and Z per second; it turns smoothly where the path has a corner."""
        before, after = self.place(time - LOOK_AHEAD), self.place(time + LOOK_AHEAD)
        velocity: NDArray[np.float64] = (after - before) / (2 * LOOK_AHEAD)
        return velocity

    def walked(self, time: float) -> float:
        """Body heights since the path began."""
        seconds, places = self.path[:, 0], self.path[:, 1:]
        lengths = np.linalg.norm(np.diff(places, axis=0), axis=1).cumsum()
        return float(np.interp(time, seconds, np.concatenate([[0.0], lengths])))

    def pose(self, time: float) -> Pose:
        """Walking towards where the path leads; who stands faces the camera and waves."""
        x, z = self.velocity(time)
        speed = float(np.hypot(x, z))
        turn = float(np.degrees(np.arctan2(x, 0.1 - z)))
        return walking(2 * np.pi * self.walked(time) / STRIDE, min(1.0, speed / 0.7), turn, time + self.looks)


def walking(phase: float, vigour: float, turn: float, time: float) -> Pose:
    """The pose at a phase (radians, 2 pi for two steps) of a walk of some vigour, 0 (standing and waving) to 1.

    turn: degrees from facing the camera towards the image's right. time: seconds, of the waving.
    """
    swing, forward = float(np.sin(phase)), float(np.cos(phase))
    wave = (1 - vigour) * (1 + float(np.sin(2 * np.pi * 0.5 * time)))
    return Pose(
        turn=turn,
        lean=2 + 4 * vigour,
        twist=6 * vigour * swing,
        arm_raise=[10 + 50 * wave, 10],
        arm_forward=[-24 * vigour * swing, 24 * vigour * swing],
        elbow=[15 + 15 * vigour + 20 * wave, 15 + 15 * vigour],
        leg_forward=[26 * vigour * swing, -26 * vigour * swing],
        knee=[5 + 42 * vigour * max(0.0, forward), 5 + 42 * vigour * max(0.0, -forward)],
    )


class Film:
    """The frames of a story by index, in any order; a process that has a film need not share it with others.

    story: one of STORIES. size: height, width.
    """

    def __init__(self, story: str, seed: int = 0, seconds: float = 8, size: tuple[int, int] = (480, 640)) -> None:
        self.seed, self.size, self.count = seed, size, round(seconds * FPS)
        rng = np.random.default_rng([seed, sorted(STORIES).index(story)])
        self.actors, reach = STORIES[story](rng, seconds, size[1] / size[0] / FOCAL)
        self.margin = round(reach * size[1])  # pixels by which the camera pans to either side
        wide = size[0], size[1] + 2 * self.margin
        self.behind, (self.things, self.before) = background(rng, wide), foreground(rng, wide)
        self.light, self.shadow = random_light(rng), rng.uniform(0.1, 0.5)
        self.gamma, self.noise = rng.uniform(0.8, 1.25), rng.uniform(0.002, 0.015)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    def pan(self, time: float) -> int:
        """By how many pixels the camera looks to the right; whole ones, so that nothing is interpolated."""
        return round(self.margin * float(np.sin(2 * np.pi * time / 6)))

    def __getitem__(self, index: int) -> Frame:
        if not 0 <= index < self.count:
            raise IndexError(f"frame {index} of {self.count}")
        time, w = index / FPS, self.size[1]
        pan = self.pan(time)
        window = slice(None), slice(self.margin + pan, self.margin + pan + w)
        canvas, before = self.behind[window].copy(), self.before[window]
        rows = [(actor.place(time)[1], i, actor) for i, actor in enumerate(self.actors, 1)]
        placed = [(i, p) for _, i, actor in sorted(rows)[::-1] if (p := self._placed(actor, time, pan)) is not None]
        for _, p in placed:
            drop_shadow(canvas, p, self.shadow)
            paint(canvas, p, self.light)
        canvas[before] = self.things[window][before]
        grain = np.random.default_rng([self.seed, index]).normal(0, self.noise, canvas.shape)
        image = ((np.clip(canvas, 0, 1) ** self.gamma + grain).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        seen = visible_pixels([p for _, p in placed], before)
        people = {
            i: ground_truth(p, visible, self.size)
            for (i, p), visible in zip(placed, seen, strict=True)
            if visible.sum() * p.inside >= LEAST_VISIBLE * p.silhouette.sum() > 0
        }
        return Frame(time, image, list(people.values()), np.array(list(people), np.int64))

    def _placed(self, actor: Actor, time: float, pan: int) -> Placed | None:
        """The actor in the image, the lower foot on the ground; None when too little of them is in the image."""
        h, w = self.size
        x, z = actor.place(time)
        body = build_body(np.random.default_rng(actor.looks), actor.pose(time))
        scale, lowest = FOCAL * h / z, float(np.nanmax(body.joints[:, 1]))
        return place(
            body, scale, w / 2 + scale * x - pan, HORIZON * h + scale * (CAMERA - lowest), self.size, LEAST_INSIDE
        )


Story = Callable[[np.random.Generator, float, float], tuple[list[Actor], float]]
PLACES = 40  # between which an actor may walk; enough for a minute


def _walker(
    rng: np.random.Generator, seconds: float, places: NDArray[np.float64], z: float, deep: float = 0.6
) -> Actor:
    """Walks from each of the `places` (X, f64 [PLACES]) to the next, nearer than `z` and farther away by turns."""
    speed, path = rng.uniform(0.6, 1.0), [(0.0, float(places[0]), z + deep)]
    for k, x in enumerate(places[1:].tolist()):
        if path[-1][0] < seconds + LOOK_AHEAD:
            place = x, z + (deep if k % 2 else -deep)
            path.append((path[-1][0] + max(0.5, float(np.hypot(*np.subtract(place, path[-1][1:]))) / speed), *place))
    return Actor(int(rng.integers(2**31)), np.array(path))


def _crossings(rng: np.random.Generator, seconds: float, width: float) -> tuple[list[Actor], float]:
    """Four people walk to and fro past each other; all stay in the picture."""
    actors = []
    for i in range(4):
        z = 3.2 + 0.4 * i
        side = np.where(np.arange(PLACES) % 2 == i % 2, 1, -1)
        places = side * rng.uniform(0.25, 0.4, PLACES) * width * z
        places[0] *= rng.uniform(-1, 1)  # not all are in the middle at once
        actors.append(_walker(rng, seconds, places, z))
    return actors, 0.0


def _returning(rng: np.random.Generator, seconds: float, width: float) -> tuple[list[Actor], float]:
    """Two people stay in the picture; two leave it, for a moment or for seconds, and come back."""
    actors = []
    for i in range(4):
        z = 3.2 + 0.4 * i
        side = 1 if i % 2 else -1
        inside = rng.uniform(-0.3, 0.3, PLACES) * width * z
        outside = side * (rng.uniform(0.5, 0.6, PLACES) * width * z + 0.25)
        leaves = (np.arange(PLACES) % 2 == 1) & (i in (0, 3))
        actors.append(_walker(rng, seconds, np.where(leaves, outside, inside), z))
    return actors, 0.0


def _camera(rng: np.random.Generator, seconds: float, width: float) -> tuple[list[Actor], float]:
    """The camera pans to and fro over three people who stand and two who walk."""
    actors = []
    for i in range(5):
        z = 2.6 + 0.5 * i
        if i % 2:
            actors.append(_walker(rng, seconds, rng.uniform(-0.5, 0.5, PLACES) * width * z, z))
        else:
            actors.append(_walker(rng, seconds, np.full(PLACES, (i - 2) / 6 * width * z), z, deep=0))
    return actors, 0.15


# Who is in a film: by a random generator, the seconds that it lasts, and the width of the picture at a distance of 1.
# With it how far the camera pans to either side, as a share of the picture's width.
STORIES: dict[str, Story] = {"camera": _camera, "crossings": _crossings, "returning": _returning}


def rendered(film: Film) -> list[Frame]:
    """All frames, rendered on all cores."""
    # Not forked: a copy of a process whose threads hold locks may wait for them for ever.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return list(tqdm(pool.map(film.__getitem__, range(len(film)), chunksize=4), "rendering", len(film)))


def mot_lines(frames: Sequence[Frame]) -> list[str]:
    """Who is where, as MOT Challenge has it: frame and id from 1, left, top, width, height, three times 1."""
    return [
        f"{number},{track},{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g},1,1,1"
        for number, frame in enumerate(frames, 1)
        for track, person in zip(frame.track_ids, frame.people, strict=True)
        for x1, y1, x2, y2 in [person.box.tolist()]
    ]


def write_video(path: Path, frames: Sequence[Frame]) -> None:
    """The frames as H.264."""
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", FPS, options={"crf": "16"})
        stream.height, stream.width = frames[0].image.shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, "rgb24")))
        video.mux(stream.encode())


def main() -> None:
    """Render the films and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for story in STORIES:
        frames = rendered(Film(story, args.seed, args.seconds))
        write_video(args.folder / f"{story}.mp4", frames)
        (args.folder / f"{story}.txt").write_text("\n".join(mot_lines(frames)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
