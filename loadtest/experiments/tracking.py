"""`python -m loadtest.experiments.tracking`: how well ids stay with people in rendered videos, and what N costs.

The frames of `demo.film` are sent one after another, once with the detector in every frame and once in every N-th. Both
take turns, N frames at a time. Then each tracker gives the people ids, and `trackers.eval` compares them with the
truth: HOTA (Luiten et al., IJCV 2021), IDF1 (Ristani et al., 2016) and MOTA (Bernardin and Stiefelhagen, 2008), by the
overlap of boxes (IoU) and by the similarity of keypoints (OKS).
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from trackers import eval as metrics

from demo.evaluate import ground_truth, keypoint_ap, server_at
from demo.film import STORIES, Film, Frame, rendered
from demo.scene import Person
from loadtest.scenarios import jpeg
from poseclient import People, PoseClient, PosedPeople
from poseclient.columns import columns
from poseclient.following import Following
from poseclient.keypoints import keypoint_set
from poseclient.tracking import TRACKERS, Tracker

Similarity = Callable[[Sequence[Person], People], NDArray[np.float64]]  # of true and found people, [t, n]
Scores = dict[str, dict[str, float]]  # HOTA, IDF1 and MOTA, by similarity

TRUE_IDS = "true ids"
OTHERS = 1000  # first id of people who are nobody
LEAST_ALIKE = 0.3  # OKS of a person who was found and the true one


@dataclass
class Answers:
    """Of the frames of one film: the people, and the seconds until all of them were there."""

    people: list[PosedPeople] = field(default_factory=list)
    seconds: float = 0.0


def ask(client: PoseClient, images: Sequence[bytes], size: tuple[int, int], answers: Answers) -> None:
    """Add the people of these images: the detector sees the first, their keypoints are followed in the others.

    size: height, width of the images.
    """
    start = time.perf_counter()
    people = replace(client.pose(images[0]), image_size=size)
    answers.people.append(people)
    following = Following(people)
    for image in images[1:]:
        people = following.take(client.pose_in_boxes(image, following.boxes))
        answers.people.append(people)
    answers.seconds += time.perf_counter() - start


def ask_in_turns(client: PoseClient, frames: Sequence[Frame], every: int) -> tuple[Answers, Answers]:
    """With the detector in each frame and in each `every`-th one."""
    images, (height, width, _) = [jpeg(frame.image) for frame in frames], frames[0].image.shape
    size = height, width
    always, seldom = Answers(), Answers()
    for first in range(0, len(images), every):
        group = images[first : first + every]
        for image in group:
            ask(client, [image], size, always)
        ask(client, group, size, seldom)
    return always, seldom


def with_ids(tracker: Tracker, frames: Sequence[Frame], people: Sequence[PosedPeople]) -> list[PosedPeople]:
    """The people of each frame to whom the tracker gives an id."""
    tracked = [tracker.track(found, frame.time) for frame, found in zip(frames, people, strict=True)]
    return [found[found.track_ids >= 0] for found in tracked if found.track_ids is not None]


def with_true_ids(frames: Sequence[Frame], people: Sequence[PosedPeople]) -> list[PosedPeople]:
    """The people of each frame with the ids of the true people they are most alike: the best that a tracker can do.

    Who is like nobody has an id of their own.
    """
    new, named = itertools.count(OTHERS), []
    for frame, found in zip(frames, people, strict=True):
        alike = oks(frame.people, found)
        ids = np.fromiter(new, np.int64, len(found))
        for true, row in zip(*linear_sum_assignment(-alike), strict=True):
            if alike[true, row] >= LEAST_ALIKE:
                ids[row] = frame.track_ids[true]
        named.append(replace(found, track_ids=ids))
    return named


def score(films: Sequence[Sequence[Frame]], people: Sequence[Sequence[People]]) -> Scores:
    """Of people with track ids in each frame of each film."""
    return {name: _score(films, people, similarity) for name, similarity in (("IoU", box_iou), ("OKS", oks))}


def _score(
    films: Sequence[Sequence[Frame]], people: Sequence[Sequence[People]], similarity: Similarity
) -> dict[str, float]:
    rows: list[tuple[Any, Any, Any]] = [
        (
            [frame.track_ids for frame in film],
            [p.track_ids for p in found],
            [similarity(frame.people, p) for frame, p in zip(film, found, strict=True)],
        )
        for film, found in zip(films, people, strict=True)
    ]
    hota: dict[str, Any] = metrics.aggregate_hota_metrics([metrics.compute_hota_metrics(*row) for row in rows])
    identity = metrics.aggregate_identity_metrics([metrics.compute_identity_metrics(*row) for row in rows])
    clear = metrics.aggregate_clear_metrics([metrics.compute_clear_metrics(*row) for row in rows])
    return {"HOTA": hota["HOTA"], "IDF1": identity["IDF1"], "MOTA": clear["MOTA"]}


def box_iou(true: Sequence[Person], found: People) -> NDArray[np.float64]:
    """Intersection over union of every true and found box, [t, n]."""
    boxes = np.array([person.box for person in true], np.float64).reshape(-1, 4)
    overlap: NDArray[np.float64] = metrics.box_iou(boxes, found.boxes.astype(np.float64))
    return overlap


def oks(true: Sequence[Person], found: People) -> NDArray[np.float64]:
    """Object keypoint similarity of every true and found person, [t, n], by the labelled keypoints, as COCO has it."""
    assert found.keypoints is not None
    similarity = np.zeros((len(true), len(found)))
    sigmas = np.array(keypoint_set("coco_17").oks_sigmas)
    for row, person in zip(similarity, true, strict=True):
        labelled = person.keypoints[:, 2] > 0
        apart = ((found.keypoints[:, labelled, :2] - person.keypoints[labelled, :2]) ** 2).sum(2)
        if labelled.any():
            row[:] = np.exp(-apart / (8 * sigmas[labelled] ** 2 * person.area)).mean(1)
    return similarity


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.tracking", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="of each film")
    parser.add_argument("--films", type=int, default=2, help="of each story")
    parser.add_argument("--every", type=int, default=5, help="N, frames from one detection to the next")
    parser.add_argument("--url", help="a running server; default: start one with the networks of the tree")
    args = parser.parse_args(argv)
    films = [rendered(Film(story, seed, args.seconds)) for seed in range(args.films) for story in STORIES]
    with server_at(args.url) as url, PoseClient(url) as client:
        turns = [ask_in_turns(client, film, args.every) for film in films]
    report(films, turns, args.every)
    return 0


def report(films: Sequence[list[Frame]], turns: Sequence[tuple[Answers, Answers]], every: int) -> None:
    """Print the tables."""
    frames = [frame for film in films for frame in film]
    print(f"\n{len(films)} films, {len(frames)} frames, {sum(len(f.people) for f in frames)} people in them")
    rows: list[tuple[str, ...]] = [("detector", "tracker", "HOTA", "IDF1", "MOTA", "OKS: HOTA", "IDF1", "MOTA")]
    modes = ("every frame", [a for a, _ in turns]), (f"every {every}", [s for _, s in turns])
    for mode, answers in modes:
        for name in (*TRACKERS, TRUE_IDS):
            tracked = [
                with_true_ids(film, a.people) if name == TRUE_IDS else with_ids(Tracker(name), film, a.people)
                for film, a in zip(films, answers, strict=True)
            ]
            figures = [f"{v:.3f}" for by in score(films, tracked).values() for v in by.values()]
            rows.append((mode, name, *figures))
    print(columns(rows, left=2))
    truth, seconds = ground_truth(frames), [sum(a.seconds for a in answers) for _, answers in modes]
    for (mode, answers), spent in zip(modes, seconds, strict=True):
        ap = keypoint_ap(truth, [p for a in answers for p in a.people], "coco_17")["keypoints"]
        print(f"detector {mode}: keypoint AP {ap:.4f}, {len(frames) / spent:.1f} frames/s, one in flight")
    print(f"ratio of the speeds: {seconds[0] / seconds[1]:.2f}")


if __name__ == "__main__":
    sys.exit(main())
