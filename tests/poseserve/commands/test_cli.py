"""The command line: quick where it only speaks, readable in any terminal, and helpful about names."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from poseserve.catalogue import CATALOGUE
from poseserve.cli import COMMANDS, main

HELP = """
import sys
from poseserve.cli import main
try:
    main(["--help"])
except SystemExit:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_help_imports_nothing_that_takes_time():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    *text, modules = done.stdout.splitlines()
    assert all(any(line.split()[:1] == [name] for line in text) for name in COMMANDS)
    assert not {"torch", "cv2", "numpy", "tritonclient", "google", "requests", "poseclient"} & set(modules.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_arguments_and_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert COMMANDS[name].help in text
    takes_nothing = name == "recipes"
    assert ("--" in text.replace("--help", "")) != takes_nothing


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_the_catalogue_fits_the_terminal(root, width):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "poseserve", "catalogue", "--root", root]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment) as process:
        os.close(theirs)
        output = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side has ended
                break
            output += piece
    os.close(ours)
    lines = output.decode().splitlines()
    assert process.returncode == 0
    assert len(lines) == len(CATALOGUE) + 1
    assert max(map(len, lines)) <= width
    assert all(lines[0].count(heading) == 1 for heading in ("network", "installed"))
    assert ("published" in lines[0]) == (width == 300)


def test_the_catalogue_marks_defaults_and_deployments(root, capsys):
    state = root / "model_repository" / "networks.json"
    text = state.read_text(encoding="utf-8")
    deployment = '{"deployment": {"precision": "bf16", "instances": 2}}'
    state.write_text(text.replace('"demo_pose_133": {}', f'"demo_pose_133": {deployment}'), encoding="utf-8")
    assert main(["catalogue", "--task", "pose", "--root", str(root)]) == 0
    last = {line.split()[0]: line.split()[7:] for line in capsys.readouterr().out.splitlines()}
    assert last["demo_pose"][-1:] == ["default"]
    assert last["demo_pose_133"][-2:] == ["bf16", "instances=2"]
    assert not {"default", "yes"} & set(last["vitpose-b-coco"])


def test_a_reader_that_has_seen_enough_is_no_error(root):
    """As `poseserve catalogue | head -1`, with a reader that is gone before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "poseserve", "catalogue", "--root", root]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["add", "vitpose-s-coco25"], "vitpose-s-coco_25"),
        (["fetch", "rtmdet_m"], "rtmdet-m"),
        (["tune", "sapiens-0.3b-part"], "sapiens-0.3b-parts"),
        (["remove", "demo-pose"], "demo_pose"),
        (["default", "pose", "demo_pos_133"], "demo_pose_133"),
    ],
)
def test_of_a_misspelt_network_the_right_one_is_named(arguments, meant, root, capsys):
    where = [] if arguments[0] == "fetch" else ["--root", str(root)]
    assert main([*arguments, *where]) == 1
    error = capsys.readouterr().err
    assert "; did you mean " in error
    assert meant in error.partition("; did you mean ")[2].partition("?")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"names": ["a",\n "b"\n "c"]}', "Expecting ',' delimiter: line 3 column 2"),
        ('["a", "b"]', "must be an object with a list `names`"),
        ('{"names": ["a"], "swap_pairs": 5}', "fox.json"),
        ('{"names": ["a"], "oks_sigmas": 0.1}', "fox.json"),
    ],
)
def test_a_broken_keypoint_file_is_named_with_the_line(text, words, root, tmp_path, capsys):
    file = tmp_path / "fox.json"
    file.write_text(text, encoding="utf-8")
    own = ["--family", "vitpose", "--size", "s", "--keypoints", str(file), "--checkpoint", "x.pth"]
    assert main(["add", "fox", *own, "--root", str(root)]) == 1
    error = capsys.readouterr().err
    assert f"poseserve: {file}: " in error
    assert words in error
