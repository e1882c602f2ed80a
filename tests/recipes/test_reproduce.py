"""``reproduce`` run: MeSa's chain cut short, killed, continued, with stages and rows that fail."""

from __future__ import annotations

import json
import re
import shutil

import killed
import pytest
import yaml
from PIL import Image

from geopretrain import cli
from geopretrain.recipes.finding import FOLDER, read_recipe
from geopretrain.recipes.plan import make_plan
from geopretrain.recipes.results import Line, Outcome, collect, verdict
from geopretrain.recipes.shapes import Column, Row
from geopretrain.runs.folder import RunFolder
from geopretrain.study.statistics import paired_difference
from geopretrain.wording import number

SHORT = dict.fromkeys(("masked_steps", "geometric_steps", "teacher_steps", "supervised_steps"), 2)
SHORT |= {"finetune_steps": 2, "masked_batch": 2, "geometric_batch": 2, "finetune_batch": 2}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def short_chain(folder, rows, seeds, change=lambda content: None):
    """Write the chain with a few frames, two steps each, and some of its rows; return its path."""
    content = yaml.safe_load((FOLDER / "mesa/chain.yaml").read_text(encoding="utf-8"))
    for name, value in SHORT.items():
        content["settings"][name]["tiny"] = value
    content["data"]["frames"]["tiny"] = (
        "synthetic:rooms?worlds=1&frames=20&seed=3&height=64&width=96&stereo=0"
    )
    rooms = "synthetic:rooms?worlds=1&frames=4&seed=9&height=64&width=96&stereo=0"
    content["settings"]["teacher_rooms"]["tiny"] = rooms
    content["rows"] = [row for row in content["rows"] if row["name"] in rows]
    del content["items"]
    content["measure"]["seeds"]["tiny"] = list(seeds)
    change(content)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "short.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def words(recipe, out, *more):
    return ["reproduce", str(recipe), "--tiny", "--out", str(out), "--threads", "1", *more]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The whole chain with its last row, run once."""
    folder = tmp_path_factory.mktemp("chain")
    recipe = short_chain(folder, ["MP+GP+SP"], [0])
    assert cli.main(words(recipe, folder / "out")) == 0
    return recipe, folder / "out"


def test_each_stage_is_a_run_that_started_from_the_one_before(chain):
    _, out = chain
    fine = RunFolder.open(out / "rows" / "MP+GP+SP" / "seed-0" / "finetuned")
    assert [one["method"] for one in fine.lineage["chain"][1:]] == ["simmim", "scdepth", "scdepth"]
    assert [one["init"] for one in fine.lineage["chain"][1:]] == [
        str(out / name) for name in ("masked", "geometric", "supervised")
    ]
    assert fine.lineage["method"] == "depth"
    assert fine.lineage["backbone"] == "geopretrain_swinv2_mini"
    for name in ("masked", "geometric", "teacher", "supervised"):
        run = RunFolder.open(out / name)
        assert run.finished
        assert not run.checkpoint.exists(), "thrice the weights, and of no use to later stages"


def test_the_results_hold_the_papers_numbers_beside_ours(chain):
    _, out = chain
    results = json.loads((out / "results.json").read_text())
    (row,) = results["rows"]
    assert (results["protocol"], results["frames"], results["failures"]) == ("mim-nyu-10", "held_out", [])
    assert row["numbers"]["rmse"]["paper"] == 0.265
    (score,) = (out / "rows/MP+GP+SP/seed-0/scored").glob("*.json")
    assert row["numbers"]["rmse"]["values"] == [json.loads(score.read_text())["rmse"]]
    assert results["settings"]["geometric_steps"] == 2


def test_the_page_says_what_came_out_and_what_differs(chain):
    recipe, out = chain
    page = (out / "report.html").read_text(encoding="utf-8")
    ours = json.loads((out / "results.json").read_text())["rows"][0]["numbers"]["rmse"]["mean"]
    assert f"<b>{ours:.3f}</b>" in page
    assert number(ours - 0.265, "+.3f") in page
    assert "random → simmim → scdepth → scdepth → depth" in page
    for sentence in yaml.safe_load(recipe.read_text())["differs"]:
        assert re.sub("`(.*?)`", r"<code>\1</code>", sentence.replace("'", "&#39;")) in page
    assert "480x480" in page
    assert "This is the tiny form: it shows that every stage runs" in page
    assert "data:image/png;base64," in page
    picture = Image.open(out / "depth.png")
    assert picture.width > 2 * 96


def test_repeated_it_keeps_what_is_finished(chain, capsys):
    recipe, out = chain
    before = killed.content(out)
    assert cli.main(words(recipe, out)) == 0
    said = capsys.readouterr().out
    assert said.count("Done before: ") == 12
    assert f"The report is {out / 'report.html'}." in said
    assert killed.differing(killed.content(out), before) == []


def test_a_folder_of_other_settings_or_of_something_else_is_left_alone(chain, capsys, tmp_path):
    recipe, out = chain
    assert cli.main(words(recipe, out, "--settings", "finetune_steps=3")) == 2
    assert "with settings = {}, not {'finetune_steps': 3}" in capsys.readouterr().err
    assert cli.main(["reproduce", "mesa/chain", "--tiny", "--out", str(out)]) == 2
    assert "with recipe = " in capsys.readouterr().err
    (tmp_path / "thesis.txt").touch()
    assert cli.main(words(recipe, tmp_path)) == 2
    assert "holds no recipe, so it is left alone" in capsys.readouterr().err


def test_a_stage_that_was_made_otherwise_is_not_taken(chain, capsys, tmp_path):
    recipe, out = chain
    shutil.copytree(out, tmp_path / "out")
    shutil.copy(recipe, tmp_path / "short.yaml")
    saved = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    (tmp_path / "out/config.yaml").write_text(
        yaml.safe_dump({**saved, "recipe": str(tmp_path / "short.yaml")})
    )
    text = (
        (tmp_path / "short.yaml")
        .read_text()
        .replace("target_window:\n    paper: 0", "target_window:\n    paper: 5")
    )
    (tmp_path / "short.yaml").write_text(text)
    assert cli.main(words(tmp_path / "short.yaml", tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "The stage masked in" in said
    assert "target_window=5" in said


def test_a_stage_that_fails_is_named_and_the_command_goes_on_when_that_is_mended(tmp_path, capsys):
    def change(content):
        content["settings"]["teacher"]["small"] = str(tmp_path / "nowhere")
        content["rows"][0]["start"] = {"stage": "seen"}

    recipe = short_chain(tmp_path, ["MP+GP+SP"], [0], change)
    assert cli.main(words(recipe, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "The stage seen (2 of 2, `geopretrain data pseudo-depth`) failed: The teacher" in said
    assert f"What is finished is kept in '{tmp_path / 'out'}': repeat the command to go on." in said
    assert list(json.loads((tmp_path / "out/stages.json").read_text())) == ["frames"]


def test_data_without_what_the_recipe_needs_are_refused_before_anything_is_trained(tmp_path, capsys):
    from making_clips import sliding_frames, write_images

    write_images(tmp_path / "data" / "7scenes", sliding_frames(12, 3.0))
    code = cli.main(
        [
            "reproduce",
            "mesa/chain",
            "--small",
            "--data-root",
            str(tmp_path / "data"),
            "--out",
            str(tmp_path / "out"),
        ]
    )
    assert code == 2
    said = capsys.readouterr().err
    assert "The stage frames (1 of 7, `geopretrain data prepare`) failed" in said
    assert "depth" in said
    assert not (tmp_path / "out" / "masked").exists()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Two rows with two seeds that start from random numbers; one of them fails with one seed."""
    folder = tmp_path_factory.mktemp("rows")

    def change(content):
        content["rows"] = [{**row, "start": "random"} for row in content["rows"]]

    return short_chain(folder, ["MP", "none"], [0, 1], change), folder


def test_a_row_that_fails_does_not_stop_the_others(rows, capsys, monkeypatch):
    from geopretrain.errors import DataError
    from geopretrain.recipes import jobs

    recipe, folder = rows
    whole, function = folder / "out", jobs.function

    def failing(command):
        def call(*values, **named):
            if command == "finetune depth" and named["seed"] == 1 and "MP" in named["out"]:
                raise DataError("The disk is on fire.")
            return function(command)(*values, **named)

        return call

    monkeypatch.setattr(jobs, "function", failing)
    assert cli.main(words(recipe, whole)) == 3
    said = capsys.readouterr().out
    assert "FAILED MP, seed 1: The disk is on fire." in said
    results = json.loads((whole / "results.json").read_text())
    assert [row["seeds"] for row in results["rows"]] == [[0], [0, 1]]
    assert "none: too few seeds to tell a difference in RMSE (m) to MP." in said
    page = (whole / "report.html").read_text()
    assert "MP, seed 1 failed: The disk is on fire." in page
    assert "too few seeds" in page
    monkeypatch.undo()
    assert cli.main(words(recipe, whole)) == 0
    results = json.loads((whole / "results.json").read_text())
    assert [row["seeds"] for row in results["rows"]] == [[0, 1], [0, 1]]
    same = [row["numbers"]["rmse"]["values"] for row in results["rows"]]
    assert same[0] == same[1], "the same start and seed end alike"


# ---- numbers
COLUMNS = (Column(name="rmse", title="RMSE", better="lower"), Column(name="a1", title="δ1", better="higher"))


def outcome(*rows):
    lines = []
    for name, values in rows:
        row = Row(name=name, words=name, start="random", printed={"rmse": 0.5} if name != "none" else {})
        differences = {
            one: paired_difference(values[one], rows[0][1][one]) if lines else None for one in values
        }
        lines.append(Line(row, (0, 1, 2), {n: tuple(v) for n, v in values.items()}, differences))
    return Outcome(COLUMNS, lines, "dense-80-metric", 12, "held_out")


def test_a_lower_error_and_a_higher_accuracy_are_better():
    made = outcome(
        ("MP", {"rmse": [0.5, 0.6, 0.7], "a1": [0.5, 0.6, 0.7]}),
        ("GP", {"rmse": [0.4, 0.5001, 0.6], "a1": [0.6, 0.7001, 0.8]}),
    )
    better = made.lines[1].differences
    assert [verdict(better[column.name], column) for column in COLUMNS] == ["better", "better"]
    (sentence,) = made.sentences()
    assert sentence.startswith("GP: RMSE −0.100 against MP, 3 seeds, 95 % interval −0.100 to −0.100: better.")
    assert made.headline() == (
        "RMSE on 12 held-out pictures (dense-80-metric, 3 seeds): MP 0.600 ± 0.100, GP 0.500 ± 0.100."
    )


def test_scores_of_different_protocols_are_not_put_in_one_table(rows, tmp_path):
    from geopretrain.config.options import ReproduceOptions
    from geopretrain.errors import RunFolderError

    recipe, _ = rows
    plan = make_plan(ReproduceOptions(str(recipe), tiny=True, out=tmp_path))
    numbers = {column.name: 0.5 for column in plan.recipe.measure.columns}
    for one in plan.measured:
        folder = one.steps[-1].folder
        folder.mkdir(parents=True)
        (folder / "x.json").write_text(json.dumps({"protocol": "a", "images": 3, **numbers}))
    assert collect(plan, plan.measured).images == 3
    (folder / "x.json").write_text(json.dumps({"protocol": "b", "images": 3, **numbers}))
    with pytest.raises(RunFolderError, match="not scored alike"):
        collect(plan, plan.measured)
    (folder / "x.json").write_text(json.dumps({"protocol": "a", "images": 3, **numbers, "rmse": None}))
    with pytest.raises(RunFolderError, match="rmse"):
        collect(plan, plan.measured)


# ---- kills
def results_of(out):
    """Return what has to be equal between two runs of a recipe: without names that hold a time."""
    found = {}
    for name, value in killed.content(out).items():
        if "tensorboard/" not in name and not name.endswith(("files.jsonl", "pseudo_depth/info.json")):
            found[re.sub(r"values_[0-9a-f]+", "values", name)] = value
    return found


def check_kills(folder, recipe, moments):
    """Kill the command at some moments; the same command ends with what an unkilled one leaves."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    total = killed.run(words(recipe, out), out)
    whole = results_of(out)
    for moment in moments(total):
        shutil.rmtree(out)
        if killed.run(words(recipe, out), out, moment):
            continue
        killed.run(words(recipe, out), out)
        assert killed.differing(results_of(out), whole) == [], f"killed at {moment} of {total}"


@pytest.mark.slow
def test_the_chain_killed_at_many_moments_ends_alike(tmp_path):
    recipe = short_chain(tmp_path, ["MP+GP+SP"], [0])
    check_kills(tmp_path, recipe, lambda total: range(3, total, max(1, total // 8)))


@pytest.mark.slow
def test_the_chain_at_its_tiny_size(tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["reproduce", "mesa/chain", "--tiny", "--out", str(out)]) == 0
    tables = json.loads((out / "results.json").read_text())["items"]
    assert [row["row"] for row in tables["table-1"]["rows"]] == ["MP", "MP+GP", "MP+GP+SP", "none"]
    assert [row["row"] for row in tables["table-2"]["rows"]] == ["MP", "MP+GP", "MP+GP+SP"]
    assert all(len(row["seeds"]) == 2 for table in tables.values() for row in table["rows"])
    assert "Table 1: RMSE (m) on" in capsys.readouterr().out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(f'id="{item}"' in page for item in read_recipe("mesa/chain").items)
