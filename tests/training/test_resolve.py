from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from torch import nn

import geopretrain as gp
from geopretrain.config.options import CompareOptions, FinetuneDepthOptions, PretrainOptions
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import ConfigError
from geopretrain.runs.lineage import Lineage
from geopretrain.study.contests import contest_of
from geopretrain.tasks.building import setting_defaults, task_config
from geopretrain.tasks.presets import SHORT, Preset
from geopretrain.tasks.registry import task_class
from geopretrain.training.depth import preset_of_labels
from geopretrain.training.labelled import curve
from geopretrain.training.resolve import choose_preset, loop_settings

MONODEPTH2 = Preset(batch_size=12, lr=1e-4, schedule="step", epochs=20)


def settings(preset, samples, **given):
    options = PretrainOptions(data="store", out="run", **given)
    return loop_settings(options, preset, "cpu", samples, task=nn.Identity())


def test_numbers_come_from_the_preset_unless_given():
    paper = settings(MONODEPTH2, 39_810)
    assert (paper.steps, paper.batch_size, paper.lr) == (66_350, 12, 1e-4)
    assert (paper.schedule, paper.validate_every, paper.optimizer) == ("step", 3317, "adam")
    short = settings(SHORT, 50)
    assert (short.steps, short.batch_size, short.warmup_steps) == (1500, 8, 100)
    given = settings(SHORT, 50, steps=20, batch_size=4, lr=1e-5, clip_norm=1.0)
    assert (given.steps, given.batch_size, given.lr, given.warmup_steps) == (20, 4, 1e-5, 4)
    assert given.clip_norm == 1.0


def test_zero_is_a_value():
    warm = Preset(steps=50, warmup_steps=10, weight_decay=0.05)
    assert settings(warm, 5, warmup_steps=0).warmup_steps == 0
    assert settings(warm, 5, weight_decay=0.0).weight_decay == 0
    assert settings(warm, 5).weight_decay == 0.05


def test_a_preset_is_one_of_the_task():
    assert choose_preset("auto", "cuda", {"paper", "short"}) == "paper"
    assert choose_preset("auto", "cpu", {"paper", "short"}) == "short"
    assert choose_preset("tiny", "cpu", {"tiny", "short"}) == "tiny"
    assert choose_preset("auto", "cuda", {"paper", "short"}, too_large="no") == "short"
    assert choose_preset("paper", "cuda", {"paper", "short"}, too_large="no") == "paper"
    with pytest.raises(ConfigError, match="Did you mean 'short'"):
        choose_preset("shrt", "cpu", {"paper", "short"})


def test_windows_of_the_paper_go_with_large_frames_only(tmp_path, capsys):
    store = gp.prepare("synthetic:street?frames=8", tmp_path / "store", size=(64, 96), progress=False).path
    small = FinetuneDepthOptions(data=str(store), out="run", supervision="labels")
    assert preset_of_labels(small, "cuda") == "short"
    said = capsys.readouterr().out
    assert (
        "the 480x480 px (height x width) that 'paper' cuts out of each picture are more than the 64x96"
        in said
    )
    cut = {"crop": (64, 64)}
    for more in ({"settings": cut}, {"data": "video", "size": (480, 640)}, {"data": "video"}):
        assert preset_of_labels(replace(small, **more), "cuda") == "paper"
    assert preset_of_labels(small, "cpu") == "short"
    compared = CompareOptions(
        inits=("random",), task="depth", data=str(store), out="cmp", supervision="labels"
    )
    assert contest_of("depth").preset_name(compared, "cuda") == "short"
    assert contest_of("depth").preset_name(replace(compared, supervision="mono"), "cuda") == "paper"


def test_settings_know_their_names_and_values():
    cls = task_class("monodepth")
    config = task_config(cls, {"smoothness": 0.01, "automask": False}, backbone="resnet18")
    assert (config.smoothness, config.automask) == (0.01, False)
    assert asdict(config)["backbone"] == "resnet18"
    with pytest.raises(ConfigError, match="Did you mean 'smoothness'"):
        task_config(cls, {"smothness": 1}, backbone="resnet18")
    with pytest.raises(ConfigError, match="'backbone' is no setting of"):
        task_config(cls, {"backbone": "x"}, backbone="resnet18")
    with pytest.raises(ConfigError, match="'class_names' is no setting of classification"):
        task_config(task_class("classification"), {"class_names": ["a"]}, backbone="resnet18")
    with pytest.raises(ConfigError, match="smoothness must be"):
        task_config(cls, {"smoothness": "rough"}, backbone="resnet18")
    assert setting_defaults("monodepth")["smoothness"] == 1e-3


@pytest.mark.parametrize(
    ("points", "steps", "expected"),
    [
        (6, 300, [9, 18, 37, 75, 150, 300]),
        (1, 60, [60]),
        (6, 4, [1, 2, 4]),
        ((30, 60), 60, [30, 60]),
        ((30,), 60, [30, 60]),
    ],
)
def test_curve_points(points, steps, expected):
    assert curve(points, steps) == expected


def test_curve_points_beyond_the_end():
    with pytest.raises(ConfigError, match="curve_points must lie between 1 and 60"):
        curve((61,), 60)


def test_a_lineage_in_words():
    chain = [
        {"init": "imagenet", "kind": "imagenet"},
        {"init": "runs/flow", "kind": "run", "method": "geometric_flow", "backbone": "resnet18"},
    ]
    lineage = Lineage(
        command="pretrain",
        method="monodepth",
        task={},
        backbone="resnet18",
        normalisation=None,
        init="runs/flow",
        chain=chain,
        data="store",
        data_fingerprint="0" * 16,
        size=(64, 96),
        seed=0,
        classes=None,
        versions={},
    )
    assert lineage.sentence() == "Lineage: imagenet -> geometric_flow (runs/flow) -> monodepth."
    assert lineage.as_json()["size"] == "64x96"


def test_spread_positions():
    assert spread_positions(5, 9) == [0, 1, 2, 3, 4]
    assert spread_positions(101, 3) == [0, 50, 100]
    assert spread_positions(7, 1) == [0]
    assert spread_positions(0, 4) == []


def test_settings_that_do_nothing_are_said(capsys):
    settings(SHORT, 50, steps=2, warmup_steps=10)
    settings(SHORT, 50, momentum=0.5)
    settings(SHORT, 50, optimizer="sgd", beta2=0.95)
    said = " ".join(capsys.readouterr().out.split())
    assert "rises for 10 steps, but there are 2" in said
    assert "--momentum does nothing with adam" in said
    assert "--beta2 does nothing with sgd" in said
    settings(SHORT, 50, optimizer="sgd", momentum=0.5, warmup_steps=10)
    assert not capsys.readouterr().out
