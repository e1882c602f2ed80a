"""Steps of a recipe that run at the same time: which may, and that the numbers are the same."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import queueing
import yaml

from geopretrain import cli
from geopretrain.config.options import ReproduceOptions
from geopretrain.console import console
from geopretrain.errors import DataError
from geopretrain.recipes import jobs, running
from geopretrain.recipes.finding import FOLDER
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.order import can_be_launched, in_turn, needs_of, width
from geopretrain.recipes.plan import make_plan
from geopretrain.recipes.running import Runner
from geopretrain.study.launchers import Launch
from geopretrain.study.launchers.work import Work


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def plan_of(name, **options):
    return make_plan(ReproduceOptions(name, tiny=True, **options))


# ---- which steps need which
def test_a_step_needs_what_it_reads(tmp_path):
    steps = plan_of("mesa/chain", out=tmp_path / "a run, with words").stages
    assert needs_of(steps) == {
        "frames": set(),
        "masked": {"frames"},
        "other_pictures": set(),
        "masked_others": {"other_pictures"},
        "geometric": {"frames", "masked"},
        "rooms": set(),
        "teacher": {"rooms"},
        "seen": {"frames", "teacher", "masked", "geometric"},
        "supervised": {"frames", "seen", "geometric"},
    }
    assert [step.name for step in steps if not can_be_launched(step)] == ["frames", "other_pictures", "rooms"]


def test_the_points_of_a_grid_do_not_wait_for_each_other():
    steps = plan_of("evidence/mesa-rooms").stages
    needs = needs_of(steps)
    assert needs["geometric-again"] == {"frames", "masked-again"}
    assert needs["supervised-first"] == {"frames", "seen", "geometric-first"}
    assert needs["scores"] == {step.name for step in steps} - {"scores", "rooms", "teacher"}
    trained = [step for step in steps if step.command == "pretrain"]
    named = [step.name for step in trained]
    assert width(named, needs) == 3, "two that are masked, and the teacher"
    assert width(named, in_turn(trained)) == 1
    assert width([], needs) == 0


def chain_with(folder, **options):
    """Write the chain with other options of stages, and ``masked`` once more; return its path."""
    content = yaml.safe_load((FOLDER / "mesa/chain.yaml").read_text(encoding="utf-8"))
    stages = {one["name"]: one for one in content["stages"]}
    at = content["stages"].index(stages["masked"]) + 1
    content["stages"].insert(at, {**stages["masked"], "name": "masked+more"})
    ends = ("masked", "masked+more", "geometric", "supervised")
    content["rows"] = [{**content["rows"][0], "name": name, "start": {"stage": name}} for name in ends]
    del content["items"]
    for name, changed in options.items():
        stages[name]["options"] = {**stages[name]["options"], **changed}
    path = folder / "chain.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_longer_name_is_another_folder(tmp_path):
    needs = needs_of(plan_of(chain_with(tmp_path), out=tmp_path / "out").stages)
    assert needs["masked+more"] == needs["masked"] == {"frames"}


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("name", ["out", "beside/../out", "link/out"])
def test_a_folder_is_known_by_all_its_names(tmp_path, monkeypatch, name, is_there):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for folder in ("filmed", *(("out/frames", "out/masked") if is_there else ())):
        (tmp_path / folder).mkdir(parents=True)
    assert needs_of(plan_of("mesa/chain", out=name).stages)["geometric"] == {"frames", "masked"}
    by_hand = {"init": "beside/../out/masked/model.safetensors", "data": "link/filmed"}
    recipe = chain_with(tmp_path, geometric=by_hand, seen={"store": "filmed"})
    needs = needs_of(plan_of(recipe, out=name).stages)
    assert needs["geometric"] == {"masked"}
    assert needs["seen"] == {"teacher", "geometric"}, "which reads what it writes into"


def test_the_same_folder_by_another_name_is_the_same_call(tmp_path, monkeypatch):
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path / "beside")
    (tmp_path / "out" / "frames").mkdir(parents=True)
    plans = [plan_of("mesa/chain", out=out) for out in ("../out", tmp_path / "out")]
    one, other = ({step.name: step.recognised(plan.out) for step in plan.stages} for plan in plans)
    assert one == other
    assert "OUT/frames" in one["masked"]


def test_a_training_on_several_devices_and_a_comparison_have_processes_of_their_own():
    steps = plan_of("evidence/mesa-rooms", devices=2).stages
    assert not any(can_be_launched(step) for step in steps if step.command in ("pretrain", "compare"))


# ---- jobs
@pytest.mark.parametrize("shown", [True, False])
def test_how_far_trainings_are_is_said_where_anything_is_shown(tmp_path, capsys, monkeypatch, shown):
    monkeypatch.setattr(jobs, "LOOK", 0.01)
    monkeypatch.setattr(jobs.Watch, "_how_far", lambda self, name: f"{name} at step 1 of 2")
    monkeypatch.setattr("geopretrain.console.PLAIN_LINE_EVERY", 0)
    masked = plan_of("mesa/chain", out=tmp_path).stages[1]
    with console.showing(shown), jobs.watching([masked]):
        time.sleep(0.3)
    assert ("masked at step 1 of 2" in capsys.readouterr().out) == shown


def test_a_job_computes_as_its_recipe_fixes_it_and_else_as_it_is_told(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(jobs, "function", lambda command: lambda **values: called.append(values))
    fixed = chain_with(tmp_path, masked={"device": "cpu", "threads": 1})
    plan = plan_of(fixed, out=tmp_path / "out", device="auto", threads=2)
    for step in plan.stages:
        jobs.run_job(jobs.job_of(step, overwrite=False), threads=2, device="cuda")
    how = {Path(one["out"]).name: (one["device"], one["threads"]) for one in called if "out" in one}
    assert (how["masked"], how["masked+more"]) == (("cpu", 1), ("cuda", 2))


def test_a_job_has_whole_paths_because_other_machines_begin_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "filmed").mkdir()
    plan = plan_of(chain_with(tmp_path, masked={"data": "filmed"}), out="out")
    values = {step.name: jobs.job_of(step, overwrite=False).values for step in plan.stages}
    assert values["masked"]["data"] == str(tmp_path / "filmed")
    assert "size" not in values["masked"], "what is left to defaults stays so"
    assert values["frames"]["size"] == "64x96"


# ---- run
def recipe_of(folder, failing=""):
    """Write a recipe of two pre-trainings and three rows with two seeds from them."""
    path = folder / "short.yaml"
    content = yaml.safe_load((FOLDER / "mesa/chain.yaml").read_text(encoding="utf-8"))
    for name in ("masked_steps", "finetune_steps", "masked_batch", "finetune_batch"):
        content["settings"][name]["tiny"] = 2
    content["data"]["frames"]["tiny"] = (
        "synthetic:rooms?worlds=1&frames=20&seed=3&height=64&width=96&stereo=0"
    )
    masked = next(one for one in content["stages"] if one["name"] == "masked")
    other = {**masked, "name": "other", "options": {**masked["options"], "seed": 5}}
    content["stages"].insert(content["stages"].index(masked) + 1, other)
    rows = [one for one in content["rows"] if one["name"] in ("MP", "none")]
    content["rows"] = [*rows, {**rows[0], "name": "MP-again", "start": {"stage": "other"}, "printed": {}}]
    del content["items"]
    measure = content["measure"]
    measure["steps"] = [one for one in measure["steps"] if one["name"] in ("finetuned", "scored")]
    measure["seeds"]["tiny"] = [0, 1]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def words(recipe, out, *more):
    return ["reproduce", str(recipe), "--tiny", "--out", str(out), "--threads", "1", *more]


def numbers_of(out):
    rows = json.loads((out / "results.json").read_text())["rows"]
    return {row["row"]: [row["seeds"], row["numbers"]["rmse"]["values"]] for row in rows}


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """The recipe, and what it ends with where one step follows the other."""
    folder = tmp_path_factory.mktemp("alone")
    recipe = recipe_of(folder)
    assert cli.main(words(recipe, folder / "out")) == 0
    return recipe, folder / "out"


def test_two_at_a_time_end_with_the_same_numbers(one_by_one, tmp_path, capsys):
    recipe, alone = one_by_one
    out = tmp_path / "out"
    assert cli.main(words(recipe, out, "--jobs", "2")) == 0
    said = capsys.readouterr().out
    assert "Together: 2 steps, 2 at a time." in said
    assert numbers_of(out) == numbers_of(alone)
    stages, before = (json.loads((folder / "stages.json").read_text()) for folder in (out, alone))
    assert {name: one["call"] for name, one in stages.items()} == {
        name: one["call"] for name, one in before.items()
    }
    assert cli.main(words(recipe, out)) == 0, "and where it ran is no part of it"
    assert "Together" not in (said := capsys.readouterr().out)
    assert said.count("Done before: ") == len(stages)
    assert (out / "workers.log").is_file()
    assert cli.main(words(recipe, out, "--overwrite", "--dry-run")) == 0


@pytest.fixture
def queue(monkeypatch):
    return queueing.stand_before(monkeypatch)


def fails_where(monkeypatch, is_meant):
    """Let calls fail that are meant."""
    function = jobs.function

    def failing(command):
        def call(*values, **named):
            if is_meant(command, named):
                raise DataError("The disk is on fire.")
            return function(command)(*values, **named)

        return call

    monkeypatch.setattr(jobs, "function", failing)


def test_a_stage_that_fails_elsewhere_stops_none_beside_it(one_by_one, tmp_path, capsys, monkeypatch, queue):
    recipe, alone = one_by_one
    ask = words(recipe, tmp_path / "out", "--launcher", "slurm", "--jobs", "1")
    with monkeypatch.context() as patched:
        fails_where(patched, lambda command, named: str(named.get("out")).endswith("masked"))
        assert cli.main(ask) == 2
    said = capsys.readouterr()
    assert "The stage masked (2 of 3, `geopretrain pretrain`) failed: The disk is on fire." in said.err
    assert "masked: FAILED: The disk is on fire." in said.out
    assert sorted(json.loads((tmp_path / "out/stages.json").read_text())) == ["frames", "other"]
    assert cli.main(ask) == 0
    assert numbers_of(tmp_path / "out") == numbers_of(alone)
    assert len(queue.asked) == 3, "stages, stages again, rows: none of them in this process"


def test_all_stages_that_failed_are_named(one_by_one, tmp_path, capsys, monkeypatch, queue):
    recipe, _ = one_by_one
    fails_where(monkeypatch, lambda command, named: command == "pretrain")
    ask = words(recipe, tmp_path / "out", "--launcher", "slurm", "--progress", "false")
    assert cli.main(ask) == 2
    said = capsys.readouterr()
    assert "The stage masked (2 of 3, `geopretrain pretrain`) failed: The disk is on fire. " in said.err
    assert "other failed, too: The disk is on fire. What is finished" in said.err
    assert "FAILED" not in said.out


def test_what_fails_of_a_chain_is_what_failed_and_not_what_needs_it(tmp_path, monkeypatch):
    plan = plan_of(chain_with(tmp_path), out=tmp_path / "out")
    steps, needs = plan.stages, needs_of(plan.stages)
    told = []

    def run_all(asked, launch, on_done, own):
        work = Work(asked, on_done, own)
        while (job := work.take()) is not None:
            is_bad = job.name in ("masked", "masked+more")
            work.finish(job, {"error": f"no {job.name}"} if is_bad else {"outcome": {"seconds": 1.0}})

    monkeypatch.setattr(running, "run_jobs", run_all)
    monkeypatch.setattr(running, "call", lambda job: 0.0)
    monkeypatch.setattr(running, "_check_fields", lambda step: None)
    launch = Launch("slurm", "auto", "cpu", tmp_path / "log")
    journal = Journal(tmp_path / "out")
    ran = Runner(steps, needs, journal, launch, {}, told.extend, overwrite=False).run()
    assert [(step.name, error) for step, error in told] == [
        ("masked", "no masked"),
        ("masked+more", "no masked+more"),
    ]
    assert sorted(ran) == ["frames", "rooms", "teacher"]


def test_a_recipe_of_many_steps_is_looked_through_in_no_time(tmp_path):
    (step,) = (one for one in plan_of("mesa/chain", out=tmp_path).stages if one.name == "masked")
    steps = [replace(step, name=f"row-{number}") for number in range(1500)]
    needs = {step.name: {f"row-{number - 1}"} if number % 3 else set() for number, step in enumerate(steps)}
    launch = Launch("slurm", "auto", "cpu", tmp_path / "log")
    runner = Runner(steps, needs, Journal(tmp_path), launch, {}, lambda failures: None, overwrite=False)
    begin = time.process_time()
    assert len(runner._batch()) == len(steps)
    assert time.process_time() - begin < 5


def test_a_row_that_fails_elsewhere_stops_no_other(one_by_one, tmp_path, capsys, monkeypatch, queue):
    recipe, alone = one_by_one
    ask = words(recipe, tmp_path / "out", "--launcher", "slurm")
    with monkeypatch.context() as patched:
        fails_where(
            patched, lambda command, named: command == "finetune depth" and "none/seed-1" in named["out"]
        )
        assert cli.main(ask) == 3
    assert "FAILED none, seed 1: The disk is on fire." in capsys.readouterr().out
    whole = numbers_of(alone)
    seeds, values = whole["none"]
    assert numbers_of(tmp_path / "out") == {**whole, "none": [seeds[:1], values[:1]]}
    assert cli.main(ask) == 0
    assert numbers_of(tmp_path / "out") == whole
