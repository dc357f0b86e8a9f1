"""Sapiens against the official layouts and outputs."""

from __future__ import annotations

import io

import pytest
import torch

from poseclient.keypoints import keypoint_set
from poseserve.export.torchscript import refuse_device_literals
from poseserve.families import sapiens
from poseserve.families.flip import FlipTest
from tests import golden

OFFICIAL = {"pose": ("pose", 308), "parts": ("seg", 28), "depth": ("depth", 1), "normals": ("normal", 3)}
SMALL = (96, 3, 4)  # width, blocks, attention heads of the golden variants


def load(network, name):
    about = golden.META[name]
    network.load_state_dict(golden.filled(golden.layouts()[name], about["gain"], about.get("bias_gain", 1.0)))
    return network.eval()


def small(task, variant="reduced"):
    """The golden variant of the task and its name."""
    name = f"sapiens/{OFFICIAL[task][0]}_{variant}"
    about = golden.META[name]["hyperparameters"]
    head = about["head"]
    outputs = golden.META[name]["outputs"]
    channels = next(iter(outputs.values()))["shape"][1]
    widths = head["deconv_out_channels"], head["conv_out_channels"]
    return load(sapiens.network(task, SMALL, tuple(about["grid"]), *widths, channels), name), name


@pytest.fixture(scope="module")
def encoder():
    return load(sapiens.Encoder(*SMALL, grid=(16, 16), class_token=True), "sapiens/pretrain_reduced")


@pytest.mark.parametrize("size", sapiens.SIZES)
@pytest.mark.parametrize("task", sapiens.TASKS)
def test_official_weights_would_load(size, task):
    name, outputs = OFFICIAL.get(task, ("pretrain", 0))
    with torch.device("meta"):
        state = sapiens.build(size, task, outputs).state_dict()
    layout = golden.layouts()[f"sapiens/{name}_{size}"]
    assert [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()] == layout


@pytest.mark.parametrize(
    ("task", "size", "shape"),
    [
        ("pose", (1024, 768), (2, 308, 256, 192)),
        ("parts", (1024, 768), (2, 28, 512, 384)),
        ("depth", (1024, 768), (2, 1, 1024, 768)),
        ("normals", (1024, 768), (2, 3, 512, 384)),
        ("features", (1024, 1024), (2, 1920, 64, 64)),
    ],
)
def test_official_networks_answer_in_these_shapes(task, size, shape):
    with torch.device("meta"):
        assert sapiens.build("2b", task, shape[1])(torch.empty(2, 3, *size)).shape == shape


@pytest.mark.parametrize(
    ("task", "variant", "output"),
    [
        ("pose", "reduced", "heatmaps"),
        ("pose", "lowsignal", "heatmaps"),
        ("parts", "reduced", "logits"),
        ("depth", "reduced", "depth"),
        ("normals", "reduced", "normal"),
    ],
)
def test_outputs_equal_the_official_ones(task, variant, output):
    network, name = small(task, variant)
    with torch.inference_mode():
        found = network(golden.network_input(name))
    assert golden.difference(name, output, found).max() < golden.META[name].get("tolerance_abs", 1e-4)


def test_the_mean_with_the_mirrored_image_equals_the_official_one():
    network, name = small("pose")
    images = golden.network_input(name)
    with torch.inference_mode():
        found = FlipTest(network, keypoint_set("coco_17").mirrored)(images)
    assert golden.difference(name, "heatmaps_flip_average", found).max() < 1e-4


@pytest.mark.parametrize(
    ("output", "images"),
    [("tokens_256x256", "pretrain"), ("tokens_256x192_interpolated_pos", "pose")],
)
def test_tokens_equal_the_official_ones_at_the_trained_and_at_another_size(encoder, output, images):
    with torch.inference_mode():
        tokens = encoder.tokens(golden.network_input(f"sapiens/{images}_reduced"))
    assert golden.difference("sapiens/pretrain_reduced", output, tokens).max() < 1e-4


def test_the_feature_map_holds_the_tokens_of_the_patches(encoder):
    images = golden.network_input("sapiens/pose_reduced")
    with torch.inference_mode():
        features, tokens = encoder(images), encoder.tokens(images)
    assert features.shape == (2, 96, 16, 12)
    assert torch.equal(features[:, :, 3, 5], tokens[:, 1 + 3 * 12 + 5])


@pytest.mark.parametrize("task", ["pose", "features"])
def test_traced_saved_and_loaded_it_takes_any_batch_on_any_device(encoder, task):
    network = small("pose")[0] if task == "pose" else encoder
    images = golden.network_input("sapiens/pose_reduced")
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(network, images[:1], check_trace=False), file)
    file.seek(0)
    traced = torch.jit.load(file)
    refuse_device_literals(traced)
    with torch.inference_mode():
        torch.testing.assert_close(traced(images), network(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
def test_half_precision_stays_close_where_squares_overflow(dtype, tolerance):
    network, name = small("pose", "lowsignal")
    images = golden.network_input(name)
    with torch.inference_mode():
        network.backbone.patch_embed.projection.weight *= 1e5
        network.head.deconv_layers[0].weight *= 1e5
        expected = network(images)
        found = network.to(dtype)(images.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance * expected.std().item())


@pytest.mark.parametrize(("size", "task"), [("3b", "pose"), ("1b", "seg")])
def test_what_does_not_exist_is_refused(size, task):
    with pytest.raises(ValueError, match=r"0\.3b, 0\.6b, 1b, 2b, tasks pose, parts, depth, normals, features"):
        sapiens.build(size, task, 17)
