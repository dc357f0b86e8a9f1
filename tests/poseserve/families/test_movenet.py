"""MoveNet: its official file fits key by key, and it answers as TensorFlow.js does, in every format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from poseclient.keypoints import keypoint_set
from poseserve.catalogue import CATALOGUE, Network
from poseserve.deployment import Deployment
from poseserve.export.onnx import export_onnx
from poseserve.export.torchscript import export
from poseserve.families import movenet
from poseserve.families.decode import decode_centred
from poseserve.families.flip import CentredFlipTest
from poseserve.networks import build
from tests.poseserve.families import tfjs_reference
from tests.poseserve.families.engines import ENGINES, answer, write_files

THUNDER = CATALOGUE["movenet-thunder"]
SMALL = replace(THUNDER, name="small", input_size=(64, 96))


def region(network: Network) -> torch.Tensor:
    """By which pixels of the image are those of the crop."""
    height, width = network.input_size
    return torch.tensor([[(width - 1) / 2, (height - 1) / 2, width - 1, height - 1]])


@pytest.fixture(scope="module")
def random_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return movenet.build("lightning", "pose", 17, (64, 96)).eval()


# ---- against the original runtime


@pytest.mark.parametrize("picture", tfjs_reference.PICTURES)
@pytest.mark.parametrize("size", ["thunder", "lightning"])
def test_keypoints_are_those_of_tensorflow_js(human_models, astronaut, size, picture):
    network = CATALOGUE[f"movenet-{size}"]
    contract = build.load(network, human_models / f"movenet-{size}.json", Deployment())
    crop = tfjs_reference.picture(picture, network.name, astronaut)
    with torch.inference_mode():
        found = contract(torch.from_numpy(crop), region(network))[0]
    check_keypoints(found, tfjs_reference.recorded(network.name, picture, crop))


def check_keypoints(found: torch.Tensor, recorded: np.ndarray) -> None:
    """Within a hundredth of a pixel of the crop; a cell is four pixels, the first of which is centred at 0.5."""
    expected = torch.from_numpy(recorded)
    torch.testing.assert_close(found[:, :2], 4 * expected[:, :2] - 0.5, atol=0.01, rtol=0)
    torch.testing.assert_close(found[:, 2], expected[:, 2], atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def files(human_models, tmp_path_factory) -> Path:
    """Thunder as Triton gets it."""
    return write_files(THUNDER, human_models / "movenet-thunder.json", tmp_path_factory.mktemp("thunder"))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_sees_the_photograph_as_tensorflow_js_does(files, astronaut, engine):
    crop, where = tfjs_reference.picture("astronaut", THUNDER.name, astronaut), region(THUNDER).numpy()
    check_keypoints(answer(engine, files, crop, where)[0], tfjs_reference.recorded(THUNDER.name, "astronaut", crop))


@pytest.mark.parametrize(("flip_test", "x_pixels", "y_pixels"), [(False, 0.5, 1), (True, 1e-3, 1e-3)])
def test_a_mirrored_photograph_has_mirrored_keypoints(human_models, astronaut, flip_test, x_pixels, y_pixels):
    """So positions are measured from the edges of the crop: half a pixel off would be one whole pixel here."""
    contract = build.load(THUNDER, human_models / "movenet-thunder.json", Deployment(flip_test=flip_test))
    crop = torch.from_numpy(tfjs_reference.picture("astronaut", THUNDER.name, astronaut))
    with torch.inference_mode():
        here, there = contract(torch.cat([crop, crop.flip(2)]), region(THUNDER).repeat(2, 1))
    there = there[list(keypoint_set("coco_17").mirrored)]
    sure = here[:, 2] > 0.5
    assert sure.sum() >= 5
    assert (here[sure, 0] + there[sure, 0] - 255).median().abs() < x_pixels
    assert (here[sure, 1] - there[sure, 1]).median().abs() < y_pixels


# ---- without the weights


def test_a_network_of_another_size_is_refused(human_models):
    with pytest.raises(Exception, match="looks like a network of another family or size"):
        build.load(CATALOGUE["movenet-lightning"], human_models / "movenet-thunder.json", Deployment())


def test_names_of_the_graph_and_of_the_network_pair_off(random_network):
    theirs, ours = zip(*movenet.kernels(), strict=True)
    convolutions = {name for name, module in random_network.named_modules() if isinstance(module, torch.nn.Conv2d)}
    assert len(set(theirs)) == len(theirs)
    assert set(ours) - convolutions == {"blocks.0.expand"}  # the first block is as narrow as its input
    assert convolutions <= set(ours)


def test_a_stride_of_two_pads_behind_the_map():
    convolution = movenet.Same(1, 1, 3, 2)
    torch.nn.init.ones_(convolution.weight)
    torch.nn.init.zeros_(convolution.bias)
    assert convolution(torch.ones(1, 1, 4, 4)).flatten().tolist() == [9, 6, 6, 4]


def heads(height: int = 8, width: int = 12) -> torch.Tensor:
    """[1, 6, h, w] of one keypoint: nothing anywhere."""
    raw = torch.zeros(1, 6, height, width)
    raw[:, :2] = -9
    return raw


def decoded(raw: torch.Tensor) -> list[float]:
    return decode_centred(*raw.split([1, 1, 2, 2], 1))[0, 0].tolist()


def test_the_way_from_the_central_person_chooses_among_equal_peaks():
    raw = heads()
    raw[0, 0, 4, 6] = raw[0, 0, 0, 0] = 2  # two people: the one in the middle counts
    raw[0, 2:4, 4, 6] = torch.tensor([2.0, -3.0])  # whose keypoint is at 6, 3
    raw[0, 2:4, 0, 0] = torch.tensor([0.0, 11.0])
    raw[0, 1, 6, 3] = raw[0, 1, 0, 11] = 1
    raw[0, 4:6, 6, 3] = torch.tensor([0.25, -0.5])
    assert decoded(raw) == pytest.approx([2.5, 6.25, 1 / (1 + torch.e**-1)])


def test_a_much_surer_peak_further_away_wins():
    raw = heads()
    raw[0, 1, 4, 6], raw[0, 1, 4, 8] = -4, 4  # 0.018 / 1.8 against 0.98 / 3.8
    assert decoded(raw)[:2] == [8, 4]


def test_the_flip_test_answers_a_mirrored_crop_with_the_mirror_image(random_network):
    flipped = CentredFlipTest(random_network, keypoint_set("coco_17").mirrored)
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        here, there = flipped(x), flipped(x.flip(3))
        torch.testing.assert_close(there, (here.flip(3)[:, flipped.order] * flipped.sign + (1 - flipped.sign) / 2))
        assert not there.equal(random_network(x.flip(3)))


def test_every_format_answers_alike_and_nobody_with_zeros(random_network, tmp_path):
    crops, regions = build.example(SMALL)
    crops, regions = crops.repeat(11, 1, 1, 1), regions.repeat(11, 1)
    crops[1:] = torch.randint(0, 256, crops[1:].shape, generator=torch.manual_seed(0)).to(torch.uint8)
    regions[1] = 0
    with torch.inference_mode():
        expected = build.contract(SMALL, random_network)(crops, regions)
    export_onnx(build.contract(SMALL, random_network), build.example(SMALL), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"INPUT__0": crops.numpy(), "INPUT__1": regions.numpy()})
    torch.testing.assert_close(torch.from_numpy(answer), expected, atol=1e-3, rtol=0)
    export(build.contract(SMALL, random_network), build.example(SMALL), tmp_path / "model.pt")
    with torch.inference_mode():
        served = torch.jit.load(tmp_path / "model.pt")(crops, regions)
    torch.testing.assert_close(served, expected, atol=1e-3, rtol=0)
    assert served[1].eq(0).all()
    assert served[:, :, 2].gt(0).sum(1).tolist() == [17, 0, *[17] * 9]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("huge", "pose", 17, (256, 256)), "must be one of thunder, lightning"),
        (("thunder", "parts", 17, (256, 256)), "must be pose"),
        (("thunder", "pose", 17, (250, 256)), "250 x 256 pixels: both must be multiples of 32"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        movenet.build(*arguments)
