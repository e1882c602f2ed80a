"""Trainings after which one class is predicted everywhere: it is said where it happens."""

from __future__ import annotations

import numpy as np
import pytest
from comparing import write_labelled
from PIL import Image

from geopretrain import cli
from geopretrain.commands.compare import compare
from geopretrain.metrics.segmentation import predicted_everywhere
from geopretrain.study.instrument import collapse_cautions

APART, ROAD = [[5, 1], [0, 3]], [[6, 0], [3, 0]]


@pytest.mark.parametrize(
    ("confusion", "expected"),
    [(APART, None), (ROAD, 0), ([[0, 6], [0, 3]], 1), ([[6, 0], [0, 0]], None), ([[0, 0], [0, 0]], None)],
)
def test_which_class_is_predicted_everywhere(confusion, expected):
    assert predicted_everywhere(confusion) == expected, "of one true class, one prediction is right"


def test_a_comparison_says_of_which_rows_and_how_many():
    def trained(init, labels, confusion):
        return {"init": init, "mode": "full", "labels": labels, "confusion": confusion}

    outcomes = [trained("depth", 4, ROAD), trained("depth", 4, APART), trained("depth", 4, ROAD)]
    outcomes += [trained("depth", 16, ROAD), trained("random", 4, APART)]
    outcomes.append({**outcomes[0], "mode": "encoder", "adopted": True})  # the same training
    (said,) = collapse_cautions(outcomes)
    assert said.startswith("After 3 trainings one class is predicted everywhere ")
    assert "(depth, full, 4 labels: 2 of 3; depth, full, 16 labels: 1 of 1)" in said
    assert collapse_cautions([trained("random", 4, APART), {"init": "x", "mode": "full", "labels": 4}]) == []


@pytest.fixture
def one_sided(tmp_path):
    """Labels to learn from that are road all over but for one row, and others to be scored on."""
    path = write_labelled(tmp_path / "labelled", {"train": 4, "val": 2, "test": 2}, ("road", "car"))
    labels = np.zeros((64, 64), np.uint8)
    labels[0] = 1
    for file in (path / "train" / "labels").iterdir():
        Image.fromarray(labels).save(file)
    return path


def test_it_is_said_where_it_happens(one_sided, tmp_path, caplog):
    options = {"data": str(one_sided), "labels": 4, "size": "64x64", "steps": 12, "batch_size": 2}
    options |= {"lr": 0.1, "backbone": "test_resnet", "settings": {"head": "linear"}, "device": "cpu"}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if name != "settings"]
    run = ["finetune", "segmentation", *words, "--settings", "head=linear", "--out", str(tmp_path / "run")]
    assert cli.main(run) == 0
    assert "road is predicted everywhere: nothing is told apart." in caplog.text
    options |= {"inits": "random", "variants": {"slow": {"init": "random", "lr": 1e-9}}, "modes": "frozen"}
    found = compare(out=tmp_path / "cmp", seeds=2, jobs=1, pictures=1, progress=False, **options)
    (said,) = (one for one in found.results["cautions"] if "predicted everywhere" in one)
    assert "random, frozen, 4 labels: 2 of 2" in said
