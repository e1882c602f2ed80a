"""Recipes as files and plans: what they refer to, what they would run; nothing is trained here."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from geopretrain import cli
from geopretrain.config.options import ReproduceOptions
from geopretrain.config.parsing import parse
from geopretrain.config.saved import as_saved
from geopretrain.data.catalogue import finding
from geopretrain.errors import ConfigError, OptionError
from geopretrain.recipes.commands import COMMANDS
from geopretrain.recipes.finding import FOLDER, names, read_recipe
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.likeness import without_leftovers
from geopretrain.recipes.listing import recipes
from geopretrain.recipes.order import can_be_launched
from geopretrain.recipes.plan import make_plan
from geopretrain.recipes.shapes import SCALES, Setting, at_scale
from geopretrain.tasks.building import task_config
from geopretrain.tasks.registry import task_class

OTHERS = ["other_pictures", "masked_others"]
SCALE_WORDS = {"paper": {}, "small": {"small": True}, "tiny": {"tiny": True}}


def plan_of(name="mesa/chain", scale="tiny", **more):
    return make_plan(ReproduceOptions(name, dry_run=True, **SCALE_WORDS[scale], **more))


def changed(tmp_path, change, name="mesa/chain"):
    """Write a recipe that is like another one but for what ``change`` does to it."""
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


# ---- every recipe
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", names())
def test_every_call_of_a_recipe_can_be_typed_and_means_the_same(name, scale):
    for step in plan_of(name, scale).steps:
        words = shlex.split(step.line)[1:]
        cls = COMMANDS[step.command][1]
        assert " ".join(words[: len(step.command.split())]) == step.command
        given = parse(step.command, cls, words[len(step.command.split()) :])
        assert as_saved(step.command, cls(**given)) == as_saved(step.command, step.options)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", names())
def test_every_method_takes_the_settings_of_a_recipe(name, scale):
    for step in plan_of(name, scale).steps:
        if step.command == "pretrain":
            cls = task_class(step.options.method)
            task_config(cls, step.options.settings, backbone="resnet18")


@pytest.mark.parametrize("name", names())
def test_every_setting_of_a_recipe_says_where_it_is_from(name):
    recipe = read_recipe(name)
    for one in [*recipe.settings.values(), *([recipe.measure.seeds] if recipe.measure else [])]:
        assert len(one.source) > 3
    kept = without_leftovers(recipe)
    assert (list(kept.settings), list(kept.data)) == (list(recipe.settings), list(recipe.data)), (
        "all are used"
    )


def test_commands_of_recipes_are_those_of_the_command_line():
    for name, (_, options) in COMMANDS.items():
        assert cli.COMMANDS[name].options_class() is options


# ---- mesa/chain
def test_the_chain_starts_each_stage_from_the_one_before(tmp_path):
    plan = plan_of(out=tmp_path)
    runs = {step.name: step.options for step in plan.stages if step.command == "pretrain"}
    assert list(runs) == ["masked", "masked_others", "geometric", "teacher", "supervised"]
    methods = ["simmim", "simmim", "scdepth", "depth_supervised", "scdepth"]
    assert [one.method for one in runs.values()] == methods
    assert runs["geometric"].init == str(tmp_path / "masked")
    assert runs["supervised"].init == str(tmp_path / "geometric")
    assert (runs["geometric"].settings["version"], runs["supervised"].settings["version"]) == (2, 3)
    starts = {one.row.name: one.steps[0].options.init for one in plan.measured}
    assert starts == {
        "MP": str(tmp_path / "masked"),
        "MP+GP": str(tmp_path / "geometric"),
        "MP+GP+SP": str(tmp_path / "supervised"),
        "none": "random",
        "MP-others": str(tmp_path / "masked_others"),
    }


def test_rows_differ_in_nothing_but_their_start_and_seed():
    free = {"init", "seed", "out"}
    shared = [
        {name: value for name, value in vars(one.steps[0].options).items() if name not in free | {"_given"}}
        for one in plan_of(scale="small").measured
    ]
    assert all(one == shared[0] for one in shared)
    assert sorted({one.seed for one in plan_of(scale="small").measured}) == [0, 1, 2]
    assert shared[0]["mode"] == "encoder", "only the backbone is handed on, as in the paper"


def test_the_printed_numbers_are_those_of_table_1():
    rows = {row.name: row.printed for row in read_recipe("mesa/chain").rows}
    assert [rows[name].get("rmse") for name in rows] == [0.287, 0.269, 0.265, None, None]
    assert rows["MP+GP+SP"] == {
        "rmse": 0.265, "a1": 0.954, "a2": 0.995, "a3": 0.999, "abs_rel": 0.074, "log10": 0.032,
    }  # fmt: skip


def test_the_full_scale_is_the_papers():
    plan = plan_of(scale="paper")
    runs = {step.name: step.options for step in plan.steps}
    assert {one.backbone for one in runs.values() if hasattr(one, "backbone")} == {
        "swinv2_large_window12_192"
    }
    assert runs["frames"].size == (480, 480)
    assert runs["pictures"].inputs == "DATA_ROOT/lsun"
    assert (runs["pictures"].size, runs["masked"].batch_size) == ((192, 192), 2048)
    assert runs["masked"].data == runs["pictures"].out
    assert (runs["geometric"].steps, runs["geometric"].batch_size) == (100_000, 8)
    fine = runs["MP/seed-0/finetuned"]
    assert (fine.steps, fine.lr, fine.lr_floor, fine.layer_decay) == (75_722, 1e-4, 0.1, 0.85)
    assert (fine.supervision, fine.preset, fine.data) == ("labels", "mesa", runs["labelled"].out)
    assert runs["labelled"].size == (480, 640), "windows of 480x480 are cut out of them"
    assert "teacher" not in runs, "no row needs it where the teacher is of the hub"


def test_another_teacher_needs_no_stage_of_ours():
    plan = plan_of("mesa/table-1", settings={"teacher": "some/model"})
    assert [step.name for step in plan.stages] == ["frames", "masked", "geometric", "seen", "supervised"]
    assert next(step for step in plan.stages if step.name == "seen").options.teacher == "some/model"


def test_a_setting_is_as_at_the_next_larger_scale_where_it_says_nothing():
    one = Setting(paper=3, source="4.1", tiny=1)
    assert [at_scale(one, scale) for scale in SCALES] == [3, 3, 1]
    assert at_scale(Setting(paper=3, source="4.1", small=None), "tiny") is None


def test_how_to_compute_is_said_to_every_command_that_takes_it(tmp_path):
    plan = plan_of(out=tmp_path, threads=2, precision="fp32", devices=2)
    said = {step.command: step.options for step in plan.steps}
    assert (said["pretrain"].threads, said["pretrain"].precision, said["pretrain"].devices) == (2, "fp32", 2)
    assert said["evaluate"].threads == 2
    one, other = plan.steps[1], plan_of(out=tmp_path, threads=1, precision="fp32").steps[1]
    assert one.recognised(tmp_path) == other.recognised(tmp_path), "threads change the last digits only"
    assert one.recognised(tmp_path) != plan_of(out=tmp_path, precision="bf16").steps[1].recognised(tmp_path)


@pytest.mark.parametrize("name", names())
def test_how_to_compute_reaches_a_call_or_is_refused(name):
    """No option is taken without a word by a recipe none of whose steps takes it."""
    usual = plan_of(name)
    asked = {"launcher": "ray", "jobs": 1, "devices": 2, "strategy": "fsdp", "sync_batchnorm": True}
    for option, value in asked.items():
        if option in ("launcher", "jobs") and any(map(can_be_launched, usual.steps)):
            assert plan_of(name, **{option: value}).steps
        elif any(hasattr(step.options, option) for step in usual.steps):
            told = plan_of(name, **{option: value}).steps
            assert any(getattr(step.options, option, None) == value for step in told)
        else:
            with pytest.raises(OptionError, match=f"{option} reaches no step"):
                plan_of(name, **{option: value})
    defaults = {"launcher": "local", "jobs": "auto", "devices": 1, "num_nodes": 1, "slurm": {}}
    assert [step.line for step in plan_of(name, **defaults).steps] == [step.line for step in usual.steps]


def test_what_was_added_to_a_folder_is_gone_when_the_folder_is_made_again(tmp_path):
    plan = plan_of(out=tmp_path)
    journal = Journal(tmp_path)
    for step in plan.stages:
        step.folder.mkdir(exist_ok=True)
        journal.add(step, 1.0)
    names = list(journal.entries)
    assert names == ["frames", "masked", *OTHERS, "geometric", "rooms", "teacher", "seen", "supervised"]
    shutil.rmtree(tmp_path / "frames")
    again = Journal(tmp_path)
    assert not again.has(plan.stages[0])
    assert again.has(plan.stages[1])
    (tmp_path / "frames").mkdir()
    again.add(plan.stages[0], 1.0)
    assert [name for name in names if name not in Journal(tmp_path).entries] == ["seen"], "in the same folder"


# ---- the command line
def run(capsys, *words):
    code = cli.main([str(word) for word in words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("paper", [[], ["mesa"]])
def test_names_in_the_list_stand_apart_from_what_they_are(capsys, paper):
    assert cli.main(["recipes", *paper]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "mesa/" in line]
    assert len(lines) >= 13
    assert all(re.match(r" {0,2}\S+ {2,}\S", line) for line in lines)


def test_recipes_are_listed_and_shown(capsys):
    code, out, _ = run(capsys, "recipes")
    assert code == 0
    assert all(name in out for name in names())
    code, out, _ = run(capsys, "recipes", "mesa")
    listed = [line.split()[0] for line in out.splitlines() if "/" in line.partition(" ")[0]]
    assert listed == [name for name in names() if name.startswith("mesa/")]
    assert "  mesa/table-1" in out
    assert "depth-to-semantic" not in out
    code, out, _ = run(capsys, "recipes", "depth-to-semantic/table-6")
    assert "the data depth, the data small_depth, the stage small_depth; 4.3" in out
    code, out, _ = run(capsys, "recipes", "mesa/chain")
    assert code == 0
    assert "480x480, 96x128, 64x96; 3.4" in out
    assert "pictures        decode the pictures" in out
    assert "0.265    0.954" in out
    assert recipes("mesa/chain") + "\n" == out


def test_a_dry_run_prints_every_call_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "reproduce", "mesa/chain", "--tiny", "--dry-run")
    lines = [line for line in out.splitlines() if not line.startswith("#")]
    assert code == 0
    assert len(lines) == len(plan_of().steps)
    assert all(line.startswith("geopretrain ") for line in lines)
    assert str(tmp_path / "reproduced" / "mesa-chain-tiny" / "frames") in lines[0]
    assert not list(tmp_path.iterdir())
    code, out, _ = run(capsys, "reproduce", "mesa/chain", "--dry-run")
    assert code == 0
    assert "DATA_ROOT" in out


def test_a_dry_run_says_which_data_are_not_there(capsys, tmp_path):
    def missing(*words):
        code, out, _ = run(capsys, "reproduce", "mesa/table-1", "--dry-run", *words)
        assert code == 0
        return [line for line in out.splitlines() if line.startswith("# Not found: ")]

    nowhere = missing("--data-root", str(tmp_path / "nowhere"))
    assert [line.split("the data ")[1].split()[0] for line in nowhere] == ["'images'", "'frames'"]
    assert all(f"there is no folder '{tmp_path / 'nowhere'}'" in line for line in nowhere)
    assert "nyuv2-raw or nyuv2-pairs or" in nowhere[1]
    assert "https://cs.nyu.edu/" in nowhere[1]
    assert all("--data-root is not given" in line for line in missing())
    (tmp_path / "7scenes").mkdir()
    assert not missing("--data-root", str(tmp_path))
    assert not missing("--tiny")


def test_the_own_data_of_the_paper_are_taken_first(tmp_path):
    for folder in ("7scenes", "nyuv2"):
        (tmp_path / folder).mkdir()
    of_paper = plan_of(scale="paper", data_root=tmp_path).data
    assert set(of_paper.values()) == {str(tmp_path / "nyuv2")}
    small = plan_of(scale="small", data_root=tmp_path).data
    assert set(small.values()) == {str(tmp_path / "7scenes")}, "a part of NYUv2's pairs is too little video"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mesa/chian", "--tiny"], "Unknown recipe 'mesa/chian'. Did you mean 'mesa/chain'?"),
        (["mesa", "--tiny"], "Did you mean 'mesa/chain'?"),
        (["mesa/tabel-9", "--tiny"], "Known: mesa/chain, mesa/fig-10, "),
        (["depth-to-semantic/table-1", "--tiny", "--seeds", "3"], "setting of it: --settings seeds=3."),
        (["depth-to-semantic/table-1", "--tiny", "--seeds", "4,7"], "setting of it: --settings seeds=4,7."),
        (["Chain", "--tiny"], "Did you mean 'mesa/chain'?"),
        (["mesa/chain"], "needs the data 'images' below --data-root: lsun or nyuv2-raw or"),
        (["mesa/chain", "--small"], "tum-rgbd or the folder itself; --data-root is not given"),
        (["mesa/chain", "--small"], "https://cs.nyu.edu/"),
        (["mesa/chain", "--small", "--data-root", "nowhere"], "there is no folder '"),
        (["mesa/table-2", "--small", "--data-root", "."], "' has none of it"),
        (["mesa/chain", "--tiny", "--small"], "--small has no meaning"),
        (["mesa/chain", "--tiny", "--data-root", "x"], "--data-root has no meaning"),
        (["mesa/chain", "--tiny", "--settings", "finetun_steps=3"], "Did you mean 'finetune_steps'?"),
        (
            ["mesa/chain", "--tiny", "--settings", "teacher={stage: techer}"],
            "the setting teacher refers to the stage 'techer'. Did you mean 'teacher'?",
        ),
        (
            ["mesa/chain", "--tiny", "--settings", "finetune_steps=no"],
            "The stage MP/seed-0/finetuned (finetune depth): steps must be",
        ),
        (
            ["mesa/chain", "--tiny", "--settings", "backbone=resnet19"],
            "The stage masked (pretrain): Unknown backbone 'resnet19'. Did you mean 'resnet18'?",
        ),
        (["mesa/chain", "--tiny", "--seeds", "1"], "--seeds must be at least 2"),
        (["what-helps/final", "--tiny", "--precision", "bf16"], "--precision is fixed by what-helps/final"),
        (["what-helps/instrument", "--tiny", "--devices", "2"], "--devices reaches no step of what-"),
        (["mesa/chain", "--tiny", "--num-nodes", "2"], "--num-nodes must be 1: each training of a recipe"),
        (["nowhere.yaml", "--tiny"], "nowhere.yaml' cannot be read"),
        ([], "is missing"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(capsys, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "reproduce", *words)
    assert code == 2
    assert sentence in err
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize("said", ["option", "variable"])
def test_data_are_where_data_check_finds_them(tmp_path, monkeypatch, said):
    scene = tmp_path / "data" / "indoor" / "seven scenes" / "chess" / "seq-01"
    scene.mkdir(parents=True)
    for name in ("frame-000000.color.png", "frame-000000.depth.png", "frame-000000.pose.txt"):
        (scene / name).touch()
    monkeypatch.setenv(finding.VARIABLE, str(tmp_path / "data"))
    given = {"data_root": tmp_path / "data"} if said == "option" else {}
    found = plan_of(scale="small", **given).data["frames"]
    assert found == str(scene.parents[1]) == str(finding.found("7scenes", tmp_path / "data"))


def test_data_are_found_below_the_root_or_are_the_root(tmp_path):
    root = tmp_path / "data"
    (root / "nyuv2").mkdir(parents=True)
    assert plan_of(scale="small", data_root=root).data == {"frames": str(root / "nyuv2")}
    (root / "7scenes").mkdir()
    assert plan_of(scale="small", data_root=root).data == {"frames": str(root / "7scenes")}
    assert plan_of(scale="small", data_root=root / "7scenes").data == {"frames": str(root / "7scenes")}


# ---- files of users
def test_a_recipe_of_ones_own_is_a_file(tmp_path):
    def change(content):
        content["settings"]["masked_steps"]["tiny"] = 7

    path = changed(tmp_path, change)
    masked = next(step for step in plan_of(path).stages if step.name == "masked")
    assert masked.options.steps == 7
    assert plan_of(path).out == Path.cwd() / "reproduced" / "mine-tiny"


def _masked(content):
    return next(stage for stage in content["stages"] if stage["name"] == "masked")


def _rename(part, key, new):
    part[new] = part.pop(key)


BROKEN = {
    "rows[0].start is missing": lambda c: c["rows"][0].pop("start"),
    "settings.size.source is missing": lambda c: c["settings"]["size"].pop("source"),
    "stages[0].name": lambda c: c["stages"][0].update(name="../frames"),
    "has the command 'pretrian'. Did you mean 'pretrain'?": lambda c: _masked(c).update(command="pretrian"),
    "masked has no option 'step'. Did you mean 'steps'?": lambda c: _rename(
        _masked(c)["options"], "steps", "step"
    ),
    "masked refers to the stage 'geometric'": lambda c: _masked(c)["options"].update(
        init={"stage": "geometric"}
    ),
    "refers to the setting 'bakbone'. Did you mean 'backbone'?": lambda c: _masked(c)["options"].update(
        backbone={"setting": "bakbone"}
    ),
    "finetuned refers to the row 'scored'": lambda c: c["measure"]["steps"][0]["options"].update(
        init={"row": "scored"}
    ),
    "prints epe, which is no column": lambda c: c["rows"][0]["printed"].update(epe=1.0),
    "measure.seeds must be a list of different whole numbers": lambda c: c["measure"]["seeds"].update(tiny=3),
    "there are two of the row MP": lambda c: c["rows"].append(dict(c["rows"][0])),
    "the setting size refers to another setting": lambda c: c["settings"]["size"].update(
        tiny={"setting": "backbone"}
    ),
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_recipe_that_cannot_be_is_refused_before_anything_is_run(tmp_path, sentence):
    path = changed(tmp_path, BROKEN[sentence])
    with pytest.raises(ConfigError) as error:
        plan_of(path)
    assert sentence in str(error.value)
    assert "Correct it" in str(error.value)


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "title: x", "rows: 3\x00"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text):
    (tmp_path / "odd.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        plan_of(str(tmp_path / "odd.yaml"))


def test_only_options_that_change_no_result_may_change_when_a_recipe_goes_on():
    from geopretrain.recipes.reproduce import _MAY_DIFFER

    assert set(_MAY_DIFFER) - {"command"} <= {one.name for one in fields(ReproduceOptions)}
    assert not {"recipe", "data_root", "tiny", "small", "settings", "precision"} & set(_MAY_DIFFER)
