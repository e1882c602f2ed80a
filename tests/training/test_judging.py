"""Weights are chosen on images that are not scored, and the scored ones are looked at once, in the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import geopretrain as gp
from geopretrain.cli import main
from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import OptionError
from geopretrain.training import judging
from geopretrain.training.judging import course_of, judges_of
from geopretrain.training.segmentation import segmentation_training

WORLD = "synthetic:street?train=5&val=2&test=3"
SMALL = {"size": "64x96", "backbone": "test_resnet", "device": "cpu", "batch_size": 2}


def test_judges_are_of_the_val_split_or_left_over_training_images():
    splits = {"train": np.arange(5), "val": np.arange(5, 7), "test": np.arange(7, 10)}
    found = judges_of(splits, [0, 3])
    assert (found.split, found.positions.tolist()) == ("val", [5, 6])
    found = judges_of({**splits, "val": np.zeros(0, np.int64)}, [0, 3])
    assert (found.split, found.positions.tolist()) == ("train", [1, 2, 4])
    assert found.as_json() == {"split": "train", "images": 3}
    many = judges_of({"train": np.arange(3), "val": np.arange(3, 1003)}, [0]).positions
    assert len(many) == judging.MAX_JUDGES
    assert (many[0], many[-1]) == (3, 1002)
    with pytest.raises(OptionError, match="no val split, and all training images are learned from"):
        judges_of({"train": np.arange(3)}, [0, 1, 2])


def test_nothing_that_is_scored_is_looked_at_while_training(tmp_path):
    options = FinetuneSegmentationOptions(
        data=WORLD, out=str(tmp_path / "run"), labels=2, monitor="miou", **SMALL
    )
    training = segmentation_training(options)
    split = LabelledSet.open(WORLD, size=(64, 96)).splits()
    assert training.validation.positions.tolist() == split["val"].tolist()
    assert set(training.shown.positions) <= set(split["val"])
    assert training.scored.positions.tolist() == split["test"].tolist()
    assert segmentation_training(replace(options, monitor=None)).scored is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return gp.finetune_segmentation(
        data=WORLD, out=tmp_path_factory.mktemp("judged") / "run", labels=2, steps=6, curve_points=(6,),
        monitor="validation/miou", keep="best", patience=2, validate_every=1, progress=False, **SMALL,
    )  # fmt: skip


def test_the_best_weights_are_scored_on_the_test_images(run):
    results = run.results
    again = gp.evaluate(run, WORLD, split="test", device="cpu", progress=False)
    for name in ("miou", "pixel_accuracy", "iou", "protocol"):
        assert again[name] == results[name]
    assert again["familiarity"] == ""
    judged = gp.evaluate(run, WORLD, split="val", device="cpu", progress=False)
    assert "chosen on val" in judged["familiarity"]
    chosen_on = results["chosen_on"]
    assert (chosen_on["split"], chosen_on["images"]) == ("val", 2)
    best = max(chosen_on["curve"], key=lambda point: point["miou"])
    assert judged["miou"] == pytest.approx(best["miou"])
    assert results["kept_step"] == best["step"]
    shown = {name: results[name] for name in ("miou", "pixel_accuracy", "residual_information")}
    assert results["curve"] == [{"step": results["trained_steps"], **shown}]
    assert "selection" not in results


def test_a_run_killed_before_its_score_is_scored_when_it_goes_on(run):
    before = run.results
    (run.path / "results.json").unlink()
    assert main(["finetune", "segmentation", "--resume", str(run.path)]) == 0
    assert run.results == before


def fake(validations, patience, kept=None):
    """Return a run with validations after these steps."""

    class Fake:
        @property
        def config(self):
            return {"patience": patience}

        def metrics(self, kind):
            found = {"validation": validations, "kept": [] if kept is None else [kept]}
            return [{"step": step} for step in found[kind]]

    return Fake()


def test_the_course_by_hand():
    assert course_of(fake([5, 10, 15, 20], 2, kept=10)) == {
        "trained_steps": 20,
        "kept_step": 10,
        "converged": True,
    }
    assert course_of(fake([5, 10, 15, 20], 3, kept=10))["converged"] is False
    assert course_of(fake([5, 10], None))["converged"] is None
    assert course_of(fake([5, 10], 2))["kept_step"] == 10
