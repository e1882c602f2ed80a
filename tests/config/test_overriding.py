"""What a saved configuration gives beside what is typed."""

from __future__ import annotations

import pytest
import yaml

from geopretrain import cli
from geopretrain.config.overriding import beside, halvings
from geopretrain.training.labelled import curve

RUN = {
    "data": "street",
    "size": "64x96",
    "labels": 4,
    "init": "random",
    "backbone": "resnet50",
    "preset": "short",
    "lr": 0.01,
    "steps": 300,
    "warmup_steps": 30,
    "curve_points": [9, 18, 37, 75, 150, 300],
    "settings": {"head": "fpn", "flip": 0.0},
}


def kept(*left):
    return {name: value for name, value in RUN.items() if name not in left}


def test_nothing_else_changes_where_what_is_typed_is_the_same_or_decides_nothing():
    for typed in (
        {"lr": "0.1"},
        {"steps": "300"},
        {"preset": "short"},
        {"init": "imagenet"},
        {"labels": "8"},
    ):
        assert beside(RUN, typed) == (kept(*typed), {})


def test_another_method_beside_the_labels_has_settings_of_its_own():
    saved = {**RUN, "auxiliary": "monodepth", "auxiliary_weight": 0.1, "auxiliary_settings": {"scales": 1}}
    found, left = beside(saved, {"auxiliary": "scdepth"})
    assert left == {"auxiliary": ["auxiliary_settings"]}
    assert found["auxiliary_weight"] == 0.1


def test_evaluations_are_spread_over_other_steps():
    assert halvings(6, 300) == RUN["curve_points"]
    for steps in ("20", "9000"):
        found, left = beside(RUN, {"steps": steps})
        assert found["curve_points"] == 6
        assert left == ({"steps": ["warmup_steps"]} if steps == "20" else {})
        assert curve(found["curve_points"], int(steps))[-1] == int(steps)
    own = {**RUN, "curve_points": [100, 300]}  # chosen by somebody: those of other steps nobody knows
    found, left = beside(own, {"steps": "120"})
    assert "curve_points" not in found
    assert left == {"steps": ["curve_points"]}
    found, left = beside(own, {"steps": "120", "curve_points": "60,"})
    assert ("curve_points" in found, left) == (False, {})


def test_a_preset_takes_along_what_presets_decide():
    found, left = beside(RUN, {"preset": "paper", "lr": "0.5"})
    assert found == {name: RUN[name] for name in ("data", "size", "labels", "init", "backbone")}
    assert left == {"preset": ["steps", "warmup_steps", "curve_points", "settings"]}


CITYSCAPES = {**RUN, "preset": "cityscapes", "lr": 0.01, "batch_size": 8}


class TestWhatAPresetMakesOfTheInitialisation:
    """The presets ``cityscapes`` and ``vit_finetune`` have other settings for another kind of it."""

    def other(self, typed, command="finetune segmentation", **saved):
        return beside({**CITYSCAPES, **saved}, typed, command)[1]

    def test_its_rate_is_made_anew_of_another_kind(self, tmp_path):
        run = tmp_path / "pretrained"
        run.mkdir()
        (run / "lineage.json").write_text("{}")
        assert self.other({"init": str(run)}) == {"init": ["backbone", "lr"]}
        assert self.other({"init": "imagenet"}, init=str(run), lr=0.1) == {"init": ["lr"]}
        found, _ = beside(
            {**CITYSCAPES, "init": str(run), "lr": 0.1}, {"init": "imagenet"}, "finetune segmentation"
        )
        assert "lr" not in found

    def test_what_somebody_chose_or_is_the_same_stays(self, tmp_path):
        assert self.other({"init": "imagenet"}) == {}
        (tmp_path / "lineage.json").write_text("{}")
        assert self.other({"init": "imagenet"}, init=str(tmp_path), lr=0.05) == {}
        assert self.other({"init": "imagenet", "lr": "0.1"}, init=str(tmp_path), lr=0.1) == {}
        assert self.other({"init": "imagenet"}, init=str(tmp_path / "gone"), lr=0.1) == {}
        assert self.other({"init": "imagenet"}, preset="short", lr=0.001) == {}

    def test_what_is_kept_of_first_weights_too(self):
        saved = {"preset": "vit_finetune", "lr": 3e-5, "backbone_lr": 1.0, "freeze_norms": False}
        assert self.other({"init": "imagenet"}, **saved) == {"init": ["backbone_lr"]}
        assert self.other({"init": "random"}, **{**saved, "init": "imagenet", "backbone_lr": 0.1}) == {
            "init": ["backbone_lr"]
        }

    def test_rates_go_with_the_batch_where_the_preset_says_so(self):
        saved = {"preset": "paper", "lr": 1e-4, "batch_size": 64}
        assert self.other({"batch_size": "16"}, "finetune detection", **saved) == {"batch_size": ["lr"]}
        assert self.other({"batch_size": "many"}, "finetune detection", **saved) == {}
        assert self.other({"batch_size": "16"}, "finetune segmentation") == {}

    def test_passes_over_the_labels_are_counted_anew(self):
        """Preset ``paper`` of detection: 100 passes in batches of 64, a warm-up of 250 steps or a fifth."""
        saved = {**RUN, "preset": "paper", "lr": 1e-4, "batch_size": 64, "labels": 128, "steps": 200}
        saved |= {"warmup_steps": 40, "curve_points": halvings(4, 200)}
        found, left = beside(saved, {"labels": "640"}, "finetune detection")
        assert left == {"labels": ["steps", "warmup_steps"]}
        assert found["curve_points"] == 4
        assert "steps" not in found
        found, left = beside({**saved, "steps": 300}, {"labels": "640"}, "finetune detection")
        assert (found["steps"], left) == (300, {"labels": ["warmup_steps"]})
        assert beside(saved, {"labels": "640", "steps": "50"}, "finetune detection")[1] == {
            "labels": ["warmup_steps"]
        }
        assert beside(saved, {"batch_size": "32"}, "finetune detection")[1] == {
            "batch_size": ["lr", "steps", "warmup_steps"]
        }

    def test_of_comparisons_too(self, tmp_path):
        (tmp_path / "lineage.json").write_text("{}")
        saved = {"task": "segmentation", "inits": ["random", "imagenet"], "lr": [0.01]}
        assert self.other({"inits": f"imagenet,{tmp_path}"}, "compare", **saved) == {"inits": ["lr"]}
        assert self.other({"inits": "imagenet"}, "compare", **saved) == {}
        assert self.other({"inits": f"{tmp_path},"}, "compare", **{**saved, "lr": [0.01, 0.1]}) == {}


def test_the_backbone_follows_another_run_to_begin_with():
    assert beside(RUN, {"init": "runs/other"}) == (kept("init", "backbone"), {"init": ["backbone"]})


@pytest.mark.parametrize(("of", "typed"), [("labels", "mono"), ("mono", "labels")])
def test_learning_depth_from_something_else_is_another_training(of, typed):
    found, _ = beside({**RUN, "supervision": of}, {"supervision": typed})
    assert found.keys() == {"data", "size", "init", "backbone"}
    assert "lr" in beside({**RUN, "supervision": "mono"}, {"supervision": "stereo"})[0]


def test_settings_are_taken_one_by_one():
    for typed in ("flip=0.5", ["flip=0.5"]):
        assert beside(RUN, {"settings": typed})[0]["settings"] == {"head": "fpn", "flip": 0.5}
    assert beside(RUN, {"settings": "flip"})[0]["settings"] == "flip"  # its option says what is wrong


def test_a_wrong_option_that_was_not_typed_names_its_file(tmp_path, capsys):
    saved = {"command": "finetune segmentation", "data": "synthetic:street", "mode": "full"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(saved))
    words = ["finetune", "segmentation", "--config", str(tmp_path), "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--settings", "head=linear"]) == 2
    said = capsys.readouterr().err
    assert "--mode may only be frozen" in said
    assert f"It was not typed: it is from '{tmp_path}'." in said
    assert not (tmp_path / "run").exists()


def test_options_given_as_settings_are_told():
    from geopretrain.errors import ConfigError
    from geopretrain.tasks.known import check_settings

    for name, typed in (("backbone_lr", "--backbone-lr"), ("steps", "--steps"), ("ema", "--ema")):
        with pytest.raises(ConfigError, match=f"'{name}' is no setting of depth, but an option .*{typed} "):
            check_settings("depth", [name], ["crop"])
    check_settings("depth", ["crop"], ["crop"])


@pytest.mark.parametrize("method", ["scdepth", "inpainting"])
def test_quirks_of_released_code_are_a_setting_where_they_have_no_option(method):
    from geopretrain.tasks.building import task_config
    from geopretrain.tasks.known import known_methods
    from geopretrain.tasks.registry import task_class

    assert task_config(task_class(method), {"as_released": True}, backbone="test_resnet").as_released
    assert "as_released" in known_methods()["pretext"][method].settings


def test_quirks_of_the_released_segmentation_are_an_option():
    from geopretrain.errors import ConfigError
    from geopretrain.tasks.building import task_config
    from geopretrain.tasks.registry import TRANSFERS, task_class

    with pytest.raises(ConfigError, match="an option of its own"):
        task_config(task_class("segmentation", TRANSFERS), {"as_released": True}, backbone="test_resnet")
