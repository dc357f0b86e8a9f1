"""NanoDet: its official file fits key by key, and it finds what it finds in TensorFlow.js, in every format."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from poseserve.catalogue import CATALOGUE
from poseserve.cli import main
from poseserve.deployment import Deployment
from poseserve.export.onnx import export_onnx
from poseserve.export.torchscript import export
from poseserve.families import nanodet
from poseserve.families.boxes import best_rows
from poseserve.in_process import step_module
from poseserve.networks import build
from poseserve.repository.installed import read_repository
from tests.poseserve.families import tfjs_reference
from tests.poseserve.families.engines import ENGINES, answer, write_files

NANODET = CATALOGUE["nanodet-416"]
SMALL = replace(NANODET, name="small", input_size=(96, 64))
CELLS = 12 * 8 + 6 * 4 + 3 * 2


@pytest.fixture(scope="module")
def random_network() -> torch.nn.Module:
    """Sees something everywhere, so that an export has what to be compared with."""
    torch.manual_seed(0)
    network = nanodet.build("g", "detector", (96, 64)).eval()
    for head in network.heads:
        head[2].bias.data[: nanodet.CLASSES] = torch.randn(nanodet.CLASSES)
    return network


# ---- against the original runtime


@pytest.mark.parametrize("picture", tfjs_reference.PICTURES)
def test_boxes_are_those_of_tensorflow_js(human_models, astronaut, picture):
    contract = build.load(NANODET, human_models / "nanodet.json", Deployment())
    image = tfjs_reference.picture(picture, NANODET.name, astronaut)
    with torch.inference_mode():
        boxes, scores = contract.decode.boxes(contract.network(contract.normalise(torch.from_numpy(image))))
    expected = torch.from_numpy(tfjs_reference.recorded(NANODET.name, picture, image))
    best = scores[0].argsort(descending=True)[: len(expected)]
    assert scores[0].sort(descending=True)[0][len(expected)] <= tfjs_reference.LEAST + 1e-5
    torch.testing.assert_close(boxes[0, best], expected[:, :4], atol=0.1, rtol=0)
    torch.testing.assert_close(scores[0, best], expected[:, 4], atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def files(human_models, tmp_path_factory) -> Path:
    """The detector as Triton gets it."""
    return write_files(NANODET, human_models / "nanodet.json", tmp_path_factory.mktemp("nanodet"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("picture", ["scene", "astronaut"])
def test_every_engine_finds_the_people_that_tensorflow_js_finds(files, astronaut, engine, picture):
    image = tfjs_reference.picture(picture, NANODET.name, astronaut)
    found = answer(engine, files, image)[0]
    cells = torch.from_numpy(tfjs_reference.recorded(NANODET.name, picture, image))[None]
    expected = best_rows(cells[..., :4], cells[..., 4], 416, 416)[0]
    people = expected[:, 4] > 0.4
    assert people.sum() >= {"scene": 3, "astronaut": 1}[picture]
    torch.testing.assert_close(found[people], expected[people], atol=0.1, rtol=0)
    torch.testing.assert_close(found[people, 4], expected[people, 4], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["nanodet-512", "nanodet-640"])
def test_one_file_serves_every_size(human_models, scene, name):
    network = CATALOGUE[name]
    contract = build.load(network, human_models / "nanodet.json", Deployment())
    letterbox, scale = step_module("decode_image", "images").letterbox(scene.image, *network.input_size)
    with torch.inference_mode():
        found = contract(torch.from_numpy(letterbox)[None])[0].numpy()
    boxes = found[found[:, 4] > network.score_threshold, :4] / np.tile(scale, 2)
    truth = np.stack([person.box for person in scene.people])
    overlaps = iou(boxes[:, None], truth[None])
    assert (overlaps.max(0) > 0.9).sum() >= 3  # of four, and they are drawn


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    shared = np.prod(np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None), -1)
    return shared / (np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1) - shared)


# ---- without the weights


@pytest.fixture(params=["eager", "script"])
def decode(request):
    module = nanodet.Decode((0, 16), (96, 64))
    return module if request.param == "eager" else torch.jit.script(module)


def raw(row: int, scores: dict[int, float], bins: tuple[int, int, int, int]) -> torch.Tensor:
    """Predictions of two images: nothing in the first, a box in the second."""
    values = torch.full((2, CELLS, nanodet.VALUES), -9.0)
    for number, score in scores.items():
        values[1, row, number] = score
    for side, number in enumerate(bins):
        values[1, row, nanodet.CLASSES + side * nanodet.BINS + number] = 30
    return values


@pytest.mark.parametrize(
    ("row", "stride", "centre"), [(9, 8, (12, 12)), (12 * 8 + 5, 16, (24, 24)), (12 * 8 + 6 * 4 + 3, 32, (48, 48))]
)
def test_distances_reach_from_the_cells_centre(decode, row, stride, centre):
    found = decode(raw(row, {0: 2}, (0, 1, 1, 0)))
    x, y = centre
    box = [x, y - stride, min(x + stride, 64), y, 1 / (1 + math.exp(-2))]
    torch.testing.assert_close(found[1, 0], torch.tensor(box))
    assert found[0].eq(0).all()
    assert found[1, 1:].eq(0).all()


def test_a_distance_is_the_mean_of_its_distribution(decode):
    values = raw(9, {0: 2}, (1, 1, 1, 1))
    values[1, 9, nanodet.CLASSES + 2] = 30  # left: 1 and 2 alike
    assert decode(values)[1, 0, 0] == pytest.approx(12 - 1.5 * 8)


def test_the_best_class_of_those_asked_for_scores_a_box(decode):
    assert decode(raw(9, {0: 0, 16: 2, 17: 5}, (1, 1, 1, 1)))[1, 0, 4] == pytest.approx(1 / (1 + math.exp(-2)))


def test_animals_are_mammals_and_people_are_none_of_them():
    decode = build.family_of(CATALOGUE["nanodet-animals-512"]).outputs["detector"](CATALOGUE["nanodet-animals-512"])
    assert decode.classes.tolist() == [15, 16, 17, 18, 19, 20, 21, 22, 23]


def test_the_official_weights_see_blue_first(random_network):
    image = torch.randn(1, 3, 96, 64)
    without_red = image.clone()
    without_red[:, 0] = 0  # the first channel of the input is red
    weight = random_network.stem.weight.data.clone()
    with torch.no_grad():
        assert not random_network(image).equal(random_network(without_red))
        random_network.stem.weight[:, 2] = 0  # the third channel of the weights is red
        assert random_network(image).equal(random_network(without_red))
        random_network.stem.weight.copy_(weight)


def test_kernels_of_the_graph_are_numbered_as_the_convolutions_are_declared(random_network):
    state = {f"PartitionedCall/split{f'_{n}' if n else ''}.weight": torch.tensor(n) for n in range(34)}
    own = nanodet.own_state(state)
    order = [own[f"{name}.weight"].item() for name in ("stem", "stages.0.enter", "stages.0.blocks.0.second")]
    assert order == [0, 1, 3]
    assert [own[f"laterals.{n}.weight"].item() for n in range(3)] == [25, 26, 27]
    assert [own[f"heads.{n}.2.weight"].item() for n in range(3)] == [29, 31, 33]
    assert {name for name in random_network.state_dict() if name.endswith("weight")} == set(own)


def test_every_format_answers_alike(random_network, tmp_path):
    images = torch.randint(0, 256, (9, 96, 64, 3), generator=torch.manual_seed(0)).to(torch.uint8)
    with torch.inference_mode():
        expected = build.contract(SMALL, random_network)(images)
    assert expected[:, 0, 4].gt(0.5).all()
    export_onnx(build.contract(SMALL, random_network), build.example(SMALL), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    torch.testing.assert_close(
        torch.from_numpy(session.run(None, {"INPUT__0": images.numpy()})[0]), expected, atol=1e-3, rtol=0
    )
    export(build.contract(SMALL, random_network), build.example(SMALL), tmp_path / "model.pt")
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(tmp_path / "model.pt")(images), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nanodet.build("m", "detector", (416, 416)), "no size 'm', must be g"),
        (lambda: nanodet.build("g", "pose", (416, 416)), "must be detector"),
        (lambda: nanodet.build("g", "detector", (416, 400)), "416 x 400 pixels: both must be multiples of 32"),
        (lambda: nanodet.Decode((3, 80)), "80 classes: there is none with the index 80"),
    ],
)
def test_what_does_not_exist_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_detector_of_other_classes_is_a_network_of_ones_own(human_models, root):
    own = ["--family", "nanodet", "--size", "g", "--class-index", "15,16", "--input-size", "320x320"]
    assert main(["add", "pets", *own, "--checkpoint", str(human_models / "nanodet.json"), "--root", str(root)]) == 0
    repository = read_repository(root)
    assert repository.networks["pets"].network.class_indices == (15, 16)
    served = torch.jit.load(repository.model_file("pets"))
    assert served.decode.classes.tolist() == [15, 16]
    assert served(torch.zeros(1, 320, 320, 3, dtype=torch.uint8)).shape == (1, 100, 5)
