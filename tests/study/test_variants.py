"""Rows of a comparison that are trained in another way, and comparisons on validation images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from comparing import write_labelled

from geopretrain import cli
from geopretrain.commands.compare import compare
from geopretrain.config.options import FinetuneDepthOptions, FinetuneSegmentationOptions
from geopretrain.errors import ConfigError, OptionError, RunFolderError, UserError
from geopretrain.networks import Backbone
from geopretrain.runs.folder import RunFolder
from geopretrain.study.inits import read_inits, same_content
from geopretrain.study.variants import checked_variants
from geopretrain.weights import read_tensors, save_tensors

SLOW = {"init": "random", "l2_sp": 0.0, "schedule": "cosine"}
MIXED = {"init": "random", "settings": {"min_scale": 0.5}, "lr": 0.01}


@pytest.fixture
def labelled(tmp_path):
    return write_labelled(tmp_path / "labelled", {"train": 4, "val": 3, "test": 2})


def run(labelled, out, **options):
    defaults = {"labels": 4, "seeds": 2, "steps": 2, "jobs": 1, "progress": False, "pictures": 1}
    defaults |= {"modes": "full", "curve_points": 1, "size": "64x64", "backbone": "test_resnet"}
    return compare("random", data=labelled, out=out, **{**defaults, **options})


# ---- what is written
def test_options_are_brought_into_their_plain_form():
    found = checked_variants(
        {"mix": {"settings": {"jitter": 0.3}, "init": "imagenet", "l2_sp": "0.01"}},
        FinetuneSegmentationOptions,
    )
    assert found == {"mix": {"init": "imagenet", "settings": {"jitter": 0.3}, "l2_sp": 0.01}}


@pytest.mark.parametrize(
    ("variant", "command", "said"),
    [
        ({"backbone_lr": 0.1}, FinetuneSegmentationOptions, "does not say what it starts from"),
        ({"init": 3}, FinetuneSegmentationOptions, "does not say what it starts from"),
        ({"init": "random", "steps": 5}, FinetuneSegmentationOptions, "steps, which all trainings"),
        ({"init": "random", "seed": 5}, FinetuneSegmentationOptions, "none of its options"),
        ({"init": "random", "backbone_rl": 0.1}, FinetuneSegmentationOptions, "Did you mean 'backbone_lr'?"),
        ({"init": "random", "backbone_lr": 7}, FinetuneSegmentationOptions, "'x': backbone_lr must be"),
        ({"init": "random", "depth_from": "runs/a"}, FinetuneDepthOptions, "none of its options"),
    ],
)
def test_what_a_variant_cannot_be_is_said(variant, command, said):
    with pytest.raises(ConfigError, match=said):
        checked_variants({"x": variant}, command)


@pytest.mark.parametrize("words", [["a=imagenet"], ["a"], ["a=[1]"]])
def test_a_variant_on_the_command_line_is_a_mapping(words, labelled, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out"), "--data", str(labelled)]
    assert cli.main(["compare", "--inits", "random", *out, "--variants", *words]) == 2
    assert "--variants" in capsys.readouterr().err


def test_names_are_told_apart_and_weights_are_recognised_with_options():
    with pytest.raises(ConfigError, match="Random"):
        read_inits(["random"], {"Random": SLOW})
    with pytest.raises(ConfigError, match="name"):
        read_inits(["random"], {"../x": SLOW})
    first, slow, same = read_inits(["random"], {"slow": SLOW, "same": {"init": "random"}})
    assert first.identity == same.identity == "random" != slow.identity
    assert "schedule cosine" in slow.description
    assert same_content([first, slow, same]) == []


# ---- what is trained
def test_variants_are_trained_in_their_own_way(labelled, tmp_path):
    out, start = tmp_path / "out", tmp_path / "start.safetensors"
    torch.manual_seed(0)
    save_tensors(start, Backbone("test_resnet").model.state_dict())
    still = {"init": str(start), "backbone_lr": 0.0}
    found = run(labelled, out, variants={"still": still, "mixed": MIXED}, settings={"jitter": 0.1})
    assert [row.init for row in found.rows if row.step == 2] == ["random", "still", "mixed"]
    configs = {name: RunFolder.open(out / f"trials/{name}-full-seed0").config for name in ("random", "mixed")}
    assert configs["random"]["settings"]["jitter"] == configs["mixed"]["settings"]["jitter"] == 0.1
    assert (configs["random"]["settings"].get("min_scale"), configs["mixed"]["settings"]["min_scale"]) == (
        None,
        0.5,
    )
    assert configs["mixed"]["lr"] == 0.01 != configs["random"]["lr"]
    weights = {
        name: read_tensors(out / f"trials/{name}-full-seed0/backbone.safetensors")
        for name in ("random", "still")
    }
    moved = {name for name, one in weights["random"].items() if not torch.equal(one, weights["still"][name])}
    assert any(name.endswith("conv1.weight") for name in moved)


def test_a_wrong_combination_names_its_variant(labelled, tmp_path):
    for options in ({"settings": {"depth_mix": 0.5}}, {"l2_sp": 0.1}):
        with pytest.raises(UserError, match="variant 'bad'"):
            run(labelled, tmp_path / "out", variants={"bad": {"init": "random", **options}})
    assert not (tmp_path / "out").exists()


def test_what_a_frozen_backbone_has_no_use_for_is_said_or_refused(labelled, tmp_path, scripted, capsys):
    slow = {"init": "random", "backbone_lr": 0.1}
    run(
        labelled,
        tmp_path / "out",
        variants={"slow": slow, "usual": SLOW},
        modes=("full", "frozen"),
        progress=True,
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "Mode frozen leaves backbone_lr of 'slow' away" in said
    assert "'usual'" not in said
    with pytest.raises(ConfigError, match=r"variant 'slow': backbone_lr is for a backbone that learns"):
        run(labelled, tmp_path / "no", variants={"slow": slow}, modes="frozen")
    with pytest.raises(OptionError, match="freeze_norms is for a backbone that learns"):
        run(labelled, tmp_path / "no", variants={"usual": SLOW}, freeze_norms=True, modes="frozen")


def test_variants_are_added_and_none_is_changed_behind_ones_back(labelled, tmp_path, scripted):
    out = tmp_path / "out"
    run(labelled, out, variants={"slow": SLOW})
    found = run(labelled, out, variants={"slow": SLOW, "mixed": MIXED})
    assert {row.init for row in found.rows} == {"random", "slow", "mixed"}
    assert len((out / "calls.log").read_text().splitlines()) == 6
    with pytest.raises(RunFolderError, match="'slow' has changed"):
        run(labelled, out, variants={"slow": {**SLOW, "schedule": "linear"}})


def test_what_is_saved_repeats_the_comparison(labelled, tmp_path, scripted):
    out = tmp_path / "out"
    run(labelled, out, variants={"slow": SLOW, "mixed": MIXED}, evaluate_on="val")
    saved = yaml.safe_load((out / "config.yaml").read_text())
    assert saved["variants"] == {"slow": SLOW, "mixed": MIXED}
    words = ["compare", "--config", str(out), "--out", str(tmp_path / "again"), "--progress", "false"]
    assert cli.main([*words, "--jobs", "1"]) == 0
    again = yaml.safe_load((tmp_path / "again/config.yaml").read_text())
    assert {**again, "out": saved["out"]} == saved


# ---- what is scored
def test_validation_images_are_scored_where_settings_are_chosen(labelled, tmp_path):
    out = tmp_path / "out"
    found = run(labelled, out, variants={"still": SLOW}, evaluate_on="val")
    trial = json.loads((out / "trials/still-full-seed1.json").read_text())
    assert trial["evaluate_on"] == "val"
    assert np.sum(trial["confusion"]) == 3 * 64 * 64, "three validation images, not two test images"
    assert found.results["protocol"]["scored_on"] == "val"
    assert "validation images, to choose settings by" in found.results["cautions"][0]
    page = (out / "report.html").read_text()
    assert "what the table below says of each" in page
    assert found.results["inits"][1]["options"] == {"l2_sp": 0.0, "schedule": "cosine"}
    assert "3 validation images it never saw" in page
    assert "test images it never saw" not in page


def test_depth_has_no_such_split(tmp_path, capsys):
    words = ["compare", "--task", "depth", "--inits", "random,imagenet", "--evaluate-on", "val"]
    assert cli.main([*words, "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "--evaluate-on is of labelled images" in capsys.readouterr().err
