"""The same training in two modes is made once: its numbers stand in both, and they are the right ones."""

from __future__ import annotations

import csv
import html
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from comparing import write_labelled, write_pretrained
from safetensors.torch import load_file

import geopretrain as gp
from geopretrain.commands.compare import compare
from geopretrain.files import write_json
from geopretrain.report.downloads import trainings_csv
from geopretrain.runs.folder import RunFolder
from geopretrain.study.trials import Trial
from geopretrain.study.twins import adopt, other_mode, twins_in

BOTH = ("full", "encoder")
VIDEO = "synthetic:street?worlds=2&frames=24"


def calls(out):
    return (out / "calls.log").read_text().splitlines()


@pytest.fixture
def compared(tmp_path, scripted):
    """Return a function that compares, random numbers with a run that has a decoder."""
    labelled = write_labelled(tmp_path / "labelled", {"train": 6, "val": 2, "test": 3})
    depth = write_pretrained(tmp_path / "runs" / "depth").path
    usual = {
        "labels": 4,
        "seeds": 2,
        "steps": 60,
        "jobs": 1,
        "progress": False,
        "pictures": 1,
        "device": "cpu",
    }

    def run(**options):
        usual_now = {**usual, "preset": "short", "modes": BOTH, "data": labelled, "out": tmp_path / "cmp"}
        return compare(f"random,{depth}", **{**usual_now, **options})

    return run


@pytest.mark.parametrize(
    ("kind", "mode", "modes", "same"),
    [
        ("imagenet", "encoder", ("full", "encoder", "frozen"), "full"),
        ("random", "full", ("encoder", "full"), "encoder"),
        ("imagenet", "full", ("full", "encoder"), "encoder"),
        ("imagenet", "full", ("full", "frozen"), None),
        ("imagenet", "frozen", ("full", "encoder", "frozen"), None),
        ("imagenet", "encoder", ("encoder", "frozen"), None),
        ("run", "encoder", ("full", "encoder"), None),
        ("file", "encoder", ("full", "encoder"), None),
    ],
)
def test_which_modes_train_the_same(kind, mode, modes, same):
    assert other_mode(SimpleNamespace(kind=kind), mode, modes) == same


def test_the_same_training_is_made_once(compared, tmp_path):
    comparison = compared()
    done = calls(tmp_path / "cmp")
    assert len(done) == 2 * 3, "of random numbers one mode, of the run both; two seeds"
    assert not [one for one in done if "random, encoder" in one]
    rows = {(row.mode, row.init, row.step): row for row in comparison.rows}
    assert {mode for mode, init, _ in rows if init == "random"} == set(BOTH)
    for (mode, init, step), row in rows.items():
        if (mode, init) == ("encoder", "random"):
            assert row.values == rows["full", "random", step].values
            assert row.seeds == (0, 1)
    compared()
    assert calls(tmp_path / "cmp") == done, "nothing is missing"


@pytest.mark.parametrize("first", BOTH)
def test_a_mode_that_is_added_later_takes_what_is_there(compared, tmp_path, first):
    compared(modes=first)
    done = calls(tmp_path / "cmp")
    compared(modes=BOTH)
    assert [one for one in calls(tmp_path / "cmp")[len(done) :] if "random" in one] == []
    assert len(calls(tmp_path / "cmp")) == len(done) + 2


def test_rates_are_searched_once_and_are_the_same(compared, tmp_path):
    comparison = compared(lr="1e-4,1e-3")
    found = {(one["mode"], one["init"]): one for one in comparison.results["learning_rates"]}
    assert found["encoder", "random"]["rates"] == found["full", "random"]["rates"]
    assert not [one for one in calls(tmp_path / "cmp") if "random, encoder" in one]


def test_a_failure_counts_once_and_names_both_modes(compared, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "random, full, seed 1")
    comparison = compared()
    (failed,) = comparison.results["failures"]
    assert failed["trial"] == "random, full, seed 1"
    assert failed["error"].endswith("is bad The numbers of mode encoder would have been the same.")
    monkeypatch.delenv("FAKE_FAIL")
    assert not compared().results["failures"]


def test_predictions_are_taken_with_the_numbers(tmp_path):
    usual = {
        "init": "random",
        "source": "random",
        "seed": 0,
        "lr": 1e-3,
        "evaluate_on": "test",
        "curve": (1,),
    }
    other = Trial(str(tmp_path / "full"), mode="full", pictures=(0,), **usual)
    trial = Trial(str(tmp_path / "encoder"), mode="encoder", pictures=(0,), like=other.folder, **usual)
    assert not adopt(trial)
    numbers = {
        "seconds": 2.0,
        "run": other.folder,
        "weights": "",
        "miou": 0.5,
        "curve": [{"step": 1, "miou": 0.5}],
    }
    write_json(other.record, {**{n: usual[n] for n in ("init", "seed", "lr")}, "mode": "full", **numbers})
    other.predictions.write_bytes(b"predicted")
    begun = RunFolder(trial.folder).checkpoint
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"of an earlier version")
    assert adopt(trial)
    assert not begun.exists()
    assert trial.predictions.read_bytes() == b"predicted"
    assert trial.outcome()["mode"] == "encoder"
    full, encoder = other.folder, trial.folder
    back = replace(other, like=encoder)
    assert twins_in([back, trial], {full, encoder}) == [], "both are there"
    assert twins_in([back, trial], {full}) == [trial]
    assert twins_in([back, trial], {encoder}) == [back], "whichever is there"
    assert twins_in([back, trial], ()) == [trial], "the first one is trained"
    assert twins_in([back, replace(trial, lr=1e-2)], ()) == [], "another rate is another training"
    assert twins_in([trial], ()) == [], "it is not there to be made"


def weights_of(run):
    return load_file(run.path / "model.safetensors")


@pytest.mark.parametrize("task", ["segmentation", "detection", "depth", "labelled depth"])
def test_the_two_modes_are_the_same_training_bit_for_bit(tmp_path, task):
    """Without this the numbers of one mode could not stand for those of the other."""
    options = {
        "labels": 2,
        "steps": 2,
        "batch_size": 2,
        "size": (64, 96),
        "seed": 5,
        "progress": False,
        "device": "cpu",
    }
    if "depth" in task:
        command, options["data"] = gp.finetune_depth, VIDEO
    else:
        command = getattr(gp, f"finetune_{task}")
        options["data"] = "synthetic:street?train=3&val=1&test=1"
    if task == "labelled depth":
        options["supervision"] = "labels"
    elif task == "depth":
        del options["labels"]
    found = [
        weights_of(command(init="random", backbone="resnet18", mode=mode, out=tmp_path / mode, **options))
        for mode in BOTH
    ]
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())


def test_the_page_says_that_they_are_one_and_lists_its_time_once(compared):
    comparison = compared()
    (said,) = [one for one in comparison.results["cautions"] if "the same trainings for random" in one]
    assert said in html.unescape(comparison.report.read_text())
    lines = list(csv.DictReader(io.StringIO(trainings_csv(comparison))))
    of = {
        mode: {one["seconds"] for one in lines if (one["init"], one["mode"]) == ("random", mode)}
        for mode in BOTH
    }
    assert of == {"full": {"1.0"}, "encoder": {""}}


def test_a_record_of_both_says_what_it_is(compared, tmp_path):
    compared()
    own, other = (
        json.loads((tmp_path / "cmp" / "trials" / f"random-{mode}-seed0.json").read_text()) for mode in BOTH
    )
    assert (own["mode"], other["mode"]) == BOTH
    assert other["run"] == own["run"], "the training that there is"
    assert other["adopted"]
