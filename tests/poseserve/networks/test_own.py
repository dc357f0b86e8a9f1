"""Networks of one's own: what describes them, and what they take after."""

from __future__ import annotations

import pytest

from poseserve.catalogue import CATALOGUE, Network
from poseserve.networks.own import own_network


def test_a_network_sees_an_image_as_those_of_its_family_do():
    modes = {family: own_network("x", family, task="normals")[0].resize_mode for family in ("sapiens2", "sapiens")}
    assert modes == {"sapiens2": "pad", "sapiens": "stretch"}


def test_it_has_the_input_size_of_its_kin_unless_it_says_another():
    kin = CATALOGUE["vitpose-s-coco"]
    network, table = own_network("mine", "vitpose", size="s", keypoints="mpii_16")
    assert (network.input_size, network.outputs, network.checkpoint, table) == (kin.input_size, 16, None, None)
    network, _ = own_network("mine", "vitpose", size="s", keypoints="mpii_16", input_size=(384, 288))
    assert network.input_size == (384, 288)


@pytest.mark.parametrize("indices", [(), (1, -1)])
def test_class_indices_that_cannot_be_are_refused(indices):
    with pytest.raises(ValueError, match=r"class indices .* one or more, each 0 or more"):
        Network("x", "detector", (64, 64), class_indices=indices)


def test_a_network_that_keeps_the_contract_says_how_large_its_input_is():
    with pytest.raises(ValueError, match="family contract needs --input-size"):
        own_network("x", "contract", task="depth")
    assert own_network("x", "contract", task="depth", input_size=(64, 48))[0].input_size == (64, 48)


def test_of_features_their_number_is_asked_and_of_nothing_else():
    network, _ = own_network("x", "contract", task="features", input_size=(64, 48), channels=5)
    assert network.record.output(network).shape == (5, 4, 3)
    for task, channels in (("features", None), ("depth", 5)):
        with pytest.raises(ValueError, match=r"--channels N .* for features alone"):
            own_network("x", "contract", task=task, input_size=(64, 48), channels=channels)


def test_a_detector_works_at_its_own_threshold_and_a_pose_network_has_its_own_crops():
    assert own_network("x", "yolo", size="v8", score_threshold=0.45)[0].score_threshold == 0.45
    assert own_network("x", "vitpose", size="s", keypoints="coco_17", crop_filter="area")[0].crop_filter == "area"
    usual = own_network("x", "vitpose", size="s", keypoints="coco_17")[0]
    assert (usual.score_threshold, usual.crop_filter) == (0.3, "bilinear")
