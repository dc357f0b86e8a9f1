"""The ensembles that clients call, each a list of steps: every task brings its own, and equal steps run once.

Triton runs only the steps that the outputs need which a request asks for: an ensemble may offer more than most want.
But no output may be the input of a step: when nobody asks for what that step gives, Triton 2.51 drops both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from poseserve.catalogue import TASKS, Network
from poseserve.repository import tensors as t
from poseserve.repository.installed import Installed, Repository
from poseserve.repository.tensors import Tensor


@dataclass(frozen=True)
class Step:
    """A tensor is "name in the model=name in the ensemble", or one name for both."""

    model: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]


@dataclass(frozen=True)
class Ensemble:
    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    steps: list[Step]
    parameters: dict[str, str] = field(default_factory=dict)


def merged(steps: list[Step], outputs: list[Tensor]) -> list[Step]:
    """Steps of the same model on the same inputs as one that gives what all of them give, as far as anything takes it:
    Triton refuses a tensor that is of no use."""
    useful = {name for name, _, _ in outputs} | {outside(tensor) for step in steps for tensor in step.takes}
    gives: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for step in steps:
        kept = (tensor for tensor in step.gives if outside(tensor) in useful)
        gives.setdefault((step.model, step.takes), {}).update(dict.fromkeys(kept))
    return [Step(model, takes, tuple(given)) for (model, takes), given in gives.items()]


def inside(tensor: str) -> str:
    """The name that the model of a step gives a tensor."""
    return tensor.split("=")[0]


def outside(tensor: str) -> str:
    """The name that the ensemble gives it."""
    return tensor.split("=")[-1]


DECODE_BOXES = ("PIXELS", "LETTERBOX", "SCALE")
IN_DETECTIONS = ("PIXELS", "DETECTIONS", "SCALE")
IN_BOXES, IN_IMAGE = ("PIXELS", "BOXES"), ("PIXELS",)


def _detected(detector: Network) -> list[Step]:
    return [
        Step("decode_image", ("IMAGE",), DECODE_BOXES),
        Step(detector.name, ("INPUT__0=LETTERBOX",), ("OUTPUT__0=DETECTIONS",)),
    ]


def _keypoints(pose: Network, people: tuple[str, ...]) -> list[Step]:
    """people: the inputs of `crop_people` that say who is in the image."""
    crops, regions = t.crops(pose.input_size)[0], t.regions(pose.input_size)[0]
    boxes = "BOXES" if people == IN_BOXES else "CANDIDATES"
    given = (crops, regions, "SCORES=CANDIDATE_SCORES")
    return [
        Step("crop_people", people, given if people == IN_BOXES else (*given, "BOXES=CANDIDATES")),
        Step(pose.name, (f"INPUT__0={crops}", f"INPUT__1={regions}"), ("OUTPUT__0=POSES",)),
        Step(
            "collect_people",
            (f"BOXES={boxes}", "SCORES=CANDIDATE_SCORES", f"REGIONS={regions}", "POSES"),
            ("KEYPOINTS", "POSE_SCORES", "KEPT_INDICES", *(() if people == IN_BOXES else ("BOXES", "SCORES"))),
        ),
    ]


def _masks_of_people(detector: Network, parts: Network, kept: tuple[str, ...] = ()) -> list[Step]:
    """kept: `KEPT_INDICES`, where the pose network has a say in who is there."""
    crops, regions = t.crops(parts.input_size)[0], t.regions(parts.input_size)[0]
    return [
        *_detected(detector),
        Step("decode_image", ("IMAGE",), ("SIZE",)),
        Step("crop_people", IN_DETECTIONS, (crops, regions)),
        Step(parts.name, (f"INPUT__0={crops}",), ("OUTPUT__0=PARTS",)),
        Step("paste_masks", ("PARTS", f"REGIONS={regions}", "SIZE", *kept), ("MASK", "MASK_PNG", "INSTANCE_IDS")),
    ]


def _of_image(network: Network, output: str) -> list[Step]:
    """A network that sees the whole image."""
    image = t.fitted(network.input_size, network.fit)[0][0]
    return [
        Step("decode_image", ("IMAGE",), ("PIXELS", "SIZE")),
        Step("resize_image", ("PIXELS",), (image,)),
        Step(network.name, (f"INPUT__0={image}",), (f"OUTPUT__0={output}",)),
    ]


def _mask(detector: Network, parts: Network, kept: tuple[str, ...] = ()) -> list[Step]:
    """The mask of the whole image, in the way in which the network was trained."""
    if parts.view == "person":
        return _masks_of_people(detector, parts, kept)
    regions = t.regions(parts.input_size)[0]
    return [
        *_of_image(parts, "PARTS"),
        Step("resize_image", ("PIXELS",), (regions,)),
        Step("paste_masks", ("PARTS", f"REGIONS={regions}", "SIZE"), ("MASK", "MASK_PNG")),
    ]


def _masks(parts: Network, of_people: bool) -> list[Tensor]:
    return [t.MASK, t.MASK_PNG, *([t.INSTANCE_IDS] if of_people else [])]


def detector_ensembles(detector: Network, suffix: str = "") -> list[Ensemble]:
    """Nobody is cut out: of the image `crop_people` gets the size alone."""
    size = Step("decode_image", ("IMAGE",), ("SIZE",))
    people = Step("crop_people", ("SIZE", "DETECTIONS", "SCALE"), ("BOXES", "SCORES", "PEOPLE_FOUND"))
    steps = [*_detected(detector), size, people]
    return [Ensemble(f"detect{suffix}", [t.IMAGE], [t.BOXES, t.SCORES, t.PEOPLE_FOUND], steps)]


def _pose(pose: Installed) -> tuple[list[Tensor], dict[str, str]]:
    """The outputs that tell of keypoints, and what explains them to clients."""
    network = pose.network
    labels = {"keypoint_set": str(network.labels)}
    if pose.keypoint_table is not None:
        labels["keypoint_table"] = json.dumps(pose.keypoint_table)
    return [("KEYPOINTS", "FP32", [-1, network.outputs, 3]), t.POSE_SCORES], labels


def pose_ensembles(detector: Network, pose: Installed, suffix: str = "") -> list[Ensemble]:
    """With the detector, in boxes of the client's, and in the whole image as one box."""
    keypoints, labels = _pose(pose)
    decode = Step("decode_image", ("IMAGE",), ("PIXELS",))
    count = Step("crop_people", IN_DETECTIONS, ("PEOPLE_FOUND",))
    detected = [*_detected(detector), count, *_keypoints(pose.network, IN_DETECTIONS)]
    in_boxes, in_image = ([decode, *_keypoints(pose.network, people)] for people in (IN_BOXES, IN_IMAGE))
    found = [t.BOXES, t.SCORES, *keypoints, t.PEOPLE_FOUND]
    return [
        Ensemble(f"pose{suffix}", [t.IMAGE], found, detected, labels),
        Ensemble(f"pose_in_boxes{suffix}", [t.IMAGE, t.BOXES], [*keypoints, t.KEPT_INDICES], in_boxes, labels),
        Ensemble(f"pose_of_image{suffix}", [t.IMAGE], [t.BOXES, t.SCORES, *keypoints], in_image, labels),
    ]


def parts_ensembles(detector: Network, parts: Network, suffix: str = "") -> list[Ensemble]:
    """`parts_of_people` cuts people out and pastes their parts; `parts` is the same, or the whole image at once, as the
    network was trained."""
    labels = {"class_set": str(parts.labels)}
    whole, people = _mask(detector, parts), _masks_of_people(detector, parts)
    return [
        Ensemble(f"parts{suffix}", [t.IMAGE], _masks(parts, parts.view == "person"), whole, labels),
        Ensemble(f"parts_of_people{suffix}", [t.IMAGE], _masks(parts, True), people, labels),
    ]


def people_ensembles(detector: Network, pose: Installed, parts: Network) -> list[Ensemble]:
    """Boxes, keypoints and parts: one decoding, one detection, the networks side by side."""
    (whole,) = (e for e in pose_ensembles(detector, pose) if e.name == "pose")
    outputs = [*whole.outputs, *_masks(parts, parts.view == "person")]
    steps = [*whole.steps, *_mask(detector, parts, ("KEPT_INDICES",))]
    return [Ensemble("people", [t.IMAGE], outputs, steps, whole.parameters | {"class_set": str(parts.labels)})]


# Task -> what the network answers, and that at the size of the image.
MAPS = {
    "depth": (t.DEPTH_MAP, t.DEPTH),
    "normals": (t.NORMAL_MAP, t.NORMALS),
    "pointmap": (t.POINT_MAP, t.POINTS),
    "matting": (t.MATTE_MAP, t.MATTE),
}
OF_PEOPLE = {"depth": t.DEPTH_OF_PEOPLE, "normals": t.NORMALS_OF_PEOPLE}


def map_ensembles(detector: Network, parts: Network, network: Network, suffix: str = "") -> list[Ensemble]:
    """A map of the whole image; depth and normals also of what the parts network says are people."""
    raw, whole = (tensor[0] for tensor in MAPS[network.task])
    takes: tuple[str, ...] = (raw, "SIZE")
    steps = _of_image(network, raw)
    if network.fit == "pad":
        bounds = t.fitted(network.input_size, network.fit)[1][0]
        takes = (*takes, f"BOUNDS={bounds}")
        steps.append(Step("resize_image", ("PIXELS",), (bounds,)))
    steps.append(Step("resize_maps", takes, (whole,)))
    outputs = [MAPS[network.task][1]]
    if network.task in OF_PEOPLE:
        of_people = OF_PEOPLE[network.task]
        steps += [*_mask(detector, parts), Step("resize_maps", (*takes, "MASK"), (of_people[0],))]
        outputs.append(of_people)
    return [Ensemble(f"{network.task}{suffix}", [t.IMAGE], outputs, steps)]


def feature_ensembles(network: Network, suffix: str = "") -> list[Ensemble]:
    steps = [*_of_image(network, "FEATURE_MAP"), Step("pool_features", ("FEATURE_MAP",), ("FEATURES", "POOLED"))]
    return [Ensemble(f"features{suffix}", [t.IMAGE], [t.FEATURES, t.POOLED], steps)]


def ensembles(repository: Repository) -> list[Ensemble]:
    """`pose` is the default network, `pose.NAME` a certain one."""
    detector, parts = repository.default("detector"), repository.default("parts")
    found = people_ensembles(detector, repository.networks[repository.defaults["pose"]], parts)
    for suffix, installed in _named(repository):
        network = installed.network
        if network.task == "detector":
            found += detector_ensembles(network, suffix)
        elif network.task == "pose":
            found += pose_ensembles(detector, installed, suffix)
        elif network.task == "parts":
            found += parts_ensembles(detector, network, suffix)
        elif network.task == "features":
            found += feature_ensembles(network, suffix)
        else:
            found += map_ensembles(detector, parts, network, suffix)
    return found


def _named(repository: Repository) -> Iterator[tuple[str, Installed]]:
    """The suffix of its ensembles' names, and the network: the defaults without one, then all with their name; demo
    networks only where nothing else would lead to them."""
    for task in TASKS:
        if task in repository.defaults:
            yield "", repository.networks[repository.defaults[task]]
        for installed in repository.of_task(task):
            name = installed.network.name
            if installed.network.family != "demo" or repository.defaults[task] != name:
                yield f".{name}", installed
