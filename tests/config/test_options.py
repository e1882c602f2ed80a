from __future__ import annotations

import pytest

from geopretrain.config.data_options import PrepareOptions
from geopretrain.config.options import (
    CompareOptions,
    FinetuneSegmentationOptions,
    PretrainOptions,
)
from geopretrain.config.run_options import PredictOptions
from geopretrain.errors import ConfigError, OptionError


def compare(**options):
    return CompareOptions(**{"inits": "random,imagenet", "data": "d", "out": "o", **options})


def predict(**options):
    return PredictOptions("run", "a.png", "out", **options)


def segmentation(**options):
    return FinetuneSegmentationOptions(data="d", out="o", **options)


def pretrain(**options):
    return PretrainOptions(data="d", out="o", **options)


def prepare(**options):
    return PrepareOptions("a.mp4", "store", **options)


@pytest.mark.parametrize(
    ("make", "name", "given", "kept"),
    [
        (compare, "seeds", 3, (0, 1, 2)),
        (compare, "seeds", "7,3", (3, 7)),
        (compare, "seeds", [4, "2"], (2, 4)),
        (compare, "modes", "frozen, full,frozen", ("frozen", "full")),
        (compare, "lr", "1e-3,1e-4", (1e-4, 1e-3)),
        (compare, "lr", 1e-3, (1e-3,)),
        (compare, "inits", ["random", "runs/a"], ("random", "runs/a")),
        (compare, "inits", "random, runs/a", ("random", "runs/a")),
        (compare, "jobs", "3", 3),
        (compare, "jobs", "auto", "auto"),
        (predict, "save", "depth,cloud", ("depth", "cloud")),
        (predict, "save", ["depth", "cloud"], ("depth", "cloud")),
        (segmentation, "curve_points", "6", 6),
        (segmentation, "curve_points", "60,30", (30, 60)),
        (segmentation, "curve_points", [30], (30,)),
        (segmentation, "curve_points", "30,", (30,)),
        (
            pretrain,
            "settings",
            ["smoothness=0.01", "automask=false"],
            {"smoothness": 0.01, "automask": False},
        ),
        (pretrain, "settings", "version=2", {"version": 2}),
        (pretrain, "settings", None, {}),
        (pretrain, "warmup_steps", 0, 0),
    ],
)
def test_options_are_understood(make, name, given, kept):
    assert getattr(make(**{name: given}), name) == kept


@pytest.mark.parametrize(
    ("make", "name", "given"),
    [
        *((compare, "seeds", wrong) for wrong in (1, 0, "5,5", "a", "-1,2", 10**9, True)),
        *((compare, "lr", wrong) for wrong in ("1e-3,1e-3", 0, "-1", "fast", "inf", [])),
        *((compare, "modes", wrong) for wrong in ("", "full,frozn")),
        *((compare, "jobs", wrong) for wrong in (0, "many", 1.5)),
        *(
            (segmentation, "curve_points", wrong)
            for wrong in (0, [0, 5], ["a"], "few", 10_001, True, 2.5, [])
        ),
        *((segmentation, "labels", wrong) for wrong in (0, -1, "all")),
        *((pretrain, "settings", wrong) for wrong in ("smoothness", ["=3"], "a=[", 3)),
        *((pretrain, "layer_decay", wrong) for wrong in (0, 1.1, "nan")),
        *((pretrain, "momentum", wrong) for wrong in (-0.1, 1, "nan")),
        *((pretrain, "clip_norm", wrong) for wrong in (0, float("inf"))),
        *((pretrain, "accumulate", wrong) for wrong in (0, 1.5)),
        *((pretrain, "steps", wrong) for wrong in (0, 10**10)),
        *((prepare, "fov", wrong) for wrong in (0, 180, "wide")),
        *((prepare, "holdout", wrong) for wrong in (-0.1, 0.6)),
        *((prepare, "max_frames", wrong) for wrong in (0, 2)),
        *((prepare, "fps", wrong) for wrong in (0, 1000)),
        (prepare, "target_motion", 0.5),
    ],
)
def test_impossible_values_name_their_option(make, name, given):
    with pytest.raises(OptionError) as error:
        make(**{name: given})
    assert error.value.name == name
    assert "must be" in str(error.value)


def test_methods_are_known():
    with pytest.raises(ConfigError, match="Did you mean 'monodepth'"):
        PretrainOptions("monodept", data="d", out="o")
