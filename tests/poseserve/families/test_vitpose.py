"""ViTPose against the official layouts and outputs, and the split of multi-task checkpoints."""

from __future__ import annotations

import io

import pytest
import torch

from poseserve.export.torchscript import refuse_device_literals
from poseserve.families import vitpose
from tests import golden


@pytest.mark.parametrize("size", vitpose.SIZES)
def test_official_weights_would_load(size):
    with torch.device("meta"):
        state = vitpose.build(size, "pose", 25).state_dict()
    layout = golden.layouts()[f"vitpose/vitpose_{size}"]
    assert [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()] == layout


def test_outputs_equal_the_official_ones():
    name = "vitpose/vitpose_s_coco25"
    network = vitpose.build("s", "pose", 25).eval()
    network.load_state_dict(golden.filled(golden.layouts()[name]))
    with torch.inference_mode():
        heatmaps = network(golden.network_input(name))
    assert golden.difference(name, "heatmaps", heatmaps).max() < 1e-4


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return vitpose.network(32, 2, 4, 17).eval()


def test_traced_saved_and_loaded_it_takes_any_batch_on_any_device(tiny):
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(tiny, torch.zeros(1, 3, 256, 192), check_trace=False), file)
    file.seek(0)
    traced = torch.jit.load(file)
    refuse_device_literals(traced)
    images = torch.randn(3, 3, 256, 192)
    with torch.inference_mode():
        torch.testing.assert_close(traced(images), tiny(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
def test_half_precision_stays_close_where_squares_overflow(tiny, dtype, tolerance):
    images = torch.randn(1, 3, 256, 192)
    with torch.inference_mode():
        tiny.backbone.patch_embed.proj.weight *= 1e3
        expected = tiny(images)
        found = tiny.to(dtype)(images.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance * expected.std().item())


def multi_task(state):
    """A multi-task checkpoint: what is expert i's own is that of the single-task `state`, plus i."""
    merged = dict(state)
    for key, value in state.items():
        if ".mlp.fc2." in key:
            shared = len(value) * 3 // 4
            merged[key] = value[:shared]
            for i in range(6):
                merged[key.replace(".fc2.", f".experts.{i}.")] = value[shared:] + i
        elif key.startswith("keypoint_head."):
            for i in range(1, 6):
                merged[key.replace("keypoint_head", f"associate_keypoint_heads.{i - 1}")] = value + i
    return merged


@pytest.mark.parametrize(
    ("expert", "dataset", "keypoints"),
    [(0, "coco", 17), (1, "aic", 14), (2, "mpii", 16), (3, "ap10k", 17), (4, "apt36k", 17), (5, "wholebody", 133)],
)
def test_a_multi_task_checkpoint_is_split_into_single_task_ones(expert, dataset, keypoints):
    # Heads wider than their data set: the channels past its keypoints mean nothing.
    state = vitpose.network(32, 2, 4, 133).state_dict()
    single = vitpose.split(multi_task(state), dataset)
    vitpose.network(32, 2, 4, keypoints).load_state_dict(single)
    assert list(single) == list(state)
    for key, value in state.items():
        own = torch.zeros_like(value)
        if ".mlp.fc2." in key:
            own[len(value) * 3 // 4 :] = expert
        elif key.startswith("keypoint_head."):
            own += expert
        expected = value + own
        assert torch.equal(single[key], expected[:keypoints] if "final_layer" in key else expected), key


@pytest.mark.parametrize(("dataset", "message"), [("coco", "single-task one as it is"), ("coco_25", "wholebody")])
def test_a_split_that_cannot_be_is_refused(tiny, dataset, message):
    with pytest.raises(ValueError, match=message):
        vitpose.split(tiny.state_dict(), dataset)


@pytest.mark.parametrize(("size", "task"), [("g", "pose"), ("b", "parts")])
def test_what_does_not_exist_is_refused(size, task):
    with pytest.raises(ValueError, match=r"sizes are s, b, l, h, the only task is pose"):
        vitpose.build(size, task, 17)
