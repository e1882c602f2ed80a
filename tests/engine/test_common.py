from __future__ import annotations

from dataclasses import dataclass

import pytest

from geopretrain.engine.common import method_settings, parse_size, spread_positions
from geopretrain.engine.finetune import curve
from geopretrain.engine.pretrain import _preset
from geopretrain.errors import ConfigError


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


def test_presets():
    paper = _preset("paper", samples=39_810, batch_size=None, steps=None)
    assert (paper.steps, paper.batch_size, paper.lr, paper.schedule) == (66_350, 12, 1e-4, "step")
    short = _preset("short", samples=50, batch_size=None, steps=None)
    assert (short.steps, short.batch_size, short.lr, short.warmup_steps) == (1500, 8, 3e-4, 100)
    assert _preset("short", samples=50, batch_size=4, steps=20).warmup_steps == 4


def test_spread_positions():
    assert spread_positions(5, 9) == [0, 1, 2, 3, 4]
    assert spread_positions(101, 3) == [0, 50, 100]
    assert spread_positions(7, 1) == [0]
    assert spread_positions(0, 4) == []
