from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from geopretrain.config.groups import run_to_resume
from geopretrain.config.options import FinetuneSegmentationOptions, PretrainOptions
from geopretrain.config.resume import continued, resumed
from geopretrain.errors import ConfigError, OptionError, RunFolderError

RUN = Path("runs/depth")
SAVED = {
    "method": "scdepth",
    "data": "/data/street",
    "out": "/elsewhere/depth",
    "steps": 100,
    "batch_size": 8,
    "lr": 3e-4,
    "schedule": "warm_cosine",
    "preset": "short",
    "precision": "bf16",
    "size": "64x96",
    "settings": {"version": 2},
    "seed": 3,
    "device": "cpu",
    "threads": 1,
    "checkpoint_every": 50,
}


def resume(saved=SAVED, **given):
    return resumed(
        PretrainOptions(resume=RUN, **given), saved, RUN, setting_defaults=lambda run: {"ssim_weight": 0.85}
    )


def test_what_is_not_given_comes_from_the_run():
    found = resume()
    assert found.sentences == ()
    options = found.options
    assert (options.method, options.data, options.steps, options.lr) == ("scdepth", "/data/street", 100, 3e-4)
    assert (options.seed, options.settings, options.size) == (3, {"version": 2}, (64, 96))
    assert (options.out, options.resume) == (str(RUN), True)


def test_what_changes_nothing_may_be_given_anew():
    found = resume(checkpoint_every=7, log_every=1, validate_every=5, data="/moved/street", progress=False)
    assert found.sentences == ()
    options = found.options
    assert (options.checkpoint_every, options.log_every, options.validate_every) == (7, 1, 5)
    assert (options.data, options.progress) == ("/moved/street", False)


def test_the_same_values_may_be_repeated():
    found = resume(
        method="scdepth", steps=100, seed=3, preset="auto", precision="auto", size=(64, 96), device="cpu"
    )
    assert found.sentences == ()
    assert (found.options.preset, found.options.precision) == ("short", "bf16")
    assert resume(settings={"version": 2, "ssim_weight": 0.85}).options.settings == {"version": 2}


def test_device_and_threads_change_the_last_digits():
    found = resume(threads=4, device="cuda")
    assert (found.options.threads, found.options.device) == (4, "cuda")
    assert len(found.sentences) == 2
    assert all("last digits" in sentence for sentence in found.sentences)
    assert resume(device="auto").options.device == "auto", "the machine decides anew where asked to"
    assert "PyTorch's own choice" in resume({**SAVED, "threads": None}, threads=2).sentences[0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"method": "monodepth"}, "method = 'scdepth', you asked for 'monodepth'"),
        ({"seed": 0}, "seed = 3, you asked for 0"),
        ({"lr": 1e-3}, "lr = 0.0003, you asked for 0.001"),
        ({"batch_size": 4}, "batch_size = 8, you asked for 4"),
        ({"size": (96, 128)}, "size = '64x96', you asked for '96x128'"),
        ({"subset": "5%"}, "subset = None, you asked for 0.05"),
        ({"settings": {"version": 3}}, "version = 2, you asked for 3"),
        ({"settings": {"ssim_weight": 1.0}}, "ssim_weight = 0.85, you asked for 1.0"),
        ({"init": "imagenet"}, "init = 'random', you asked for 'imagenet'"),
        ({"clip_norm": 1.0}, "clip_norm = None, you asked for 1.0"),
        ({"steps": 50}, "is one of 100 steps and cannot become one of 50"),
        ({"steps": 200}, "follows the schedule 'warm_cosine' over 100 steps"),
    ],
)
def test_another_run_is_refused(given, sentence):
    with pytest.raises(RunFolderError) as error:
        resume(**given)
    assert sentence in str(error.value)


def test_a_run_of_constant_rate_becomes_longer():
    found = resume({**SAVED, "schedule": "constant"}, steps=250)
    assert found.options.steps == 250
    assert found.sentences == ("The run had 100 steps and goes on to 250.",)


def test_curves_belong_to_the_run():
    saved = {"data": "d", "steps": 60, "schedule": "constant", "curve_points": [30, 60], "labels": 4}
    options = FinetuneSegmentationOptions(resume=RUN, curve_points="30,60", labels=4)
    assert resumed(options, saved, RUN).options.curve_points == (30, 60)
    with pytest.raises(RunFolderError, match="curve_points"):
        resumed(FinetuneSegmentationOptions(resume=RUN, curve_points="20,60"), saved, RUN)


def test_the_folder_to_continue():
    assert run_to_resume(PretrainOptions(resume=RUN)) == RUN
    assert run_to_resume(PretrainOptions(resume=True, out=RUN)) == RUN
    assert run_to_resume(PretrainOptions(resume="true", out=RUN)) == RUN
    assert run_to_resume(PretrainOptions(resume=RUN, out=RUN)) == RUN
    assert run_to_resume(PretrainOptions(data="d", out=RUN)) is None
    with pytest.raises(OptionError, match="Give one folder"):
        PretrainOptions(resume=RUN, out="other")
    with pytest.raises(OptionError, match="needs the folder"):
        PretrainOptions(resume=True)
    with pytest.raises(OptionError, match="data is missing: Prepared store"):
        PretrainOptions(out=RUN)
    with pytest.raises(OptionError, match="out is missing: Folder"):
        PretrainOptions(data="d")


def test_from_the_folder_of_a_run(tmp_path, capsys):
    run = tmp_path / "depth"
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump({"geopretrain": "0.1.0", "command": "pretrain", **SAVED}))
    found = continued("pretrain", PretrainOptions(resume=run, threads=2))
    assert (found.out, found.method, found.threads, found.steps) == (str(run), "scdepth", 2, 100)
    assert "last digits" in capsys.readouterr().out
    options = PretrainOptions(data="d", out=tmp_path / "new")
    assert continued("pretrain", options) is options
    with pytest.raises(RunFolderError, match="There is no run"):
        continued("pretrain", PretrainOptions(resume=tmp_path / "new"))
    with pytest.raises(ConfigError, match="is of a pretrain run"):
        continued("finetune segmentation", FinetuneSegmentationOptions(resume=run))


def test_a_folder_that_is_named_must_hold_a_run(tmp_path):
    """A mistyped folder never begins a training of its own; a bare --resume beside --out may."""
    with pytest.raises(RunFolderError, match="There is no run in"):
        continued("pretrain", PretrainOptions(resume=str(tmp_path / "runz"), data="store"))
    begun = continued("pretrain", PretrainOptions(resume=True, out=str(tmp_path / "run"), data="store"))
    assert str(begun.out) == str(tmp_path / "run")


def test_truth_values_are_no_numbers_in_settings_either():
    from geopretrain.tasks.pretext.monodepth import MonodepthConfig

    with pytest.raises(ConfigError, match="scales must be"):
        MonodepthConfig(scales=True)
    assert MonodepthConfig(automask=False).automask is False
