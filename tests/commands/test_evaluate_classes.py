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
    names = ("miou", "pixel_accuracy", "iou", "per_image_miou", "protocol")
    assert {name: found[name] for name in names} == {name: run.results[name] for name in names}
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
    with pytest.raises(OptionError, match="flip is for runs that predict depth or flow"):
        gp.evaluate(run, few, flip=True, progress=False)
