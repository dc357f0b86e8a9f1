"""Sapiens2 against the official layouts, rotary tables and outputs."""

from __future__ import annotations

import io

import pytest
import torch

from poseserve.export.torchscript import refuse_device_literals
from poseserve.families import sapiens2
from poseserve.families.layers import named
from tests import golden

# Our task -> official name and channels.
OFFICIAL = {
    "pose": ("pose", 308),
    "parts": ("seg", 29),
    "normals": ("normal", 3),
    "pointmap": ("pointmap", 3),
    "matting": ("matting", 4),
    "features": ("pretrain", 0),
}
HEADED = ("0.4b", "0.8b", "1b", "5b")
NETWORKS = [
    *((size, task) for task in ("pose", "parts", "normals", "pointmap") for size in HEADED),
    ("1b", "matting"),
    *((size, "features") for size in sapiens2.SIZES),
]
VARIANTS = [
    "pose_reduced",
    "seg_reduced",
    "normal_reduced",
    "pointmap_reduced",
    "matting_reduced",
    "pretrain_reduced",
    "pretrain_4k_reduced",
]


def small(variant, rotary=torch.bfloat16):
    """The network of that golden variant."""
    name = f"sapiens2/{variant}"
    about = golden.META[name]
    size = tuple(about["input"]["shape"][2:])
    network = sapiens2.Encoder(96, 18, 4, size, rotary, tokenizer=2 if "4k" in variant else 0)
    official = variant.split("_")[0]
    if official != "pretrain":
        head = about["hyperparameters"]["head"]
        task = next(task for task, (word, _) in OFFICIAL.items() if word == official)
        ups = head.get("deconv_out_channels") or head["upsample_channels"]
        channels = next(iter(about["outputs"].values()))["shape"][1]
        scale = ((48, 40, 32), (24, 16))
        head = sapiens2.head(task, 96, network.grid, ups, head["conv_out_channels"], channels, scale)
        network = named(backbone=network, decode_head=head)
    weights = golden.filled(golden.layouts()[name], about["gain"], about.get("bias_gain", 1.0))
    network.load_state_dict(network.state_dict() | weights)  # the periods stay the network's own
    return network.eval()


def differences(variant, rotary):
    """Differences of every output, one after the other."""
    name = f"sapiens2/{variant}"
    network, images = small(variant, rotary), golden.network_input(name)
    with torch.inference_mode():
        found = network.tokens(images) if variant.startswith("pretrain") else network(images)
    found = found if isinstance(found, tuple) else (found,)
    names = [n for n in golden.META[name]["outputs"] if n.endswith("@rope_fp32") == (rotary == torch.float32)]
    return [golden.difference(name, n, output) for n, output in zip(names, found, strict=True)]


@pytest.mark.parametrize(("size", "task"), NETWORKS)
def test_official_weights_would_load(size, task):
    name, outputs = OFFICIAL[task]
    with torch.device("meta"):
        state = sapiens2.build(size, task, outputs).state_dict()
    layout = golden.layouts()[f"sapiens2/{name}_{size}"]
    assert [[k, list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()] == layout


@pytest.mark.parametrize(
    ("size", "task", "input_size", "shapes"),
    [
        ("1b", "pose", (1024, 768), [(2, 308, 256, 192)]),
        ("1b", "parts", (1024, 768), [(2, 29, 1024, 768)]),
        ("1b", "normals", (1024, 768), [(2, 3, 1024, 768)]),
        ("1b", "pointmap", (1024, 768), [(2, 3, 1024, 768), (2, 1)]),
        ("1b", "matting", (1024, 768), [(2, 4, 1024, 768)]),
        ("1b", "features", (1024, 768), [(2, 1536, 64, 48)]),
        ("1b_4k", "features", (4096, 3072), [(2, 1536, 64, 48)]),
    ],
)
def test_official_networks_answer_in_these_shapes(size, task, input_size, shapes):
    with torch.device("meta"):
        found = sapiens2.build(size, task, shapes[0][1]).to("meta")(torch.empty(2, 3, *input_size))
    assert [tuple(output.shape) for output in (found if isinstance(found, tuple) else (found,))] == shapes


@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_equal_the_official_ones(variant):
    for difference in differences(variant, torch.bfloat16):
        assert difference.max() < 1e-2
        assert difference.square().mean().sqrt() < 8e-4


@pytest.mark.parametrize("variant", [*VARIANTS, "pose_lowsignal"])
def test_outputs_with_float32_rotation_equal_the_official_ones(variant):
    tolerance = golden.META[f"sapiens2/{variant}"].get("tolerance_abs", 1e-4)
    assert all(difference.max() < tolerance for difference in differences(variant, torch.float32))


def bits(name):
    """A bfloat16 array, stored as its bit patterns."""
    return torch.from_numpy(golden.array(name).view("int16")).view(torch.bfloat16)


@pytest.mark.parametrize(
    ("head", "grid"), [(64, (64, 48)), (76, (64, 48)), (80, (64, 48)), (24, (16, 12)), (24, (8, 6))]
)
def test_rotary_tables_equal_the_official_ones_bit_for_bit(head, grid):
    name, quarter = f"rope/d{head}_{grid[0]}x{grid[1]}", head // 4
    rotary = sapiens2.Rotary(head, grid, torch.bfloat16)
    assert torch.equal(rotary.periods, bits(f"{name}/periods_bf16"))
    for kind, table in zip(("cos", "sin"), rotary(), strict=True):
        table = table[sapiens2.PREFIX :].unflatten(0, grid)
        assert torch.equal(table[:, 0, :quarter], bits(f"{name}/{kind}_rows_bf16"))
        assert torch.equal(table[0, :, quarter : 2 * quarter], bits(f"{name}/{kind}_cols_bf16"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_network_built_without_memory_takes_the_periods_of_the_checkpoint(dtype):
    expected = sapiens2.Encoder(96, 1, 4, (128, 96))
    with torch.device("meta"):
        network = sapiens2.Encoder(96, 1, 4, (128, 96))
    state = expected.state_dict()
    state["rope_embed.periods"] = state["rope_embed.periods"].to(dtype)
    images = torch.ones(1, 3, 128, 96)
    with torch.inference_mode():
        network.load_state_dict(state, assign=True)
        assert torch.equal(network(images), expected(images))
        state["rope_embed.periods"] *= 2
        network.load_state_dict(state)
        assert not torch.equal(network(images), expected(images))


def test_the_feature_map_holds_the_tokens_of_the_patches():
    encoder, images = small("pretrain_reduced"), golden.network_input("sapiens2/pretrain_reduced")
    with torch.inference_mode():
        features, tokens = encoder(images), encoder.tokens(images)
    assert features.shape == (2, 96, 16, 12)
    assert torch.equal(features[:, :, 3, 5], tokens[:, sapiens2.PREFIX + 3 * 12 + 5])


@pytest.mark.parametrize("variant", ["seg_reduced", "pointmap_reduced", "pretrain_4k_reduced"])
def test_traced_saved_and_loaded_it_takes_any_batch_on_any_device(variant):
    network, images = small(variant), golden.network_input(f"sapiens2/{variant}")
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(network, images[:1], check_trace=False), file)
    file.seek(0)
    traced = torch.jit.load(file)
    refuse_device_literals(traced)
    with torch.inference_mode():
        torch.testing.assert_close(traced(images), network(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["seg_reduced", "normal_reduced"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.05), (torch.bfloat16, 0.4)])
def test_half_precision_stays_close_where_squares_overflow(variant, dtype, tolerance):
    network, images = small(variant), golden.network_input(f"sapiens2/{variant}")
    with torch.inference_mode():
        network.backbone.patch_embed.projection.weight *= 1e3
        expected = network(images)
        found = network.to(dtype)(images.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance * expected.std().item())


def test_widening_a_network_keeps_the_published_rotation():
    network, images = small("pretrain_reduced"), golden.network_input("sapiens2/pretrain_reduced")
    with torch.inference_mode():
        expected = network(images)
        assert torch.equal(network.float()(images), expected)


@pytest.mark.parametrize(
    ("size", "task", "message"),
    [
        ("2b", "pose", "sizes are 0.1b, 0.4b"),
        ("1b", "depth", "tasks pose, parts"),
        ("0.1b", "pose", "features only"),
        ("5b", "matting", "matting is 1b only"),
    ],
)
def test_what_does_not_exist_is_refused(size, task, message):
    with pytest.raises(ValueError, match=message):
        sapiens2.build(size, task, 17)


def test_an_input_that_is_not_whole_patches_is_refused():
    with pytest.raises(ValueError, match="multiples of 64"):
        sapiens2.Encoder(96, 1, 4, (512, 400), tokenizer=1)
