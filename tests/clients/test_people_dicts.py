"""People on their way through JSON and files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from poseclient import InputError, People, PosedPeople, keypoint_set
from poseclient.people_dicts import from_dict


def same(one: People, other: People) -> bool:
    """Whether every field is equal, to the bit."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in People.__dataclass_fields__]
    return type(one) is type(other) and all(
        np.array_equal(a, b) and getattr(a, "dtype", None) == getattr(b, "dtype", None) for a, b in pairs
    )


def posed(n: int = 2) -> PosedPeople:
    rng = np.random.default_rng(0)
    boxes, scores, keypoints, pose_scores = (
        rng.uniform(0, 640, shape).astype(np.float32) for shape in ((n, 4), n, (n, 17, 3), n)
    )
    mask, ids = (rng.integers(0, 28, (6, 8), dtype=np.uint8) for _ in range(2))
    return PosedPeople(boxes, scores, keypoints, "coco_17", (6, 8), n + 1, pose_scores, mask, "sapiens_28", ids)


EXAMPLES = {
    "posed": posed(),
    "tracked": replace(posed(), track_ids=np.array([3, -1])),
    "nobody tracked": replace(posed(0), track_ids=np.array([], np.int64)),
    "nobody": posed(0),
    "boxes": People(posed().boxes, posed().scores),
    "nobody's boxes": People(posed(0).boxes, posed(0).scores, image_size=(3, 4)),
    "an unknown set": People(posed().boxes, posed().scores, posed().keypoints[:, :2], "of_another_version"),
    "no set": People(posed().boxes, posed().scores, posed().keypoints[:, :2]),
}


@pytest.mark.parametrize("people", EXAMPLES.values(), ids=EXAMPLES)
def test_people_come_back_as_they_were(people, tmp_path):
    assert same(People.from_dict(json.loads(people.to_json())), people)
    people.save(tmp_path / "people.json")
    assert same(People.load(tmp_path / "people.json"), people)


def test_the_dict_explains_itself():
    value = posed().to_dict()
    assert value["keypoint_names"] == list(keypoint_set("coco_17").names)
    assert (value["image_size"], value["found"], value["keypoint_set"]) == ([6, 8], 3, "coco_17")
    first = value["people"][0]
    assert first.keys() == {"box", "score", "pose_score", "keypoints"}
    assert first["box"] == posed().boxes[0].tolist()
    assert EXAMPLES["tracked"].to_dict()["people"][1]["track_id"] == -1
    assert EXAMPLES["no set"].to_dict()["keypoint_names"] == ["keypoint_0", "keypoint_1"]


@pytest.mark.parametrize("key", ["people", "found", "keypoint_names", "has_pose_scores"])
def test_what_is_no_dict_of_people_is_refused(key):
    value = posed().to_dict()
    del value[key]
    with pytest.raises(InputError, match=f"not what People.to_dict gives: KeyError: '{key}'"):
        from_dict(value)
    for damage in ({"mask": "no PNG"}, {"people": [{"box": [1]}]}, {"image_size": 3}, {"people": 5}):
        with pytest.raises(InputError, match=r"not what People\.to_dict gives"):
            from_dict(posed().to_dict() | damage)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_another_file_is_named(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path)):
        People.load(path)
