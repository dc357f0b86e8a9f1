"""The limit: one process batches the people of several images, in the fastest of several variants."""

import numpy as np
import pytest

from demo.evaluate import evaluation_scene
from loadtest.experiments.limit import fastest, summary
from loadtest.experiments.turns import Variant
from poseclient.columns import columns
from poseserve.in_process import InProcess


@pytest.fixture(scope="module")
def pipeline() -> InProcess:
    return InProcess()


def test_the_people_of_several_images_get_the_keypoints_that_they_get_alone(pipeline):
    images = [evaluation_scene(seed)[0] for seed in range(44, 48)]
    together = pipeline.poses(images)
    assert sum(map(len, together)) > 4
    for image, people in zip(images, together, strict=True):
        alone = pipeline.pose(image)
        assert alone.found == people.found
        np.testing.assert_allclose(alone.boxes, people.boxes, atol=1e-2)
        np.testing.assert_allclose(alone.keypoints, people.keypoints, atol=1e-2)


def test_the_fastest_variant_is_taken(capsys):
    variants = [Variant(name, [lambda n=n: sum(range(10**4)) and n], 1) for name, n in (("one", 1), ("hundred", 100))]
    assert fastest("variants", variants, 0).name == "hundred"
    assert capsys.readouterr().out.startswith("variants")


def test_the_table_has_the_shares_of_the_last_row():
    rates = {"network": [10.0, 20.0, 30.0], "server": [9.0, 18.0, 24.0]}
    lines = columns(summary(rates), left=1).splitlines()
    assert [line.split() for line in lines[1:]] == [["network", "20.00", "0.900"], ["server", "18.00", "1.000"]]
    assert len(set(map(len, lines))) == 1
