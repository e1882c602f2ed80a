"""Fine-tuned segmenters are scored on any split of labelled images."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

import geopretrain as gp
from geopretrain.cli import main
from geopretrain.errors import ConfigError, DataError, OptionError

SMALL = {"backbone": "test_resnet", "size": (64, 64), "device": "cpu", "threads": 1, "progress": False}
COUNTS = {"train": 6, "val": 3, "test": 4}


def write_set(root, names=("left", "right")):
    """Write images whose halves are classes, told by the colour."""
    for split, count in COUNTS.items():
        for folder in ("images", "labels"):
            (root / split / folder).mkdir(parents=True)
        for i in range(count):
            border = 16 + 6 * i
            image = np.random.default_rng([len(split), i]).integers(0, 60, (64, 64, 3), dtype=np.uint8)
            image[:, :border, 0] += 150
            labels = np.ones((64, 64), np.uint8)
            labels[:, :border] = 0
            Image.fromarray(image).save(root / split / "images" / f"{i}.png")
            Image.fromarray(labels).save(root / split / "labels" / f"{i}.png")
    (root / "classes.txt").write_text("\n".join(names))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("classes") / "few")


@pytest.fixture(scope="module")
def run(data):
    return gp.finetune_segmentation(
        data=data, out=data.parent / "run", steps=2, labels=4, batch_size=2, evaluate_on="val",
        monitor="validation/miou", keep="best", **SMALL,
    )  # fmt: skip


def test_the_split_of_the_training_scores_as_then(run, data):
    found = gp.evaluate(run, data, split="val", device="cpu", progress=False)
    names = ("miou", "pixel_accuracy", "iou", "per_image_miou", "protocol", "residual_protocol")
    assert {name: found[name] for name in names} == {name: run.results[name] for name in names}
    assert found["residual_information"] == pytest.approx(run.results["residual_information"])
    assert "chosen on val" in found["familiarity"]


def test_weights_chosen_by_the_scored_images_are_said_so(run, data):
    said = run.results["selection"]
    assert "weights were chosen by the very images that are scored (val)" in said
    assert f"geopretrain evaluate {run.path} {data} --split test" in said


def test_another_split_is_scored_written_and_told(run, data, capsys):
    assert main(["evaluate", str(run.path), str(data), "--csv"]) == 0
    said = capsys.readouterr().out
    assert "over all 4 images of 'test' at 64x64 px" in said
    assert "left" in said
    kept = json.loads((run.path / "evaluation" / "few-test-segmentation.json").read_text())
    assert (kept["split"], kept["images"], kept["familiarity"]) == ("test", 4, "")
    assert set(kept["iou"]) == {"left", "right"}
    rows = list(csv.DictReader((run.path / "evaluation" / "few-test-segmentation.csv").open()))
    assert [row["name"].endswith(f"{i}.png") for i, row in enumerate(rows)] == [True] * 4
    assert np.mean([float(row["miou"]) for row in rows]) == pytest.approx(kept["per_image_miou"])
    assert "in sample" in gp.evaluate(run, data, split="train", progress=False)["familiarity"]


def test_a_damaged_image_is_left_out_and_what_cannot_be_scored_is_refused(run, tmp_path, capsys):
    few = write_set(tmp_path / "few")
    (few / "test" / "images" / "1.png").write_bytes(b"no image")
    assert main(["evaluate", str(run.path), str(few)]) == 3
    assert "1 damaged, and in none of these numbers" in capsys.readouterr().out
    for path in (few / "test" / "labels").iterdir():
        Image.fromarray(np.full((64, 64), 255, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"All labels of the test split .* are ignored"):
        gp.evaluate(run, few, progress=False)
    other = write_set(tmp_path / "other", names=("right", "left"))
    with pytest.raises(ConfigError, match="have 'right' as class 0, the run 'left'"):
        gp.evaluate(run, other, progress=False)
    with pytest.raises(OptionError, match="frames is for runs that predict depth or flow"):
        gp.evaluate(run, few, frames="all", progress=False)


def independent(confusion):
    """The IoU of each class from a confusion matrix, without our code."""
    right = [confusion[i][i] for i in range(len(confusion))]
    true = [sum(row) for row in confusion]
    taken = [sum(column) for column in zip(*confusion, strict=True)]
    return [r / (t + p - r) for r, t, p in zip(right, true, taken, strict=True)], true


def test_each_class_the_confusion_and_the_calibration_are_told(run, data, capsys):
    found = gp.evaluate(run, data, progress=True, device="cpu")
    said = capsys.readouterr().out
    assert "calibration error" in said
    assert "precision" in said
    iou, true = independent(found["confusion"])
    assert list(found["iou"].values()) == pytest.approx(iou)
    assert [row["iou"] for row in found["classes"].values()] == pytest.approx(iou)
    assert (
        [row["pixels"] for row in found["classes"].values()] == true == [64 * (16 + 22 + 28 + 34), 64 * 156]
    )
    assert found["miou"] == pytest.approx(np.mean(iou))
    assert sum(row["pixels"] for row in found["reliability"]) == 4 * 64 * 64
    assert 0 <= found["ece"] <= 1
    with Image.open(run.path / "evaluation" / "few-test-segmentation.png") as picture:
        assert min(picture.size) > 100


def test_windows_scales_and_mirrored_images_are_told_and_kept_apart(run, data):
    plain = gp.evaluate(run, data, progress=False, device="cpu")
    many = gp.evaluate(
        run, data, window="48x64", stride=16, scales="1,1.5", flip=True, progress=False, device="cpu"
    )
    assert many["protocol"].startswith(plain["protocol"])
    assert "windows of 48x64 every 16x16 px and scales 1, 1.5 and mirrored images" in many["protocol"]
    assert many["ece"] != plain["ece"]
    kept = run.path / "evaluation" / "few-test-segmentation-window48x64-16x16-scales1-1.5-flip.json"
    assert json.loads(kept.read_text())["miou"] == many["miou"]
    with pytest.raises(OptionError, match="stride must be at most the window"):
        gp.evaluate(run, data, window="32x32", stride=40, progress=False)
    with pytest.raises(OptionError, match="scales must be"):
        gp.evaluate(run, data, scales="0", progress=False)
