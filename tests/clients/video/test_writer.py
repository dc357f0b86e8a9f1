"""Videos that are written: their frames, times, sound and size, and what is left of them when the program is killed."""

import json
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from poseclient import InputError
from poseclient.video.command import CODECS as NAMES
from poseclient.video.frames import Frame, Selection
from poseclient.video.sources import Source, file_frames
from poseclient.video.writer import CODECS, VideoWriter, fit
from tests.clients.video.numbered import bars, number_of, seconds_of_sound, shown


def copy(path: Path, out: Path, codec: str = "h264", **selection) -> Path:
    """Write the frames of a video as they are."""
    source, which = Source(str(path), path.name), Selection(**selection)
    with VideoWriter(out, codec, source, which.start) as writer:
        for frame in file_frames(source, which):
            writer.add(frame, frame.image)
    return out


def numbers(path: Path) -> list[int]:
    return [number_of(image) for _, image in shown(path)]


@pytest.mark.parametrize("codec", CODECS)
def test_every_frame_is_there_at_its_own_time_and_in_its_colours(codec, make_video, tmp_path):
    times = np.cumsum(np.random.default_rng(1).integers(1_500, 9_000, 30)) / 90_000
    path = make_video("a.mp4", [bars(i) for i in range(30)], times - times[0])
    copied = shown(copy(path, tmp_path / "out" / "b.mp4", codec))
    assert [number_of(image) for _, image in copied] == list(range(30))
    assert np.allclose([time for time, _ in copied], times - times[0], atol=1e-6)
    assert np.abs(copied[7][1].astype(int) - bars(7)).mean() < 8
    assert np.abs(copied[7][1][2:20, 2:12].astype(int) - (220, 30, 30)).mean() < 8
    assert not list((tmp_path / "out").glob("*part*"))


def test_the_command_line_offers_all_codecs():
    assert tuple(CODECS) == NAMES


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_the_sound_is_kept(name, make_video, tmp_path):
    path = make_video(name, [bars(i) for i in range(50)], sound=True)
    copied = copy(path, tmp_path / "b.mp4")
    assert seconds_of_sound(copied) == pytest.approx(seconds_of_sound(path), abs=0.1)
    assert numbers(copied) == list(range(50))


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_a_video_that_begins_after_its_sound_stays_with_it(name, make_video, tmp_path):
    path = make_video(name, [bars(i) for i in range(20)], [0.6 + i / 25 for i in range(20)], sound=True)
    copied = shown(copy(path, tmp_path / "b.mp4"))
    assert [time for time, _ in copied] == pytest.approx([0.6 + i / 25 for i in range(20)], abs=0.03)


def test_a_part_has_the_sound_of_the_part(make_video, tmp_path):
    path = make_video("a.mp4", [bars(i) for i in range(100)], sound=True)
    copied = copy(path, tmp_path / "b.mp4", start=1.0, end=3.0)
    assert numbers(copied) == list(range(25, 75))
    assert shown(copied)[0][0] == pytest.approx(0, abs=0.001)
    assert seconds_of_sound(copied) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("size", [(95, 127), (96, 127), (2, 2), (1, 1)])
def test_sides_that_are_odd_become_even(size, make_video, tmp_path):
    images = [np.full((*size, 3), 90, np.uint8)] * 5
    path = make_video("a.mkv", images, encoder="ffv1", pix_fmt="bgr0")
    copied = shown(copy(path, tmp_path / "b.mp4"))
    assert len(copied) == 5
    assert copied[0][1].shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert np.abs(copied[0][1].astype(int) - 90).max() < 8


def test_frames_of_another_size_are_fitted_into_the_first(make_video, tmp_path):
    first = make_video("a.ts", [bars(i) for i in range(10)])
    second = make_video("b.ts", [bars(10 + i, (64, 160)) for i in range(10)], [1 + i / 25 for i in range(10)])
    (tmp_path / "c.ts").write_bytes(first.read_bytes() + second.read_bytes())
    copied = shown(copy(tmp_path / "c.ts", tmp_path / "d.mp4"))
    assert [image.shape for _, image in copied] == [(96, 128, 3)] * 20
    assert copied[-1][1][:10].max() < 30  # black above a wider image
    assert number_of(copied[-1][1][23:73]) == 19


def test_an_image_is_fitted_by_its_longer_side():
    fitted = fit(np.full((10, 40, 3), 200, np.uint8), (20, 20))
    assert (fitted.max((1, 2)) > 0).tolist() == [False] * 7 + [True] * 5 + [False] * 8  # 2.5 rows, to the even


def test_a_size_that_the_encoder_refuses_is_said(tmp_path):
    frame = Frame(0, 0, Fraction(1, 25), np.zeros((2, 40_000, 3), np.uint8))

    def write():
        with VideoWriter(tmp_path / "b.mp4", "h264", Source("a.mp4", "a.mp4"), 0.0) as writer:
            writer.add(frame, frame.image)

    with pytest.raises(InputError, match="libx264"):
        write()
    assert not list(tmp_path.iterdir())


def test_a_video_without_frames_leaves_no_file(tmp_path):
    with VideoWriter(tmp_path / "b.mp4", "h264", Source("a.mp4", "a.mp4"), 0.0):
        pass
    assert not list(tmp_path.iterdir())


def test_what_was_written_until_an_error_is_a_whole_video(make_video, tmp_path):
    path = make_video("a.mp4", [bars(i) for i in range(20)], sound=True)
    source = Source(str(path), path.name)

    def write():
        with VideoWriter(tmp_path / "b.mp4", "h264", source, 0.0) as writer:
            for frame in file_frames(source, Selection(end=0.4)):
                writer.add(frame, frame.image)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert numbers(tmp_path / "b.mp4") == list(range(10))
    assert seconds_of_sound(tmp_path / "b.mp4") == pytest.approx(0.4, abs=0.1)


KILLED = """
import os, signal, sys
from pathlib import Path
from poseclient.video.frames import Frame, Selection
from poseclient.video.sources import Source, file_frames
from poseclient.video.writer import VideoWriter
source = Source(sys.argv[1], "a.mp4")
with VideoWriter(Path(sys.argv[2]), sys.argv[3], source, 0.0) as writer:
    for frame in file_frames(source, Selection()):
        writer.add(frame, frame.image)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_a_killed_writer_leaves_most_of_its_frames(codec, make_video, tmp_path):
    path = make_video("a.mp4", [bars(i % 256) for i in range(200)])
    out = tmp_path / "b.mp4"
    assert subprocess.run([sys.executable, "-c", KILLED, path, out, codec]).returncode == -signal.SIGKILL
    left = numbers(tmp_path / "b.part.mp4")
    assert len(left) >= 180
    assert left[:180] == list(range(180))
    assert not out.exists()


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not there: apt-get install ffmpeg")
@pytest.mark.parametrize("codec", CODECS)
def test_ffprobe_counts_the_same_frames(codec, make_video, tmp_path):
    path = make_video("a.mp4", [bars(i) for i in range(25)], sound=True)
    copied = copy(path, tmp_path / "b.mp4", codec)
    probe = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", copied]
    streams = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"]
    video, sound = sorted(streams, key=lambda stream: stream["codec_type"] != "video")
    assert (video["codec_name"], int(video["nb_read_frames"])) == (codec, 25)
    assert sound["codec_name"] == "aac"
    assert (video["color_space"], float(video["start_time"])) == ("bt709", 0)
    with av.open(str(copied)) as container:
        assert container.format.name.startswith("mov,mp4")
