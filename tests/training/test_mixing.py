"""DepthMix by command: where depth comes from, what is kept, what is refused, how it looks."""

from __future__ import annotations

import shutil

import pytest
import torch
from fake_tasks import Crash
from PIL import Image
from safetensors.torch import load_file
from stopping import CrashAfter

import geopretrain as gp
from geopretrain.errors import OptionError, RunFolderError, WeightsError
from geopretrain.tasks.transfer.segmentation import Segmentation

SMALL = {"backbone": "test_resnet", "batch_size": 2, "threads": 1, "precision": "fp32", "progress": False}
LABELS = {"data": "synthetic:street", "labels": 4, "size": "64x96", "curve_points": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def depth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    store = gp.prepare("synthetic:street?frames=12", folder / "store", size=(64, 96), progress=False).path
    return gp.pretrain("monodepth", data=store, out=folder / "run", steps=1, device="cpu", **SMALL).path


def train(out, depth, **options):
    usual = {"depth_from": depth, "settings": {"depth_mix": 1.0}, "steps": 4, "checkpoint_every": 2}
    return gp.finetune_segmentation(out=out, **{**SMALL, **LABELS, **usual, **options})


def weights(run):
    return load_file(run.path / "model.safetensors")


def test_it_mixes_what_is_learned_from_and_goes_on_bit_for_bit(tmp_path, depth):
    whole = train(tmp_path / "whole", depth)
    assert whole.lineage["task"]["depth_mix"] == 1.0
    assert whole.lineage["beside"]["depth_from"]["data"] == str(depth)
    alone = train(tmp_path / "alone", None, settings={})
    assert not torch.equal(
        weights(alone)["backbone.conv1.0.weight"], weights(whole)["backbone.conv1.0.weight"]
    )
    assert type(gp.load(whole.path).task) is Segmentation
    with pytest.raises(Crash):
        train(tmp_path / "broken", depth, callbacks=[CrashAfter(3)])
    moved = shutil.copytree(depth, tmp_path / "moved")
    resumed = gp.finetune_segmentation(resume=tmp_path / "broken", depth_from=moved, progress=False)
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(resumed).items())

    with pytest.raises(Crash):
        train(tmp_path / "again", depth, callbacks=[CrashAfter(3)])
    with pytest.raises(RunFolderError, match="other content in --depth-from"):
        gp.finetune_segmentation(resume=tmp_path / "again", depth_from=whole.path, progress=False)


def test_how_it_looks_is_drawn_before_the_first_step(tmp_path, depth):
    with pytest.raises(Crash):
        train(tmp_path / "run", depth, callbacks=[CrashAfter(3)])
    picture = Image.open(tmp_path / "run" / "figures" / "learned_from.png")
    assert picture.size[0] > 4 * 96
    assert picture.size[1] > 2 * 64
    plain = train(tmp_path / "plain", None, settings={}, steps=1)
    assert not (plain.figures / "learned_from.png").exists()
    coloured = train(tmp_path / "coloured", None, settings={"jitter": 0.3}, steps=1)
    assert (coloured.figures / "learned_from.png").exists()


def test_drawing_changes_nothing(tmp_path, depth, monkeypatch):
    drawn = train(tmp_path / "drawn", depth, steps=2)
    monkeypatch.setattr(Segmentation, "augments", False)
    blind = train(tmp_path / "blind", depth, steps=2)
    assert not (blind.figures / "learned_from.png").exists()
    assert all(torch.equal(value, weights(drawn)[name]) for name, value in weights(blind).items())


def test_it_goes_with_depth_beside_the_labels(tmp_path, depth):
    store = depth.parent / "store"
    run = train(tmp_path / "run", depth, auxiliary="monodepth", auxiliary_data=store, steps=1, init=depth)
    assert run.lineage["beside"].keys() == {"depth_from", "auxiliary_data"}
    assert (run.figures / "learned_from.png").exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"depth_from": None}, OptionError, "depth_from is missing"),
        ({"settings": {}}, OptionError, "depth_from says nothing alone"),
        ({"batch_size": 1}, OptionError, "a part of a step holds one"),
        ({"accumulate": 2}, OptionError, "a part of a step holds one"),
        ({"labels": 1}, OptionError, "there is one image to learn from"),
        ({"depth_from": "nowhere/at/all"}, WeightsError, "does not exist"),
        ({"as_released": True}, gp.UserError, "knows no depth_mix"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, depth, options, error, words):
    with pytest.raises(error, match=words):
        train(tmp_path / "run", depth, **options)
    assert not (tmp_path / "run").exists()


def test_a_run_without_depth_is_no_teacher(tmp_path, depth):
    plain = train(tmp_path / "plain", None, settings={}, steps=1)
    with pytest.raises(gp.UserError, match="gives no depth"):
        train(tmp_path / "run", plain.path)
    assert not (tmp_path / "run").exists()
