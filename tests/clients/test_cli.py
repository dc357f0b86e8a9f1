"""`poseclient` on folders: every image has results of its own, and a bad one stops nothing."""

import ast
import json
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
import pytest

from poseclient import protocol
from poseclient.aio import AsyncPoseClient
from poseclient.arguments import parser
from poseclient.cli import main
from poseclient.demo_networks import demo_networks
from poseclient.image_commands import IMAGE_COMMANDS
from poseclient.image_files import find_images


@pytest.fixture
def folder(tmp_path, scene):
    """Three images whose names collide without folder or suffix, and one that is none."""
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    (photos / "a.jpg").write_bytes(scene.jpeg)
    cv2.imwrite(str(photos / "a.PNG"), cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
    (photos / "sub" / "a.jpg").write_bytes(scene.jpeg)
    (photos / "broken.jpg").write_bytes(b"no image")
    (photos / "notes.txt").write_text("no image either")
    return photos


def files(out):
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


@pytest.fixture
def run(server, tmp_path):
    """Runs the command line; gives its exit code and the folder that it wrote."""

    def run(*arguments, url=f"grpc://{server.grpc_url}"):
        return main([*map(str, arguments), "--url", url, "--out", str(tmp_path / "out")]), tmp_path / "out"

    return run


def test_pose_writes_an_overlay_for_each_image_and_one_coco_file(run, folder, capfd):
    code, out = run("pose", folder)
    assert code == 1
    overlays = {f"{name}_overlay.jpg" for name in ("a.jpg", "a.PNG", "sub/a.jpg")}
    assert files(out) == overlays | {"results.json", "images.json", "run.jsonl", "failed.json"}
    images = {row["id"]: row["file_name"] for row in json.loads((out / "images.json").read_text())["images"]}
    assert sorted(images.values()) == ["a.PNG", "a.jpg", "sub/a.jpg"]
    rows = json.loads((out / "results.json").read_text())
    assert {row["image_id"] for row in rows} == set(images)
    assert all(len(row["keypoints"]) == 51 for row in rows)
    said = capfd.readouterr()
    assert f"3 images, {len(rows)} people, 1 failed" in said.out
    assert "broken.jpg: " in said.err
    assert "accepted" in said.err
    assert f"written to {out}: results.json, images.json, IMAGE_overlay.jpg" in said.out
    assert f"left out, no images by their names: {folder / 'notes.txt'}" in said.err
    assert list(json.loads((out / "failed.json").read_text())) == [str(folder / "broken.jpg")]


@pytest.mark.parametrize(("kind", "key"), [("sapiens", "instance_info"), ("easy_vitpose", "skeleton")])
def test_other_formats_are_one_file_for_each_image(run, folder, kind, key):
    (folder / "broken.jpg").unlink()
    code, out = run("pose", folder, "--format", kind, "--no-overlay")
    assert code == 0
    assert files(out) == {"a.jpg.json", "a.PNG.json", "sub/a.jpg.json", "run.jsonl"}
    assert key in json.loads(next((out / "sub").iterdir()).read_text())


def test_openposes_format_is_a_list_and_a_skeleton_for_each_image(run, folder):
    code, out = run("pose", folder / "a.jpg", "--format", "openpose", "--no-overlay")
    assert code == 0
    assert files(out) == {"a.jpg_keypoints.json", "a.jpg_openpose.png", "run.jsonl"}


def test_the_whole_image_is_one_person_on_demand(run, folder, scene):
    code, out = run("pose", folder / "a.jpg", "--whole-image")
    assert code == 0
    (row,) = json.loads((out / "results.json").read_text())
    assert row["bbox"] == [0, 0, *scene.image.shape[1::-1]]
    assert len(row["keypoints"]) == 51


def test_the_similarity_of_poses_is_passed_on(run, folder, capfd):
    assert run("pose", folder / "a.jpg", "--oks-nms", 7)[0] == 1
    assert "oks_nms" in capfd.readouterr().err


def test_detect_passes_its_options_on(run, folder, server):
    code, out = run("detect", folder / "a.jpg", "--max-people", 1, url=f"http://{server.http_url}")
    assert code == 0
    rows = json.loads((out / "results.json").read_text())
    assert len(rows) == 1
    assert "keypoints" not in rows[0]


def test_parts_writes_class_ids_of_the_images_size(run, folder, scene):
    code, out = run("parts", folder / "a.jpg", folder / "sub", "--concurrency", 1)
    assert code == 0
    assert files(out) == {f"{n}_{kind}" for n in ("a.jpg", "sub/a.jpg") for kind in ("parts.png", "overlay.jpg")} | {
        "run.jsonl"
    }
    mask = cv2.imread(str(out / "a.jpg_parts.png"), cv2.IMREAD_UNCHANGED)
    assert (mask.dtype, mask.shape) == (np.uint8, scene.image.shape[:2])


def test_parts_in_sapiens_format_have_the_type_asked_for(run, folder, scene):
    code, out = run("parts", folder / "a.jpg", "--format", "sapiens", "--ids", "int64", "--no-overlay")
    assert code == 0
    assert files(out) == {"a.jpg.npy", "a.jpg_seg.npy", "run.jsonl"}
    ids = np.load(out / "a.jpg_seg.npy")
    assert (ids.dtype, ids.shape) == (np.int64, scene.image.shape[:2])


def test_people_are_results_with_segmentations_and_panoptic_segments(run, folder, scene):
    code, out = run("people", folder / "a.jpg", "--side-by-side")
    assert code == 0
    lists = {"results.json", "images.json", "panoptic.json", "run.jsonl"}
    assert files(out) == lists | {"a.jpg_panoptic.png", "a.jpg_overlay.jpg"}
    rows = json.loads((out / "results.json").read_text())
    assert rows
    assert all(row["segmentation"]["size"] == list(scene.image.shape[:2]) for row in rows)
    (annotation,) = json.loads((out / "panoptic.json").read_text())["annotations"]
    assert {segment["instance"] for segment in annotation["segments_info"]} >= {0}


def test_a_second_run_does_not_take_results_for_images(run, folder):
    code, out = run("pose", folder.parent)
    first = files(out)
    assert (code, files(run("pose", folder.parent, "--overwrite")[1])) == (1, first)


def test_names_of_results_do_not_depend_on_neighbours(run, folder):
    _, out = run("pose", folder / "sub", "--format", "sapiens")
    first = files(out)
    (folder / "sub" / "a.png").write_bytes((folder / "a.PNG").read_bytes())
    code, out = run("pose", folder / "sub", "--format", "sapiens", "--resume")
    assert code == 0
    assert files(out) == first | {"a.png_overlay.jpg", "a.png.json"}


def test_a_missing_file_is_reported_and_stops_nothing(run, folder, capfd):
    code, out = run("detect", folder / "a.jpg", folder / "missing.jpg")
    assert code == 1
    assert "a.jpg_overlay.jpg" in files(out)
    assert "missing.jpg: " in capfd.readouterr().err


@pytest.mark.parametrize(
    "command",
    [["depth", "--of-people", "--max-people", 3], ["normals", "--nms-iou", 0.5], ["features", "--pooled"], ["pointmap"],
     ["matting"], ["people", "--oks-nms", 0.9], ["parts"], ["pose", "--whole-image"]],
)  # fmt: skip
def test_a_model_that_the_server_has_not_is_one_line(run, folder, capfd, command):
    code, out = run(*command, folder, "--model", "of.nobody")
    assert code == 1
    assert not out.exists()
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "of.nobody" in said


def test_names_are_paths_below_the_folder_that_holds_all(tmp_path):
    for name in ("x/a.jpg", "y/a.jpg", "y/z/b.TIFF", "y/out/a.jpg", "y/readme.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    x, y, out = tmp_path / "x", tmp_path / "y", tmp_path / "y" / "out"
    assert set(find_images([y], out).images) == {"a.jpg", "z/b.TIFF"}
    assert find_images([y], out).others == [y / "readme.md"]
    assert set(find_images([x / "a.jpg", y / "a.jpg"], out).images) == {"x/a.jpg", "y/a.jpg"}
    assert set(find_images([x, y, y / "z", y / "a.jpg"], out).images) == {"x/a.jpg", "y/a.jpg", "y/z/b.TIFF"}
    assert set(find_images([y / "readme.md"], out).images) == {"readme.md"}
    assert find_images([out.parent / "z"], out).images["b.TIFF"] == y / "z" / "b.TIFF"


def test_no_images_and_no_server_are_said_at_once(tmp_path, capsys):
    assert main(["pose", str(tmp_path)]) == 1
    assert "no images" in capsys.readouterr().err
    (tmp_path / "a.jpg").touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"grpc://127.0.0.1:{listener.getsockname()[1]}"
    assert main(["pose", str(tmp_path), "--url", url, "--out", str(tmp_path / "out")]) == 1
    assert url in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["pose"], ["pose", "a.jpg", "--url", "gpu"], ["pose", "a.jpg", "--concurrency", "0"],
        ["detect", "a.jpg", "--format", "sapiens"], ["depth", "a.jpg", "--ids", "int64"],
        ["matting", "a.jpg", "--pooled"],
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_a_fault_of_the_program_shows_its_traceback(run, folder, monkeypatch):
    async def broken(client, data, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(AsyncPoseClient, "detect", broken)
    with pytest.raises(ZeroDivisionError):
        run("detect", folder / "a.jpg")


@pytest.mark.parametrize("below", ["out", "out/below"])
def test_a_folder_that_cannot_be_written_is_one_line(server, folder, tmp_path, capsys, below):
    (tmp_path / "out").touch()
    url = f"grpc://{server.grpc_url}"
    assert main(["depth", str(folder / "a.jpg"), "--out", str(tmp_path / below), "--url", url]) == 1
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith(f"poseclient: --out {tmp_path / below} ")


@pytest.mark.parametrize(
    ("words", "meant"), [(["poes", "a.jpg"], "'pose'"), (["pose", "a.jpg", "--format", "opnpose"], "'openpose'")]
)
def test_a_misspelt_word_is_asked_about(words, meant, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_help_imports_nothing_that_takes_time():
    """0.1 s on two cores (`time poseclient --help`), where numpy, OpenCV and tritonclient took 1.5 s."""
    code = (
        "import sys; from poseclient.cli import main\n"
        "try: main(['pose', '--help'])\n"
        "except SystemExit: print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert "poseclient" in loaded
    assert not loaded & {"numpy", "cv2", "PIL", "tritonclient", "grpc", "aiohttp", "gevent", "tqdm", "asyncio"}


def test_the_default_server_is_that_of_the_clients():
    assert parser().parse_args(["pose", "a.jpg"]).url == protocol.DEFAULT_URL


def test_demo_networks_are_said_once(run, folder, capfd):
    """They find nobody in photographs, which nobody can see from the files alone."""
    run("pose", folder)
    said = [line for line in capfd.readouterr().err.splitlines() if "demo networks" in line]
    assert len(said) == 1
    assert "demo_detector, demo_pose" in said[0]
    assert "rendered people only" in said[0]
    assert "poseserve add --recipe light" in said[0]


@pytest.mark.parametrize("protocol_name", ["grpc", "http"])
async def test_only_demo_networks_are_demo_networks(server, protocol_name):
    url = f"{protocol_name}://{getattr(server, f'{protocol_name}_url')}"
    async with AsyncPoseClient(url) as client:
        assert await demo_networks(client, "detect") == ["demo_detector"]
        assert await demo_networks(client, "decode_image") == []


def test_a_format_that_cannot_hold_the_keypoints_is_refused_before_the_first_request(run, folder, capfd):
    code, out = run("pose", folder, "--model", "pose.demo_pose_133", "--format", "openpose")
    assert code == 1  # broken.jpg
    shutil.rmtree(out)
    capfd.readouterr()
    with keypoint_sets_of_openpose("coco_17"):
        code, out = run("pose", folder, "--model", "pose.demo_pose_133", "--format", "openpose")
    assert code == 1
    assert not out.exists()
    said = capfd.readouterr().err
    assert said == (
        "poseclient: the format openpose holds keypoints of coco_17; "
        "those of pose.demo_pose_133 are coco_wholebody_133\n"
    )


@contextmanager
def keypoint_sets_of_openpose(*names):
    """The format with these sets: the demo networks have no set that it cannot hold."""
    formats = IMAGE_COMMANDS["pose"].formats
    before = formats["openpose"]
    formats["openpose"] = replace(before, keypoint_sets=names)
    try:
        yield
    finally:
        formats["openpose"] = before
