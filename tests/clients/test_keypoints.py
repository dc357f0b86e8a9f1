"""The tables are whole, and mirror left and right."""

import re

import pytest

from poseclient.keypoints import DATA, add_keypoint_set, class_set, keypoint_set

KEYPOINT_SETS = sorted(path.stem for path in (DATA / "keypoints").glob("*.json"))
CLASS_SETS = sorted(path.stem for path in (DATA / "classes").glob("*.json"))


def mirrored(name: str) -> str:
    """The name with left and right exchanged, written out or as L_ and R_."""
    other = {"left": "right", "right": "left", "l": "r", "r": "l"}
    words = re.split(r"(_| )", name.lower())
    return "".join(other.get(word, word) for word in words)


def is_sided(name: str) -> bool:
    return mirrored(name) != name.lower()


@pytest.mark.parametrize("name", KEYPOINT_SETS)
def test_every_keypoint_has_a_name_a_colour_and_a_sigma(name):
    table = keypoint_set(name)
    count = int(name.rsplit("_", 1)[1])
    assert len(table.names) == len(set(table.names)) == len(table.colours) == count
    assert table.oks_sigmas is None or len(table.oks_sigmas) == count
    assert len(table.links) == len(table.link_colours)
    assert {k for link in table.links for k in link} <= set(range(count))


@pytest.mark.parametrize("name", [n for n in KEYPOINT_SETS if n != "goliath_308"])
def test_swap_pairs_exchange_left_and_right(name):
    table = keypoint_set(name)
    for a, b in table.swap_pairs:
        if is_sided(table.names[a]):
            assert mirrored(table.names[a]) == table.names[b].lower()
    swapped = {k for pair in table.swap_pairs for k in pair}
    assert len(swapped) == 2 * len(table.swap_pairs)
    assert {k for k, n in enumerate(table.names) if is_sided(n)} <= swapped


@pytest.mark.parametrize("name", CLASS_SETS)
def test_every_class_has_a_name_and_a_colour_of_its_own(name):
    table = class_set(name)
    count = int(name.rsplit("_", 1)[1])
    assert len(set(table.names)) == len(set(table.palette)) == count
    assert table.names[0] == "Background"
    for a, b in table.swap_pairs:
        assert mirrored(table.names[a]) == table.names[b].lower()


def test_coco_has_the_order_of_coco():
    table = keypoint_set("coco_17")
    assert table.names[0] == "nose"
    assert table.names[5:7] == ("left_shoulder", "right_shoulder")
    assert table.names[-1] == "right_ankle"
    assert table.oks_sigmas[:3] == (0.026, 0.025, 0.025)


def test_an_unknown_set_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'coco_18'.*coco_17"):
        keypoint_set("coco_18")
    with pytest.raises(ValueError, match="sapiens_28"):
        class_set("coco_17")


def test_a_name_is_no_path():
    with pytest.raises(ValueError, match="unknown"):
        keypoint_set("../classes/sapiens_28")


def test_a_set_of_ones_own_needs_names_alone():
    own = add_keypoint_set("fox_2", {"names": ["snout", "tail"], "links": [[0, 1]]})
    assert keypoint_set("fox_2") is own
    assert own.links == ((0, 1),)
    assert len(own.colours) == 2
    assert len(own.link_colours) == 1
    assert own.mirrored == [0, 1]
    assert own.oks_sigmas is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "a list `names`"),
        ({"names": "ab"}, "a list `names`"),
        ({"names": ["a", "a"]}, "must differ"),
        ({"names": ["a", "b"], "swap_pairs": [[0, 2]]}, "swap_pairs must be pairs of indices 0 to 1"),
        ({"names": ["a", "b"], "links": [[0]]}, "links must be pairs"),
        ({"names": ["a", "b"], "colours": [[0, 0, 0]]}, "1 colours, must be 2"),
        ({"names": ["a", "b"], "oks_sigmas": [0.1]}, "1 oks_sigmas, must be 2"),
        ({"names": ["a"], "bones": []}, "unknown: ['bones']"),
    ],
)
def test_a_set_that_cannot_be_is_refused(table, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        add_keypoint_set("odd", table)


def test_shipped_sets_keep_their_names():
    with pytest.raises(ValueError, match="choose another name"):
        add_keypoint_set("coco_17", {"names": ["a"]})
