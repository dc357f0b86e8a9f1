"""What is sent: photos of one person or few, of many, and the frames of a video."""

import numpy as np
import pytest

from loadtest.scenarios import SCENARIOS, encoded_images, video
from poseclient import PoseClient


def test_crowds_are_crowded_and_photos_are_not(server):
    with PoseClient(f"grpc://{server.grpc_url}") as client:
        found = {name: [len(client.detect(i)) for i in encoded_images(name, "")] for name in ("photos", "crowds")}
    assert set(found["photos"]) <= {1, 2, 3, 4}
    assert min(found["crowds"]) >= 10


def test_the_frames_of_a_video_move_to_and_fro():
    frames = video()
    for before, after in zip(frames, [*frames[1:], frames[0]], strict=True):
        assert before.shape == (480, 640, 3)
        right = np.array_equal(before[:, 16:], after[:, :-16])
        assert right != np.array_equal(after[:, 16:], before[:, :-16])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_folder_takes_the_place_of_what_is_rendered(scenario, tmp_path):
    for name in ("2.jpg", "1.JPEG", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    assert encoded_images(scenario, str(tmp_path)) == [b"1.JPEG", b"2.jpg"]
