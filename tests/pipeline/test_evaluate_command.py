"""`poseclient evaluate` on rendered scenes and a real server: its figures, boxes of others, runs that are stopped."""

from __future__ import annotations

import asyncio
import json

import pytest
from PIL import ExifTags, Image

from demo.coco import write_dataset
from demo.evaluate import evaluation_scene, score, served_answers
from poseclient.evaluate import main

SCENES = 12


@pytest.fixture(scope="module")
def rendered():
    return [evaluation_scene(i) for i in range(SCENES)]


@pytest.fixture
def dataset(rendered, tmp_path):
    write_dataset(tmp_path / "dataset", rendered)
    return tmp_path / "dataset"


@pytest.fixture(scope="module")
def expected(server, rendered):
    """The figures as docs/accuracy.md has them, made without files."""
    jpegs, scenes = zip(*rendered, strict=True)
    return score(scenes, *asyncio.run(served_answers(jpegs, f"grpc://{server.grpc_url}")))


@pytest.fixture
def evaluate(server, dataset, tmp_path):
    """Runs the command; gives its exit code, results and figures."""

    def run(*options, out="out", ground_truth=("--annotations", dataset / "person_keypoints.json")):
        folder = tmp_path / out
        own = ["--images", dataset / "images", "--url", f"grpc://{server.grpc_url}", "--out", folder]
        code = main([str(option) for option in (*own, *ground_truth, *options)])
        return code, *(json.loads((folder / f"{name}.json").read_text()) for name in ("results", "figures"))

    return run


def forget(dataset, numbers) -> None:
    """Without their files these images cannot be asked for again."""
    for number in numbers:
        (dataset / "images" / f"{number}.jpg").unlink()


def test_keypoints_have_the_figures_of_the_demo(evaluate, expected):
    code, results, figures = evaluate()
    assert code == 0
    assert figures["keypoints"]["AP_all"] == pytest.approx(expected.keypoint_ap, abs=0.002)
    assert expected.keypoint_ap > 0.8
    assert all(row.keys() == {"image_id", "category_id", "score", "keypoints"} for row in results)
    assert {len(row["keypoints"]) for row in results} == {51}


def test_one_run_has_the_figures_of_keypoints_and_of_boxes(evaluate, expected, tmp_path, capsys):
    _, _, alone = evaluate("--task", "boxes", out="boxes")
    capsys.readouterr()
    code, _, figures = evaluate()
    assert code == 0
    assert figures["boxes"] == pytest.approx(alone["boxes"], abs=0.002)
    assert figures["boxes"]["AP_50"] == pytest.approx(expected.detection_ap50, abs=0.002)
    rows = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert all(row.keys() == {"image_id", "category_id", "score", "bbox"} for row in rows)
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()][1:4:2] == ["keypoints", "boxes"]
    assert said.err.count("demo networks (demo_detector, demo_pose)") == 1


def test_boxes_have_the_figures_of_the_demo(evaluate, expected):
    code, results, figures = evaluate("--task", "boxes")
    assert code == 0
    assert figures["boxes"]["AP_50"] == pytest.approx(expected.detection_ap50, abs=0.002)
    assert expected.detection_ap50 > 0.8
    assert all(row.keys() == {"image_id", "category_id", "score", "bbox"} for row in results)


def test_parts_have_the_figures_of_the_demo(evaluate, expected, dataset):
    code, _, figures = evaluate("--task", "parts", ground_truth=("--masks", dataset / "masks"))
    assert code == 0
    assert figures["mean"]["IoU"] == pytest.approx(expected.parts_miou, abs=0.002)
    assert expected.parts_miou > 0.5


def test_boxes_of_a_file_with_their_scores_count_like_those_of_the_server(evaluate, expected, tmp_path):
    evaluate("--task", "boxes", out="boxes")
    code, _, figures = evaluate("--detections", tmp_path / "boxes" / "results.json", "--model", "pose")
    assert code == 0
    assert figures["keypoints"]["AP_all"] == pytest.approx(expected.keypoint_ap, abs=0.002)


def test_boxes_of_the_ground_truth_give_everyone_who_is_labelled(evaluate, dataset):
    code, results, figures = evaluate("--truth-boxes")
    labelled = [
        row["image_id"]
        for row in json.loads((dataset / "person_keypoints.json").read_text())["annotations"]
        if any(row["keypoints"][2::3])
    ]
    assert code == 0
    assert sorted(row["image_id"] for row in results) == sorted(labelled)
    assert figures["keypoints"]["AP_all"] > 0.9


def test_the_best_30_boxes_of_a_file_count_and_poses_that_are_alike(evaluate, dataset, tmp_path):
    annotations = json.loads((dataset / "person_keypoints.json").read_text())
    box = annotations["annotations"][0]
    rows = [{**{k: box[k] for k in ("image_id", "category_id", "bbox")}, "score": i / 150} for i in range(1, 151)]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    code, everyone, _ = evaluate("--detections", tmp_path / "boxes.json")
    assert (code, len(everyone)) == (0, 30)
    assert everyone[0]["score"] == pytest.approx(150 / 121 * everyone[-1]["score"], rel=1e-3)
    _, more, _ = evaluate("--detections", tmp_path / "boxes.json", "--max-people", 50, out="more")
    assert len(more) == 50
    code, best, _ = evaluate("--detections", tmp_path / "boxes.json", "--oks-nms", 0.9, out="best")
    assert (code, len(best)) == (0, 1)
    assert best[0]["score"] == pytest.approx(everyone[0]["score"], rel=1e-3)


def test_the_server_suppresses_poses_that_are_alike(evaluate):
    doubles = ("--nms-iou", 1.0, "--limit", 3)
    _, everyone, _ = evaluate(*doubles, out="everyone")
    code, some, _ = evaluate(*doubles, "--oks-nms", 0.5, out="some")
    assert code == 0
    assert 0 < len(some) < len(everyone)


def test_the_boxes_of_the_truth_are_sent_in_portions(evaluate, expected):
    """With at most two people in a request everyone is asked for."""
    _, everyone, figures = evaluate("--truth-boxes")
    code, portions, same = evaluate("--truth-boxes", "--max-people", 2, out="portions")
    assert (code, len(portions)) == (0, len(everyone))
    assert same["keypoints"]["AP_all"] == pytest.approx(figures["keypoints"]["AP_all"], abs=0.002)


def test_results_do_not_depend_on_the_load(evaluate):
    alone, together = (evaluate("--concurrency", n, "--score-threshold", 0.2, out=f"out{n}") for n in (1, 16))
    assert alone[0] == together[0] == 0
    assert len(alone[1]) == len(together[1])
    for one, other in zip(alone[1], together[1], strict=True):
        assert one["image_id"] == other["image_id"]
        assert one["keypoints"] == pytest.approx(other["keypoints"], abs=0.01)
    for row, values in alone[2].items():
        assert values == pytest.approx(together[2][row], abs=0.001)


def test_without_an_answer_in_time_there_are_no_figures(evaluate, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("poseclient.evaluate.patience", lambda _: 0.004)
    with pytest.raises(FileNotFoundError):
        evaluate("--limit", 2)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("did not answer within 0.004 s") == 4  # each is asked for twice
    assert "no figures, 2 of 2 images have no answer: the same command goes on from here" in said.err
    monkeypatch.undo()
    code, _, figures = evaluate("--limit", 2)
    assert code == 0
    assert figures["keypoints"]["AP_all"] > 0.7


def test_people_that_are_found_where_there_are_none_are_counted(evaluate, change, capsys):
    """Three images lose their annotations, one of them for a crowd that is the whole image."""
    _, results, _ = evaluate("--task", "boxes", "--score-threshold", 0.3, out="served")
    found = {i: sum(row["image_id"] == i for row in results) for i in (2, 3, 4)}

    def forget_people(truth):
        crowd = {"image_id": 4, "category_id": 1, "bbox": [0, 0, 2000, 2000], "area": 4e6, "iscrowd": 1, "id": 1000}
        kept = [row for row in truth["annotations"] if row["image_id"] not in found]
        truth["annotations"] = [*kept, crowd | {"keypoints": [0] * 51, "num_keypoints": 0}]

    change(forget_people)
    code, _, figures = evaluate("--limit", 4, "--score-threshold", 0.9)  # which is for AP alone
    assert code == 0
    counted = found[2] + found[3]
    assert figures["false people"] == {"per_image": pytest.approx(counted / 3), "images": 3}
    assert counted > 0
    assert f"false people: {counted / 3:.2f} an image, of 3 images without people" in capsys.readouterr().out


def test_a_run_that_was_stopped_asks_only_for_what_is_missing(evaluate, dataset, tmp_path):
    _, results, figures = evaluate("--concurrency", 1)
    answers = tmp_path / "out" / "answers.jsonl"
    lines = answers.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + SCENES
    answers.write_bytes(b"".join(lines[:6]) + lines[6][:-9])
    forget(dataset, range(1, 6))
    code, again, figures_again = evaluate()
    assert code == 0
    assert [row["image_id"] for row in again] == [row["image_id"] for row in results]
    assert figures_again["keypoints"]["AP_all"] == pytest.approx(figures["keypoints"]["AP_all"], abs=0.002)


def test_a_limit_is_not_an_end(evaluate, dataset, expected):
    _, few, _ = evaluate("--limit", 4)
    assert {row["image_id"] for row in few} <= {1, 2, 3, 4}
    forget(dataset, range(1, 5))
    code, _, figures = evaluate()
    assert code == 0
    assert figures["keypoints"]["AP_all"] == pytest.approx(expected.keypoint_ap, abs=0.002)


def test_a_bad_image_is_reported_and_asked_for_again(evaluate, dataset, capsys):
    image = dataset / "images" / "3.jpg"
    good = image.read_bytes()
    image.write_bytes(b"no image")
    code, results, _ = evaluate()
    said = capsys.readouterr().err
    assert code == 1
    assert 3 not in {row["image_id"] for row in results}
    assert "3.jpg: " in said
    assert f"1 of {SCENES} images failed" in said
    forget(dataset, range(1, 13))
    image.write_bytes(good)
    code, results, _ = evaluate()
    assert code == 0
    assert 3 in {row["image_id"] for row in results}


def test_other_settings_need_another_folder(evaluate, capsys):
    evaluate("--limit", 1)
    assert evaluate("--limit", 1, "--score-threshold", 0.5)[0] == 1
    assert "score_threshold None, now 0.5" in capsys.readouterr().err


@pytest.fixture
def refused(server, dataset, tmp_path, capsys):
    """Runs the command, which must be refused; gives what it said."""

    def run(*options):
        own = ["--images", dataset / "images", "--url", f"grpc://{server.grpc_url}", "--out", tmp_path / "out"]
        assert main([str(option) for option in (*own, *options)]) == 1
        return capsys.readouterr().err

    return run


@pytest.fixture
def change(dataset):
    """Changes the ground truth on disk."""

    def change(edit):
        path = dataset / "person_keypoints.json"
        truth = json.loads(path.read_text())
        edit(truth)
        path.write_text(json.dumps(truth))

    return change


def repeat_ids(truth):
    for i, row in enumerate(truth["annotations"]):
        row["id"] = i % 3


def drop_what_is_optional(truth):
    for row in truth["annotations"]:
        for key in ("id", "iscrowd", "num_keypoints"):
            row.pop(key, None)
    for image in truth["images"]:
        del image["width"], image["height"]


@pytest.mark.parametrize("edit", [repeat_ids, drop_what_is_optional])
def test_ids_that_repeat_and_missing_extras_do_not_change_the_figures(edit, evaluate, change, expected):
    change(edit)
    code, _, figures = evaluate()
    assert code == 0
    assert figures["keypoints"]["AP_all"] == pytest.approx(expected.keypoint_ap, abs=0.002)
    _, _, figures = evaluate("--task", "boxes", out="boxes")
    assert figures["boxes"]["AP_50"] == pytest.approx(expected.detection_ap50, abs=0.002)


def same_file_twice(truth):
    truth["images"].append(truth["images"][0] | {"id": 1000})


def ids_in_words(truth):
    for row in truth["images"]:
        row["id"] = f"scene {row['id']}"
    for row in truth["annotations"]:
        row["image_id"] = f"scene {row['image_id']}"


def no_areas(truth):
    for row in truth["annotations"]:
        row["area"] = 0


def another_size(truth):
    truth["images"][2]["width"] += 1


def missing_file(truth):
    truth["images"].append({"id": 1000, "file_name": "lost.jpg"})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (same_file_twice, "two images have the same file_name: 1.jpg"),
        (ids_in_words, "the id of an image must be an integer: 'scene 1', 'scene 2'"),
        (no_areas, "people whose area is 0; OKS divides by it: 1, 2"),
        (another_size, "images of another size than their ground truth: 3.jpg"),
        (missing_file, "images that are missing: "),
    ],
)
def test_faults_of_the_ground_truth_are_said_before_the_first_request(
    edit, words, change, dataset, tmp_path, server, capsys
):
    change(edit)
    truth, url, out = dataset / "person_keypoints.json", f"grpc://{server.grpc_url}", tmp_path / "out"
    command = ["--annotations", truth, "--images", dataset / "images", "--url", url, "--out", out]
    assert main([str(word) for word in command]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (out / "figures.json").exists()
    assert not (out / "answers.jsonl").exists() or (out / "answers.jsonl").read_text().count("\n") == 1


def lay_down(dataset):
    """Store every image turned by a quarter, with the EXIF orientation that shows it as it was."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for path in (dataset / "images").iterdir():
        with Image.open(path) as shown:
            stored = shown.transpose(Image.Transpose.ROTATE_90)
        stored.save(path, quality=95, exif=exif)


def test_images_that_exif_turns_count_as_shown(evaluate, dataset, expected):
    lay_down(dataset)
    code, _, figures = evaluate()
    assert code == 0
    assert figures["keypoints"]["AP_all"] == pytest.approx(expected.keypoint_ap, abs=0.05)


@pytest.mark.parametrize("task", ["keypoints", "parts"])
def test_ground_truth_of_stored_pixels_is_refused(task, dataset, change, refused):
    def turn(truth):
        for image in truth["images"]:
            image["width"], image["height"] = image["height"], image["width"]

    lay_down(dataset)
    change(turn)
    for path in (dataset / "masks").iterdir():
        with Image.open(path) as mask:
            turned = mask.transpose(Image.Transpose.ROTATE_90)
        turned.save(path)
    truth = {"keypoints": ["--annotations", dataset / "person_keypoints.json"], "parts": ["--masks", dataset / "masks"]}
    said = refused("--task", task, *truth[task])
    assert "ground truth of stored pixels, but the EXIF orientation turns these images: 1.jpg" in said


def test_detections_of_other_images_are_refused(dataset, refused, tmp_path):
    row = {"image_id": 1000, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
    (tmp_path / "boxes.json").write_text(json.dumps([row]))
    said = refused("--annotations", dataset / "person_keypoints.json", "--detections", tmp_path / "boxes.json")
    assert "no box of category 1 in these images" in said
