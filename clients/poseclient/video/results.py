"""Files of the people of a video, one format each: they grow as frames come, and appear when they are whole."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from poseclient import formats
from poseclient.errors import MissingExtraError
from poseclient.files import whole_file
from poseclient.keypoints import KeypointSet
from poseclient.video.follow import TrackedFrame

ROWS = 65_536  # of a row group of Parquet: what is in memory
COLUMNS = "source", "frame", "time", "id", "keypoint", "x", "y", "score"

Add = Callable[[TrackedFrame], None]


@dataclass(frozen=True)
class About:
    """What a file says of its video: the name of the source, and the keypoints that the network has."""

    source: str
    keypoints: KeypointSet


@dataclass(frozen=True)
class ResultFormat:
    """A format: the ending of its file, and how it is written, frame by frame, between the start and the end."""

    ending: str
    write: Callable[[Path, About], AbstractContextManager[Add]]


@contextmanager
def write_easy_vitpose(path: Path, about: About) -> Iterator[Add]:
    """easy_ViTPose's JSON: `keypoints`, for each frame person id -> [K][y, x, score], and `skeleton`, their names."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"keypoints": [')
        yield _separated(file, lambda result: [formats.easy_vitpose_frame(result.people)])
        file.write(f'], "skeleton": {json.dumps(formats.easy_vitpose_skeleton(about.keypoints))}}}')


@contextmanager
def write_coco(path: Path, _: About) -> Iterator[Add]:
    """COCO's results; image_id is the number of the frame."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        yield _separated(file, lambda result: formats.coco_results(result.people, result.index))
        file.write("]")


@contextmanager
def write_posetrack(path: Path, about: About) -> Iterator[Add]:
    """PoseTrack18's JSON: `annotations` with track ids, `images`, `categories`. Ids of images are numbers of frames."""
    with path.open("w", encoding="utf-8") as file, tempfile.TemporaryFile("w+", encoding="utf-8") as images:
        count = 0

        def annotations(result: TrackedFrame) -> list[dict[str, Any]]:
            nonlocal count
            rows = formats.posetrack_annotations(result.people, result.index, count)
            count += len(rows)
            return rows

        def image(result: TrackedFrame) -> list[dict[str, Any]]:
            height, width = result.image.shape[:2]
            name = {"file_name": f"{about.source}#{result.index}", "vid_id": about.source}
            return [{"id": result.index, "frame_id": result.index, **name, "height": height, "width": width}]

        add_annotations, add_image = _separated(file, annotations), _separated(images, image)

        def add(result: TrackedFrame) -> None:
            add_annotations(result)
            add_image(result)

        file.write('{"annotations": [')
        yield add
        file.write('], "images": [')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(f'], "categories": {json.dumps([formats.coco_person(about.keypoints)])}}}')


@contextmanager
def write_mot(path: Path, _: About) -> Iterator[Add]:
    """MOTChallenge's text; frames count from 1."""
    with path.open("w", encoding="utf-8") as file:

        def add(result: TrackedFrame) -> None:
            file.writelines(f"{line}\n" for line in formats.mot_lines(result.people, result.index + 1))

        yield add


@contextmanager
def write_csv(path: Path, about: About) -> Iterator[Add]:
    """A table with COLUMNS, a row for each keypoint of each person of each frame."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)

        def add(result: TrackedFrame) -> None:
            columns = formats.keypoint_columns(result.people)
            names = [about.keypoints.names[k] for k in columns["keypoint"]]
            numbers = (np.round(columns[name].astype(float), 4).tolist() for name in ("x", "y", "score"))
            head = (about.source, result.index, round(result.time, 6))
            rows = zip(columns["id"].tolist(), names, *numbers, strict=True)
            writer.writerows((*head, *row) for row in rows)

        yield add


@contextmanager
def write_parquet(path: Path, about: About) -> Iterator[Add]:
    """The table of `write_csv` as Parquet, a row group at a time. MissingExtraError without pyarrow."""
    arrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    words = arrow.dictionary(arrow.int32(), arrow.string())
    kinds = words, arrow.int64(), arrow.float64(), arrow.int64(), words, *3 * (arrow.float32(),)
    schema = arrow.schema(list(zip(COLUMNS, kinds, strict=True)))
    dictionaries = {"source": [about.source], "keypoint": about.keypoints.names}
    waiting: list[dict[str, Any]] = []
    with parquet.ParquetWriter(path, schema) as writer:

        def write() -> None:
            if not waiting:
                return
            columns = {name: np.concatenate([each[name] for each in waiting]) for name in COLUMNS}
            for name, values in dictionaries.items():
                columns[name] = arrow.DictionaryArray.from_arrays(columns[name].astype(np.int32), values)
            writer.write_table(arrow.table([columns[name] for name in COLUMNS], schema=schema))
            waiting.clear()

        def add(result: TrackedFrame) -> None:
            columns = formats.keypoint_columns(result.people)
            if not (count := len(columns["id"])):
                return
            fixed = {"source": 0, "frame": result.index, "time": result.time}
            waiting.append(columns | {name: np.full(count, value) for name, value in fixed.items()})
            if sum(len(each["id"]) for each in waiting) >= ROWS:
                write()

        yield add
        write()


RESULT_FORMATS: Mapping[str, ResultFormat] = {
    "csv": ResultFormat(".csv", write_csv),
    "easy_vitpose": ResultFormat(".json", write_easy_vitpose),
    "coco": ResultFormat("_results.json", write_coco),
    "posetrack": ResultFormat("_posetrack.json", write_posetrack),
    "mot": ResultFormat(".txt", write_mot),
    "parquet": ResultFormat(".parquet", write_parquet),
}


@contextmanager
def write_results(stem: Path, names: list[str], about: About) -> Iterator[Add]:
    """Write a video's people in several formats: `add` takes each frame. The files are `<stem><ending>`.

    They appear at the end, unless something was raised.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        adds = []
        for each in (RESULT_FORMATS[name] for name in names):
            part = stack.enter_context(whole_file(stem.with_name(stem.name + each.ending)))
            adds.append(stack.enter_context(each.write(part, about)))

        def add(result: TrackedFrame) -> None:
            for each in adds:
                each(result)

        yield add


def _separated(file: IO[str], values: Callable[[TrackedFrame], list[Any]]) -> Add:
    """Writes JSON values of each frame, with commas between them."""
    is_first = True

    def add(result: TrackedFrame) -> None:
        nonlocal is_first
        for value in values(result):
            file.write(("\n" if is_first else ",\n") + json.dumps(value))
            is_first = False

    return add


def _pyarrow(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'poseclient[parquet]'") from error
