"""Every frame of a file, when a viewer shows it, and as a viewer shows it."""

import av
import cv2
import numpy as np
import pytest

from poseclient import InputError
from poseclient.video.frames import Selection, count_frames
from poseclient.video.sources import Source, file_frames
from tests.clients.video.numbered import bars, number_of

FRAMES = 40
IRREGULAR = np.cumsum(np.random.default_rng(0).integers(1_000, 9_000, FRAMES)) / 90_000


@pytest.fixture
def video(make_video):
    """40 numbered frames at irregular times."""
    return make_video("a.mp4", [bars(i) for i in range(FRAMES)], IRREGULAR - IRREGULAR[0])


def read(path, **selection):
    return list(file_frames(Source(str(path), path.name), Selection(**selection)))


def test_all_frames_come_at_their_times(video):
    """Also those that the decoder still holds when the file is at its end."""
    frames = read(video)
    assert [number_of(frame.image) for frame in frames] == [frame.index for frame in frames] == list(range(FRAMES))
    assert np.allclose([frame.time for frame in frames], IRREGULAR - IRREGULAR[0], atol=1e-9)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_times_count_from_the_start_of_the_source(name, make_video):
    """A transport stream starts at 1.4 s."""
    frames = read(make_video(name, [bars(i) for i in range(20)]))
    assert len(frames) == 20
    assert np.allclose([frame.time for frame in frames], np.arange(20) / 25, atol=0.001)


def test_times_that_are_out_of_order_are_put_right(make_video):
    """AVI cannot say when a B-frame is shown."""
    frames = read(make_video("a.avi", [bars(i) for i in range(20)]))
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    assert (np.diff([frame.time for frame in frames]) > 0).all()
    assert np.allclose([frame.time for frame in frames], np.arange(20) / 25, atol=0.09)


def test_a_part_is_chosen_by_times(video):
    times = IRREGULAR - IRREGULAR[0]
    frames = read(video, start=times[10] - 1e-6, end=times[30])
    assert [number_of(frame.image) for frame in frames] == list(range(10, 30))
    assert frames[0].time == pytest.approx(times[10])


def test_every_third_frame_keeps_its_number_and_time(video):
    frames = read(video, every=3)
    assert (
        [number_of(frame.image) for frame in frames] == [frame.index for frame in frames] == list(range(0, FRAMES, 3))
    )
    assert np.allclose([frame.time for frame in frames], (IRREGULAR - IRREGULAR[0])[::3])


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_frames_are_turned_as_the_file_asks(rotation, make_video):
    """As OpenCV turns them, when it is told to."""
    path = make_video("phone.mp4", [bars(5)] * 3, rotation=rotation)
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    reader.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    expected = cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB)
    found = read(path)[0].image
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3
    turned = read(path, rotate=90)[0].image
    assert np.array_equal(turned, np.rot90(found))


def test_a_video_without_a_picture_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 48_000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="no video"):
        read(tmp_path / "a.mp4")


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_a_file_that_is_no_video_is_named(content, tmp_path):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4: Invalid data"):
        read(tmp_path / "a.mp4")


def test_broken_packets_are_passed_over(make_video, tmp_path):
    """A hole in a transport stream costs the frames in it alone."""
    path = make_video("a.ts", [bars(i) for i in range(100)])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 20 * 188] = bytes(20 * 188)
    path.write_bytes(data)
    numbers = [number_of(frame.image) for frame in read(path)]
    assert 50 < len(numbers) <= 100
    assert numbers[-1] == 99


def test_the_size_may_change_half_way(make_video, tmp_path):
    first = make_video("a.ts", [bars(i) for i in range(10)])
    second = make_video("b.ts", [bars(i, (64, 160)) for i in range(10)], [1 + i / 25 for i in range(10)])
    (tmp_path / "c.ts").write_bytes(first.read_bytes() + second.read_bytes())
    frames = read(tmp_path / "c.ts")
    assert [frame.image.shape[:2] for frame in frames] == [(96, 128)] * 10 + [(64, 160)] * 10
    assert (np.diff([frame.pts for frame in frames]) > 0).all()


@pytest.mark.parametrize(
    ("selection", "expected"),
    [({}, 100), ({"every": 3}, 34), ({"start": 1.0}, 75), ({"end": 2.0}, 50), ({"start": 9.0}, 0)],
)
def test_the_number_of_frames_is_known_before(selection, expected, make_video):
    with av.open(str(make_video("a.mp4", [bars(0)] * 100))) as container:
        assert count_frames(container, Selection(**selection)) == pytest.approx(expected, abs=1)
