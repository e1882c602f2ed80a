"""`advise`: what is said of a video and labelled images, and what is refused."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
import yaml
from making_clips import sliding_frames, write_images
from PIL import Image

import geopretrain as gp
from geopretrain import cli
from geopretrain.advice.commands import Plan
from geopretrain.advice.labels import Labels
from geopretrain.config.parsing import parse
from geopretrain.evaluation import frames
from geopretrain.networks.packaged import has_package

LITE = "tf_efficientnet_lite0"
pytestmark = pytest.mark.skipif(not has_package(LITE), reason="needs the extra imagenet-lite")
SIZE = (64, 96)


def write_labelled(root, counts, seed=50, classes="dark\nbright\nunseen\n"):
    """Pictures of four places in each split, the class being the brightness; the third class never occurs."""
    for number, (split, count) in enumerate(counts.items()):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for k in range(count):
            place = k % 4
            picture = sliding_frames(1, size=SIZE, seed=seed + 10 * number + place, start=3.0 * k)[0]
            Image.fromarray(picture).save(root / split / "images" / f"place{place}_{k:04d}.png")
            label = (picture.mean(-1) > 128).astype(np.uint8)
            Image.fromarray(label).save(root / split / "labels" / f"place{place}_{k:04d}.png")
    (root / "classes.txt").write_text(classes)
    return root


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A store of a video that slides over a texture, and labelled images of other ones."""
    root = tmp_path_factory.mktemp("places")
    write_images(root / "video", sliding_frames(30, size=SIZE, seed=1))
    gp.prepare(root / "video", root / "store", size=SIZE, progress=False)
    write_labelled(root / "labelled", {"train": 12, "val": 4, "test": 4})
    return root


def run(capsys, *words):
    code = cli.main(["advise", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, " ".join(printed.err.split())


def test_all_that_it_rests_on_is_said_and_written(places, tmp_path, capsys):
    store, labelled = places / "store", places / "labelled"
    code, text, _ = run(capsys, store, labelled, "--labels", 8, "--out", tmp_path / "advice")
    assert code == 0
    words = " ".join(text.split())
    for said in (
        "Start from ImageNet's weights",
        "in 1 clip, 64x96 px",
        "The camera of the video is guessed",
        "12 train, 4 val, 4 test labelled images for segmentation",
        "8 of the 12 training images are to be learned from",
        "In no training label: unseen",
        "are 0.",
        "at that pace four times the labels are worth",
        "shown to add to ImageNet's weights",
        "docs/real-data.md",
    ):
        assert said in words, said
    assert (tmp_path / "advice" / "advice.txt").read_text().strip() in text
    found = json.loads((tmp_path / "advice" / "advice.json").read_text())
    assert found["video"]["samples"]["train"] > 10
    assert found["labels"]["counts"] == {"train": 12, "val": 4, "test": 4}
    assert found["labels"]["absent"] == ["unseen"]
    assert found["domain"]["kind"] in ("same", "related", "other")
    assert {point["labels"] for point in found["probe"]["points"]} == {4, 8, 12}
    assert {point["init"] for point in found["probe"]["points"]} == {"random", "imagenet"}
    assert found["probe"]["judged_on"] == "val"
    assert found["pretraining"]["best"]["study"]["where"].startswith("docs/")
    for line in (one["command"] for one in found["commands"]):
        name, *rest = shlex.split(line)
        command = next(one for one in cli.COMMANDS if rest[: len(one.split())] == one.split())
        given = parse(command, cli.COMMANDS[command].options_class(), rest[len(command.split()) :])
        cli.COMMANDS[command].options_class()(**given)
        assert name == "geopretrain"
        assert line in text


def test_json_alone_is_printed_and_nothing_beside_it(places, capsys):
    code, text, err = run(capsys, places / "store", places / "labelled", "--json")
    assert (code, err) == (0, "")
    assert json.loads(text)["verdict"] in ("likely", "not shown", "unlikely", "not measured", "impossible")


def test_a_measurement_of_ones_own_changes_the_advice(places, tmp_path):
    row = {
        "data": "a street", "task": "segmentation", "unit": "points of mIoU", "labels": 12, "backbone": LITE,
        "size": [64, 96], "protocol": "p", "where": "w",
        "effects": [
            {"added": "scdepth", "to": "imagenet", "trained": "full", "effect": 4.0, "interval": [3.0, 5.0],
             "trainings": 8, "pretrain": "scdepth --settings version=1 --steps 900"}
        ],
    }  # fmt: skip
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump([row]))
    store, labelled = places / "store", places / "labelled"
    usual = gp.advise(store, labelled, progress=False)
    found = gp.advise(store, labelled, measured=mine, progress=False)
    assert usual.verdict != "likely"
    assert found.verdict == "likely"
    assert "likely to pay: scdepth did, +4 [" in found.headline
    lines = [line for _, line in found.commands]
    assert "pretrain scdepth --settings version=1 --steps 900" in lines[0]
    assert "--init runs/imagenet-scdepth" in lines[1]


def test_a_run_is_probed_beside_imagenet(places, tmp_path):
    small = {"steps": 1, "batch_size": 2, "precision": "fp32", "progress": False}
    store, labelled = places / "store", places / "labelled"
    run = gp.pretrain("simmim", data=store, out=tmp_path / "run", backbone=LITE, **small)
    found = gp.advise(store, labelled, init=run.path, progress=False)
    assert {point.init for point in found.probe.points} == {"random", "imagenet", str(run.path)}
    assert f"{run.path} beside ImageNet, set by set" in " ".join(found.text().split())
    lines = [line for _, line in found.commands]
    assert f"--inits imagenet,{run.path} " in lines[1]
    assert not any("pretrain" in line.split()[1] for line in lines), "it is pre-trained"


def test_test_images_are_never_looked_at(places, tmp_path):
    labelled = write_labelled(tmp_path / "labelled", {"train": 8, "val": 2, "test": 2})
    for file in (labelled / "test" / "images").iterdir():
        Image.new("RGB", SIZE[::-1]).save(file)
        file.write_bytes(file.read_bytes()[:90])
    found = gp.advise(places / "store", labelled, progress=False)
    assert found.labels.counts["test"] == 2
    assert found.probe.judged_on == "val"


def test_three_labelled_images_are_too_few_for_most_and_no_reason_to_fail(places, tmp_path):
    labelled = write_labelled(tmp_path / "labelled", {"train": 1, "val": 1, "test": 1})
    found = gp.advise(places / "store", labelled, progress=False)
    assert found.domain.kind == "unknown"
    assert "too few labelled images to tell how like them" in found.text()
    assert {point.labels for point in found.probe.points} == {1}
    assert found.probe.slope("imagenet") is None


def test_a_store_of_still_images_teaches_no_geometry(places, tmp_path):
    gp.prepare(places / "video", tmp_path / "still", size=SIZE, still_images=True, progress=False)
    found = gp.advise(tmp_path / "still", places / "labelled", progress=False)
    assert found.verdict == "impossible"
    assert "Geometry cannot be learned from this video" in found.headline
    ((why, line),) = found.commands
    assert why.startswith("The safe choice (imagenet")
    assert ("--mode frozen" in line) == ("better frozen" in why)


def test_boxes_and_depth_have_their_facts_and_no_probe(places, tmp_path):
    worlds = "synthetic:street?train=4&val=2&test=2"
    found = gp.advise(places / "store", worlds, task="detection", size=(64, 128), progress=False)
    assert found.labels.task == "detection"
    assert sum(found.labels.classes.values()) == pytest.approx(1)
    assert found.probe is None
    assert any("compare --task detection" in line for _, line in found.commands)
    gp.prepare(
        "synthetic:rooms?frames=12&seed=1", tmp_path / "rooms", size=SIZE, still_images=True, progress=False
    )
    depth = gp.advise(places / "store", tmp_path / "rooms", progress=False)
    assert depth.labels.task == "depth"
    assert depth.verdict == "not shown"
    assert any("finetune depth --supervision labels" in line for _, line in depth.commands)
    assert "imagenet instead of random numbers, all layers +0.117" in " ".join(depth.text().split())


def test_labels_that_were_propagated_are_no_labels(places, tmp_path, monkeypatch):
    from geopretrain.data.labelled.labelled_set import LabelledSet

    opened = LabelledSet.open

    def with_four_propagated(*values, **named):
        found = opened(*values, **named)
        found.source.propagated_from = (0, 0, 1, 1)
        return found

    monkeypatch.setattr(LabelledSet, "open", with_four_propagated)
    found = gp.advise(places / "store", places / "labelled", progress=False)
    assert (found.labels.train, found.labels.propagated) == (8, 4)
    assert {point.labels for point in found.probe.points} == {4, 8}
    assert "Beside them 4 to which labels were propagated" in found.text()


@pytest.mark.parametrize(
    ("video", "labelled", "more", "sentence"),
    [
        ("nothing", "labelled", [], "'nothing' does not exist"),
        ("store", "nothing", [], "'nothing' does not exist"),
        ("labelled", "store", [], "The video comes first and the labelled data second"),
        ("store", "video", [], "is no known labelled data set"),
        ("store", ".", [], "wrong level"),
        ("still", "labelled", [], "hardly moves"),
        ("store", "labelled", ["--labels", "13"], "--labels must be at most 12"),
        ("store", "labelled", ["--labels", "0"], "--labels must be"),
        ("store", "labelled", ["--task", "detection"], "holds no boxes"),
        ("store", "labelled", ["--init", "store"], "is no finished run"),
        ("store", "labelled", ["--backbone", "resnet17"], "Did you mean"),
        ("store", "labelled", ["--measured", "classes.txt"], "classes.txt"),
        ("store", "one", [], "bright (1) and nothing else"),
        ("store", "empty", [], "too few labelled images"),
        ("images:labelled/train/images", "labelled", [], "geometry is learned from video"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    places, tmp_path, capsys, monkeypatch, video, labelled, more, sentence
):
    monkeypatch.chdir(places)
    monkeypatch.setattr(frames, "features_of", None)  # nothing is computed before it is refused
    if not (places / "one").exists():
        write_labelled(places / "one", {"train": 4, "val": 2})
        for file in (places / "one").glob("*/labels/*.png"):
            Image.fromarray(np.ones(SIZE, np.uint8)).save(file)
        write_images(places / "still", [sliding_frames(1, size=SIZE)[0]] * 12)
        (places / "classes.txt").write_text("dark\nbright\n")
        for kind in ("images", "labels"):
            (places / "empty" / kind).mkdir(parents=True)
        (places / "empty" / "classes.txt").write_text("dark\nbright\n")
    code, _, err = run(capsys, video, labelled, *more)
    assert code == 2
    assert sentence in err
    assert err.startswith("error: ")


def test_a_file_of_others_in_the_folder_is_left_alone(places, tmp_path, capsys):
    (tmp_path / "advice.json").write_text("mine")
    code, _, err = run(capsys, places / "store", places / "labelled", "--out", tmp_path)
    assert code == 2
    assert "not written by geopretrain" in err
    assert (tmp_path / "advice.json").read_text() == "mine"


def test_no_more_frames_are_to_be_chosen_than_the_video_has(places, capsys):
    code, text, _ = run(capsys, places / "store", places / "labelled", "--json")
    found = json.loads(text)
    assert code == 0
    (line,) = [one["command"] for one in found["commands"] if " data select " in one["command"]]
    asked = int(shlex.split(line)[shlex.split(line).index("--labels") + 1])
    assert asked == min(16, found["video"]["samples"]["train"])
    plan = Plan("v", "l", labels=None, backbone="b", start="imagenet", frames=5)
    assert " --labels 5 " in plan.select("to-label")


@pytest.mark.parametrize(
    ("wanted", "task", "start", "init", "frozen"),
    [
        (4, "segmentation", "imagenet", "imagenet", True),
        (8, "segmentation", "imagenet", "imagenet", True),
        (9, "segmentation", "imagenet", "imagenet", False),
        (4, "depth", "imagenet", "imagenet", False),
        (4, "segmentation", "random", "random", False),
        (4, "segmentation", "imagenet", "runs/imagenet-monodepth", False),
    ],
)
def test_with_a_handful_of_labels_imagenets_encoder_is_frozen(wanted, task, start, init, frozen):
    labels = Labels(
        "l", "k", task, (64, 96), {"train": 20, "val": 2, "test": 2}, 0, wanted, 0, {}, (), (), ()
    )
    plan = Plan("v", "l", labels, "b", start, 5)
    assert ("--mode frozen" in plan.finetune(init, "runs/x")) == frozen
