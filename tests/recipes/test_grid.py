"""Stages that stand for several: what they vary, what they are called, and what references to them mean."""

from __future__ import annotations

import json

import pytest
import yaml

from geopretrain.config.options import ReproduceOptions
from geopretrain.errors import ConfigError
from geopretrain.recipes.finding import read_recipe
from geopretrain.recipes.plan import make_plan

VIDEO = "synthetic:street?worlds=1&frames=16&seed=71&height=64&width=96&stereo=0"
SIZES = {"low": {"size": "64x96"}, "high": {"size": {"setting": "size"}}}
SEEDS = {"first": {}, "again": {"seed": 1}}


def content():
    """Depth of video of two sizes with two seeds each, and a comparison for each size."""
    depth = {"method": "monodepth", "init": "random", "steps": 2, "preset": "tiny"}
    compared = {"data": {"data": "labelled"}, "labels": 2, "modes": ["full"], "preset": "tiny", "steps": 2}
    compared |= {"settings": {"crop": "32x32", "head": "linear"}}
    return {
        "title": "Mine",
        "paper": "none: a test",
        "item": "none",
        "question": "What?",
        "data": {
            "drives": {"paper": "any", "source": "us", "folders": ["."], "get": "?", "tiny": VIDEO},
            "labelled": {
                "paper": "any",
                "source": "us",
                "folders": ["."],
                "get": "?",
                "tiny": "synthetic:street?train=4&val=2&test=2",
            },
        },
        "settings": {"size": {"paper": "192x640", "tiny": "96x144", "source": "us"}},
        "stages": [
            stage("video", "data prepare", {"inputs": {"data": "drives"}}, {"size": SIZES}),
            stage("depth", "pretrain", {**depth, "data": {"stage": "video"}}, {"size": SIZES, "seed": SEEDS}),
            stage(
                "scores",
                "compare",
                {**compared, "inits": ["random", {"stage": "depth"}]},
                {
                    "size": SIZES,
                    "task": {"classes": {}, "objects": {"task": "detection", "settings": {"head": "linear"}}},
                },
            ),
        ],
    }


def stage(name, command, options, over):
    return {"name": name, "words": f"do {name}", "command": command, "options": options, "over": over}


def read(folder, change=lambda content: None):
    written = json.loads(json.dumps(content()))
    change(written)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
    return str(path)


def test_each_combination_is_a_stage(tmp_path):
    stages = {one.name: one for one in read_recipe(read(tmp_path)).stages}
    assert list(stages) == [
        *("video-low", "video-high"),
        *("depth-low-first", "depth-low-again", "depth-high-first", "depth-high-again"),
        *("scores-low-classes", "scores-low-objects", "scores-high-classes", "scores-high-objects"),
    ]
    assert stages["depth-high-again"].words == "do depth (high, again)"
    assert stages["depth-high-again"].options["seed"] == 1
    assert "seed" not in stages["depth-high-first"].options
    assert stages["video-high"].options["size"] == {"setting": "size"}
    assert all(not one.over for one in stages.values())


def test_references_lead_to_the_same_points_and_in_lists_to_all_of_what_is_not_varied(tmp_path):
    stages = {one.name: one for one in read_recipe(read(tmp_path)).stages}
    assert stages["depth-high-again"].options["data"] == {"stage": "video-high"}
    inits = ["random", {"stage": "depth-low-first"}, {"stage": "depth-low-again"}]
    assert stages["scores-low-objects"].options["inits"] == inits


def test_options_of_points_are_taken_together_with_those_of_the_stage_and_later_axes_win(tmp_path):
    def twice(content):
        content["stages"][2]["over"]["size"]["low"] = {"task": "depth", "settings": {"crop": "16x16"}}

    stages = {one.name: one for one in read_recipe(read(tmp_path, twice)).stages}
    assert stages["scores-low-objects"].options["settings"] == {"crop": "16x16", "head": "linear"}
    assert stages["scores-low-objects"].options["task"] == "detection"
    assert stages["scores-low-classes"].options["task"] == "depth"
    assert stages["scores-high-classes"].options["settings"] == {"crop": "32x32", "head": "linear"}


def test_the_calls_are_those_that_can_be_typed(tmp_path):
    recipe = read(tmp_path, lambda content: content["stages"][2]["over"].pop("task"))
    options = ReproduceOptions(recipe, tiny=True, dry_run=True, out=tmp_path / "out")
    lines = [one.line for one in make_plan(options).stages]
    assert f"--out {tmp_path}/out/video-high --size 96x144" in lines[1]
    first, again = (f"{tmp_path}/out/depth-high-{name}" for name in ("first", "again"))
    assert f"--inits random {first} {again} --out {tmp_path}/out/scores-high" in lines[-1]


def test_a_recipe_that_is_like_one_changes_a_point_of_it(tmp_path):
    read(tmp_path)
    like = {"title": "Again", "item": "none", "question": "What?", "like": "mine.yaml"}
    like["stages"] = [{"name": "video", "over": {"size": {"low": {"size": "32x48"}}}}]
    (tmp_path / "like.yaml").write_text(yaml.safe_dump(like), encoding="utf-8")
    stages = {one.name: one for one in read_recipe(str(tmp_path / "like.yaml")).stages}
    assert stages["video-low"].options["size"] == "32x48"
    assert stages["video-high"].options["size"] == {"setting": "size"}


def one_of_two(content):
    content["stages"][1]["over"].pop("size")


def unknown_option(content):
    content["stages"][2]["over"]["size"]["low"] = {"lables": 3}


def no_points(content):
    content["stages"][2]["over"]["size"] = {}


def no_folder(content):
    content["stages"][2]["over"]["size"] = {"../a": {}}


def no_options(content):
    content["stages"][2]["over"]["size"] = ["64x96", "96x144"]


def same_name(content):
    content["stages"].insert(0, {**content["stages"][0], "name": "video-low", "over": {}})


def too_many(content):
    content["stages"][2]["over"] = {f"a{n}": {f"p{m}": {} for m in range(10)} for n in range(9)}


def own_folder(content):
    content["stages"][2]["over"]["size"]["low"] = {"out": "elsewhere"}


def in_a_setting(content):
    content["settings"]["start"] = {"paper": {"stage": "depth"}, "source": "us"}
    content["stages"][2]["options"]["inits"] = [{"setting": "start"}]


def in_a_measure(content):
    step = {**stage("score", "evaluate", {"run": {"row": "start"}}, {"size": {"low": {}}})}
    content["rows"] = [{"name": "a", "words": "a", "start": "random"}]
    seeds = {"paper": [0], "source": "us"}
    column = {"name": "miou", "title": "mIoU", "better": "higher"}
    content["measure"] = {"steps": [step], "seeds": seeds, "columns": [column]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (one_of_two, "depth-first refers to the stage 'video'. Did you mean 'video-low'?"),
        (unknown_option, "scores-low-classes has no option 'lables'. Did you mean 'labels'?"),
        (no_points, "over.size"),
        (no_folder, "over"),
        (no_options, "over.size"),
        (same_name, "there are two of the stage video-low"),
        (too_many, "stands for 1000000000 stages; 1000 are the most"),
        (own_folder, "scores-low-classes has the option 'out': a recipe gives each stage its folder."),
        (in_a_setting, "the setting start refers to the stage 'depth'."),
        (in_a_measure, "score varies size: rows do that, and stages."),
    ],
)
def test_grids_that_cannot_be_meant_are_refused(tmp_path, change, sentence):
    with pytest.raises(ConfigError) as error:
        read_recipe(read(tmp_path, change))
    assert sentence in str(error.value)
