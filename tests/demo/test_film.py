"""Rendered films: the same from the same seed, and true."""

from __future__ import annotations

import numpy as np
import pytest

from demo.film import FPS, LOOK_AHEAD, STORIES, Actor, Film, Frame, mot_lines, walking, write_video

SMALL = 96, 128


def test_a_frame_does_not_depend_on_others():
    one, other = Film("camera", seed=3, size=SMALL), Film("camera", seed=3, size=SMALL)
    one[0], one[39]
    a, b = one[40], other[40]
    assert np.array_equal(a.image, b.image)
    assert a.track_ids.tolist() == b.track_ids.tolist()
    assert not np.array_equal(a.image, Film("camera", seed=4, size=SMALL)[40].image)
    with pytest.raises(IndexError, match="frame 200 of 200"):
        one[200]


@pytest.mark.parametrize("story", STORIES)
def test_people_move_a_little_from_frame_to_frame(story):
    film = Film(story, seed=1, seconds=8, size=SMALL)
    first, second = film[50], film[51]
    assert second.time - first.time == pytest.approx(1 / FPS)
    both = set(first.track_ids) & set(second.track_ids)
    assert len(both) >= 2
    for track in both:
        before, after = (f.people[f.track_ids.tolist().index(track)].whole_body[:17, :2] for f in (first, second))
        assert 0 < np.abs(after - before).max() < 0.1 * SMALL[0]


def test_boxes_hold_the_pixels_that_a_person_changes():
    """Of two films that differ in one person, all other pixels are equal."""
    film, without = (Film("crossings", seed=2, size=SMALL) for _ in range(2))
    without.actors = film.actors[1:]
    frame = film[30]
    x1, y1, x2, y2 = frame.people[frame.track_ids.tolist().index(1)].box.astype(int)
    changed = (frame.image != without[30].image).any(2)
    assert changed[y1:y2, x1:x2].mean() > 0.2
    changed[y1 - 1 : y2 + 1, x1 - 1 : x2 + 1] = False  # a pixel at the edge may be theirs by less than half
    assert changed[: y2 - 16].sum() == 0  # the shadow lies around the feet


@pytest.mark.parametrize(("story", "leaves"), [("crossings", False), ("returning", True), ("camera", True)])
def test_people_leave_the_picture_and_come_back_where_the_story_says_so(story, leaves):
    film = Film(story, seed=0, seconds=8)
    h, w = film.size
    inside = []
    for i in range(len(film)):
        pan = film.pan(i / FPS)
        inside.append([0 < w / 2 + h * 1.4 / z * x - pan < w for x, z in (a.place(i / FPS) for a in film.actors)])
    present = np.array(inside)
    gone_and_back = [np.diff(np.flatnonzero(column)).max() > FPS / 5 for column in present.T]
    assert any(gone_and_back) == leaves


def test_who_walks_looks_where_they_go_and_who_stands_at_the_camera():
    path = np.array([[0, -1, 3], [2, 1, 3], [4, 1, 3]])  # to the right, then nowhere
    actor = Actor(0, path)
    assert 75 < actor.pose(1).turn < 90
    assert actor.pose(3.5).turn == pytest.approx(0, abs=1)
    assert actor.walked(1) == 1
    assert actor.velocity(1).tolist() == pytest.approx([1, 0])
    assert 0 < actor.velocity(2)[0] < 1
    assert LOOK_AHEAD < 1


def test_legs_and_arms_swing_against_each_other():
    step, other = walking(np.pi / 2, 1, 0, 0), walking(3 * np.pi / 2, 1, 0, 0)
    assert step.leg_forward[0] > 0 > step.leg_forward[1]
    assert step.arm_forward[0] < 0 < step.arm_forward[1]
    assert step.leg_forward == pytest.approx(other.leg_forward[::-1])


def test_mot_text_and_video_are_of_all_frames(tmp_path):
    film = Film("crossings", seed=1, seconds=0.2, size=SMALL)
    frames: list[Frame] = list(film)
    lines = [line.split(",") for line in mot_lines(frames)]
    assert len(lines) == sum(len(frame.people) for frame in frames)
    assert [int(v) for v in lines[0][:2]] == [1, frames[0].track_ids[0]]
    x1, y1, x2, y2 = frames[0].people[0].box.tolist()
    assert [float(v) for v in lines[0][2:6]] == [x1, y1, x2 - x1, y2 - y1]

    import av

    write_video(tmp_path / "film.mp4", frames)
    with av.open(str(tmp_path / "film.mp4")) as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.streams.video[0].average_rate == FPS
    assert len(shown) == len(frames) == 5
    assert np.abs(shown[4].astype(int) - frames[4].image).mean() < 8
