from __future__ import annotations

import pytest
import yaml

from geopretrain.config.options import CompareOptions, PretrainOptions, ReproduceOptions
from geopretrain.config.parsing import parse
from geopretrain.config.run_options import PredictOptions
from geopretrain.errors import ConfigError, OptionError


def pretrain(*words):
    return parse("pretrain", PretrainOptions, words)


def test_only_what_was_given_is_returned():
    words = ["monodepth", "--data", "2011_09_26", "--batch-size=4", "--lr", "1e-4", "--resume"]
    assert pretrain(*words, "--channels-last", "false", "--size", "96x320") == {
        "method": "monodepth",
        "data": "2011_09_26",
        "batch_size": "4",
        "lr": "1e-4",
        "resume": "true",
        "channels_last": "false",
        "size": "96x320",
    }
    assert pretrain() == {}


def test_several_values_and_words_without_a_name():
    assert pretrain("--data", "a.mp4", "2011_09_26", "--settings", "smoothness=0.1", "automask=false") == {
        "data": ["a.mp4", "2011_09_26"],
        "settings": ["smoothness=0.1", "automask=false"],
    }
    assert pretrain("--steps", "3", "scdepth")["method"] == "scdepth"
    assert pretrain("--batch_size", "3") == {"batch_size": "3"}
    for words in (["run", "a", "b", "--out", "y"], ["run", "--out", "y", "a", "b"]):
        assert parse("predict", PredictOptions, words) == {"run": "run", "inputs": ["a", "b"], "out": "y"}


@pytest.mark.parametrize(
    ("words", "seeds", "points"),
    [
        ("--seeds 3 --curve-points 6", (0, 1, 2), 6),
        ("--seeds 3,5 --curve-points 30,60", (3, 5), (30, 60)),
        ("--seeds 3 5 --curve-points 30 60", (3, 5), (30, 60)),
    ],
)
def test_numbers_where_one_or_many_are_allowed(words, seeds, points):
    given = parse("compare", CompareOptions, words.split())
    options = CompareOptions(inits="random,imagenet", data="d", out="o", **given)
    assert (options.seeds, options.curve_points) == (seeds, points)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--bach-size 3", "Unknown option '--bach-size'. Did you mean '--batch-size'?"),
        ("--batch 3", "Unknown option '--batch'. Did you mean '--batch-size'?"),
        ("-s 3", "Unknown option '-s'."),
        ("--steps", "--steps needs a value."),
        ("--steps --lr 1", "--steps needs a value."),
        ("--data --lr 1", "--data needs a value."),
        (
            "--size -1,2",
            "begins with a minus, as options do. If it is meant as the value, write --size=-1,2.",
        ),
        ("monodepth surplus", "Unexpected 'surplus'."),
        ("--config nowhere.yaml", "'nowhere.yaml' cannot be read"),
    ],
)
def test_words_that_mean_nothing(words, sentence):
    with pytest.raises(ConfigError) as error:
        pretrain(*words.split())
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", ["--seeds=-1,2", "--seeds=-5"])
def test_seeds_below_zero_are_refused(words):
    given = parse("compare", CompareOptions, [words])
    with pytest.raises(OptionError, match="different whole numbers with commas, not '-"):
        CompareOptions(inits="random,imagenet", data="d", out="o", **given)


def test_a_missing_option_is_told_without_the_marks_of_docstrings():
    with pytest.raises(OptionError, match="is missing: Name of the recipe") as error:
        ReproduceOptions()
    assert "`geopretrain" not in str(error.value)
    assert "geopretrain recipes lists them" in str(error.value)


def test_a_word_behind_a_flag():
    with pytest.raises(OptionError, match=r"must be true or false, not 'monodepth'. Put --overwrite last"):
        pretrain("--overwrite", "monodepth")


def test_a_configuration_is_below_what_is_typed(tmp_path):
    config = {"geopretrain": "0.2.0", "command": "pretrain", "method": "scdepth", "data": ["a", "b"]}
    config |= {
        "steps": 7,
        "lr": 0.5,
        "threads": None,
        "settings": {"smoothness": 0.1},
        "channels_last": False,
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    for words in (
        ["--steps", "9", "--config", tmp_path],
        ["--config", tmp_path / "config.yaml", "--steps=9"],
    ):
        assert pretrain(*map(str, words)) == {
            "method": "scdepth",
            "data": ["a", "b"],
            "steps": "9",
            "lr": 0.5,
            "settings": {"smoothness": 0.1},
            "channels_last": False,
        }
    for words in (["--config", str(tmp_path), "monodepth"], ["monodepth", "--config", str(tmp_path)]):
        given = pretrain(*words)
        assert given["method"] == "monodepth"
        assert given.keys() == {"method", "data", "channels_last"}  # lr and settings were those of scdepth


def test_help_shows_every_option_where_it_belongs(capsys):
    assert (
        parse(
            "pretrain",
            PretrainOptions,
            ["--steps", "--help"],
            summary="Sum.",
            epilog=lambda: "End:\n  a\n  b",
        )
        is None
    )
    out = capsys.readouterr().out
    assert out.startswith("usage: geopretrain pretrain METHOD [options]\n\nSum.\n")
    assert out.endswith("End:\n  a\n  b\n")
    assert "(default: monodepth)" in " ".join(out.split())
    assert "e.g. 5%;" in " ".join(out.split())
    assert "--batch-size auto|N" in out
    assert "--batch_size" not in out
    assert out.count("\nHow it is trained; what is left away is taken from the preset:\n") == 1
