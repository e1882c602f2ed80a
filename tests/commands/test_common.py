from __future__ import annotations

from dataclasses import dataclass

import pytest

from geopretrain.commands.common import (
    lineage_sentence,
    method_settings,
    parse_share,
    parse_size,
    spread_positions,
)
from geopretrain.commands.finetune_segmentation import curve
from geopretrain.commands.pretrain import SHORT, _numbers
from geopretrain.errors import ConfigError
from geopretrain.tasks.base import Recipe


@pytest.mark.parametrize("text", ["96x320", "96X320", (96, 320), ["96", "320"]])
def test_sizes_are_height_then_width(text):
    assert parse_size(text) == (96, 320)


@pytest.mark.parametrize("text", ["320", "96x", "axb", "96x320x3", (1, 2, 3)])
def test_sizes_that_are_none(text):
    with pytest.raises(ConfigError, match="HEIGHTxWIDTH"):
        parse_size(text)


def test_no_size_and_too_small_a_size():
    assert parse_size(None) is None
    assert parse_size("auto") is None
    with pytest.raises(ConfigError, match="at least 32x32"):
        parse_size("16x320")


@dataclass
class Options:
    backbone: str = "resnet18"
    smoothness: float = 1e-3
    automask: bool = True


def test_method_settings_know_their_names():
    texts = ["smoothness=0.01", "automask=false"]
    assert method_settings(Options, texts, ["backbone"]) == {"smoothness": 0.01, "automask": False}
    assert method_settings(Options, {"automask": False}, ["backbone"]) == {"automask": False}
    with pytest.raises(ConfigError, match="Did you mean 'smoothness'"):
        method_settings(Options, ["smothness=1"], ["backbone"])
    with pytest.raises(ConfigError, match="Unknown setting 'backbone'"):
        method_settings(Options, ["backbone=x"], ["backbone"])
    with pytest.raises(ConfigError, match="name=value"):
        method_settings(Options, "smoothness", [])


@pytest.mark.parametrize(
    ("points", "iterations", "expected"),
    [
        (6, 300, [9, 18, 37, 75, 150, 300]),
        (1, 60, [60]),
        (6, 4, [1, 2, 4]),
        ("30,60", 60, [30, 60]),
        ([30], 60, [30, 60]),
        ("3", 40, [10, 20, 40]),
    ],
)
def test_curve_points(points, iterations, expected):
    assert curve(points, iterations) == expected


@pytest.mark.parametrize("points", [0, [0, 5], [61], ["a"], "few"])
def test_impossible_curve_points(points):
    with pytest.raises(ConfigError, match="curve_points"):
        curve(points, 60)


NOTHING_GIVEN = dict.fromkeys(("steps", "batch_size", "lr", "schedule", "warmup_steps", "validate_every"))


def test_numbers_come_from_the_recipe_unless_given():
    monodepth2 = Recipe(batch_size=12, lr=1e-4, schedule="step", epochs=20)
    paper = _numbers(monodepth2, 39_810, NOTHING_GIVEN)
    assert (paper["steps"], paper["batch_size"], paper["lr"]) == (66_350, 12, 1e-4)
    assert (paper["schedule"], paper["validate_every"]) == ("step", 3317)
    short = _numbers(SHORT, 50, NOTHING_GIVEN)
    assert (short["steps"], short["batch_size"], short["warmup_steps"]) == (1500, 8, 100)
    given = _numbers(SHORT, 50, NOTHING_GIVEN | {"steps": 20, "batch_size": 4, "lr": 1e-5})
    assert (given["steps"], given["batch_size"], given["lr"], given["warmup_steps"]) == (20, 4, 1e-5, 4)


def test_shares():
    assert parse_share("5%", "subset") == parse_share("0.05", "subset") == parse_share(0.05, "subset") == 0.05
    assert parse_share(None, "subset") is None
    for text in ("0%", "500", "-1", "some", "nan"):
        with pytest.raises(ConfigError, match="share such as 5%"):
            parse_share(text, "subset")


def test_a_lineage_in_words():
    chain = [
        {"init": "imagenet", "kind": "imagenet"},
        {"init": "runs/flow", "kind": "run", "method": "geometric_flow", "backbone": "resnet18"},
    ]
    sentence = lineage_sentence({"chain": chain, "method": "monodepth"})
    assert sentence == "Lineage: imagenet -> geometric_flow (runs/flow) -> monodepth."


def test_spread_positions():
    assert spread_positions(5, 9) == [0, 1, 2, 3, 4]
    assert spread_positions(101, 3) == [0, 50, 100]
    assert spread_positions(7, 1) == [0]
    assert spread_positions(0, 4) == []
