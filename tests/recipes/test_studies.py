"""Recipes that end with a comparison."""

from __future__ import annotations

import csv
import html
import json
import re
import shlex

import pytest
import yaml

from geopretrain import cli
from geopretrain.config.options import ReproduceOptions
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import ConfigError
from geopretrain.recipes.finding import FOLDER, read_recipe
from geopretrain.recipes.plan import make_plan
from geopretrain.recipes.reproduce import reproduce
from geopretrain.study.draws import drawn_by
from geopretrain.wording import number


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def study(folder, change=lambda content: None):
    content = yaml.safe_load((FOLDER / "what-helps/instrument.yaml").read_text(encoding="utf-8"))
    options = content["stages"][0]["options"]
    options |= {"inits": ["random"], "variants": {"same": {"init": "random"}}, "backbone": "test_resnet"}
    del content["settings"]["backbone"]
    content["settings"]["labels"]["tiny"] = [2]
    change(content)
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def test_a_study_ends_with_its_comparison_and_is_kept(tmp_path, capsys):
    words = ["reproduce", study(tmp_path), "--tiny", "--out", str(tmp_path / "out"), "--threads", "1"]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "prove nothing" in out
    assert out.count("mode ") == 1, "the table is shown once"
    sentence = json.loads((tmp_path / "out/scores/comparison.json").read_text())["headline"]
    assert " ".join(out.split()).count(" ".join(sentence.split())) == 1, "and what came out is said once"
    assert str(tmp_path / "out/scores/report.html") in out
    trials = tmp_path / "out/scores/trials"
    record = next(trials.glob("*.json"))
    assert json.loads(record.read_text())["evaluate_on"] == "val"
    before = {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    assert len(before) == 2 * 2 * 2, "two rows, two sets of labels, two seeds"
    assert "validation images, to choose settings by" in (tmp_path / "out/scores/report.html").read_text()
    assert cli.main(words) == 0
    assert {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")} == before
    assert " ".join(sentence.split()) in " ".join(capsys.readouterr().out.split()), "also when all was there"


@pytest.mark.usefixtures("scripted")
def test_trainings_that_failed_are_tried_again_by_the_same_command(tmp_path, monkeypatch):
    words = ["reproduce", study(tmp_path), "--tiny", "--out", str(tmp_path / "out"), "--threads", "1"]
    monkeypatch.setenv("FAKE_FAIL", "same")
    assert cli.main(words) == 3
    assert json.loads((tmp_path / "out/scores/comparison.json").read_text())["failures"]
    monkeypatch.delenv("FAKE_FAIL")
    assert cli.main(words) == 0
    assert not json.loads((tmp_path / "out/scores/comparison.json").read_text())["failures"]
    calls = (tmp_path / "out/scores/calls.log").read_text().splitlines()
    assert len(calls) == 12, "four of one row once, four of the other twice"
    assert cli.main(words) == 0
    assert (tmp_path / "out/scores/calls.log").read_text().splitlines() == calls


@pytest.mark.usefixtures("scripted")
def test_a_comparison_that_was_continued_by_hand_has_other_rows(tmp_path, capsys):
    recipe = study(tmp_path, lambda content: content.update(claim="the same is the same"))
    words = ["reproduce", recipe, "--tiny", "--out", str(tmp_path / "out"), "--threads", "1"]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    arguments = shlex.split(next(line for line in lines if line.startswith("geopretrain compare")))[1:]
    arguments[arguments.index("--variants") + 1 : arguments.index("--variants") + 1] = ["more={init: random}"]
    assert cli.main(arguments) == 0
    capsys.readouterr()
    assert cli.main(words) == 2
    assert "has 3 rows and the recipe 2: it was continued by hand" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["subsets=3", "seeds=[1, 2, 3]"])
def test_a_seed_for_each_set_is_checked_before_anything_is_trained(capsys, setting):
    words = ["reproduce", "evidence/grid", "--tiny", "--dry-run", "--settings", setting]
    assert cli.main(words) == 2
    assert "The stage scores (compare): seed_per_set trains from each set" in capsys.readouterr().err


def test_where_a_study_is_trained_is_no_part_of_it(tmp_path):
    recipe, out = study(tmp_path), tmp_path / "out"
    here = reproduce(recipe, tiny=True, dry_run=True, out=out)
    asked = {"executor": "local", "time": 5}
    there = reproduce(recipe, tiny=True, dry_run=True, out=out, launcher="slurm", slurm=asked, jobs=3)
    assert "--launcher slurm --slurm executor=local time=5" in there.text()
    assert "--jobs 3" in there.text()
    assert "--launcher" not in here.text()
    (one,), (other,) = here.plan.stages, there.plan.stages
    assert one.recognised(out) == other.recognised(out)


def test_the_numbers_of_the_paper_stand_beside_ours(tmp_path, capsys):
    def printed(content):
        content["printed"] = [
            {
                "init": "same",
                "mode": "full",
                "numbers": {"miou": 12.5, "pixel_accuracy": 40},
                "words": "Theirs <b>",
            },
            {"init": "random", "mode": "full", "numbers": {"miou": 30.0}, "words": "None"},
        ]

    recipe, out = study(tmp_path, printed), tmp_path / "out"
    words = ["reproduce", recipe, "--tiny", "--out", str(out), "--threads", "1"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    comparison = json.loads((out / "scores/comparison.json").read_text())
    line = comparison["printed"]["lines"][0]
    ours = next(r for r in comparison["summary"] if (r["init"], r["step"]) == ("same", 4))
    assert line["paper"] == 12.5
    assert line["ours"] == pytest.approx(100 * ours["mean"])
    assert f"{line['ours'] - 12.5:+.1f}" in said
    second = comparison["printed"]["lines"][1]
    own = [trial for trial in comparison["trials"] if trial["init"] == "same"]
    assert second["number"] == "pixel accuracy, %"
    assert second["ours"] == pytest.approx(100 * sum(one["pixel_accuracy"] for one in own) / len(own))
    page = (out / "scores/report.html").read_text()
    assert "Beside the paper" in page
    assert "Theirs &lt;b&gt;" in page
    assert cli.main(words) == 0, "a second time it is as it was"
    assert json.loads((out / "scores/comparison.json").read_text()) == comparison
    assert cli.main(["recipes", recipe]) == 0
    assert "Theirs <b>  miou 12.5, pixel_accuracy 40" in capsys.readouterr().out


def test_numbers_that_only_the_paper_has_stand_beside_ours(tmp_path, capsys):
    def others(content):
        content["others"] = [{"numbers": {"miou": 77.5, "pixel_accuracy": 90}, "words": "Never trained here"}]

    recipe, out = study(tmp_path, others), tmp_path / "out"
    assert cli.main(["reproduce", recipe, "--tiny", "--out", str(out), "--threads", "1"]) == 0
    (shown, _) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Never trained")]
    assert shown.split()[-2:] == ["77.5", "-"], "no result of ours is missing"
    lines = json.loads((out / "scores/comparison.json").read_text())["printed"]["lines"]
    assert [(line["paper"], line["ours"]) for line in lines] == [(77.5, None), (90, None)]
    page = (out / "scores/report.html").read_text(encoding="utf-8")
    assert "Never trained here" in page
    assert "77.5" in page
    assert cli.main(["recipes", recipe]) == 0
    assert "Never trained here  miou 77.5, pixel_accuracy 90" in capsys.readouterr().out


def test_numbers_of_the_paper_alone_are_of_a_comparison(tmp_path):
    def others(content):
        content["others"] = [{"numbers": {"miou": 77.5}, "words": "Theirs", "stage": "other"}]

    with pytest.raises(ConfigError, match="the paper's numbers of Theirs are of no comparison: scores"):
        read_recipe(study(tmp_path, others))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({}, "of depth, full is of no row of the comparison: random, same"),
        ({"init": "same", "mode": "frozen"}, "of same, frozen is of no row"),
        ({"init": "same", "stage": "other"}, "the paper's numbers of Theirs are of no comparison: scores"),
        ({"init": "same", "numbers": {}}, "printed"),
    ],
)
def test_numbers_of_no_row_are_refused(tmp_path, more, sentence):
    def printed(content):
        one = {"init": "depth", "mode": "full", "numbers": {"miou": 12.5}, "words": "Theirs"}
        content["printed"] = [{**one, **more}]

    with pytest.raises(ConfigError, match=sentence):
        read_recipe(study(tmp_path, printed))


def two_comparisons(content):
    """A study of two comparisons, the first of which has a number of its own, and rows named by a setting."""
    (second,) = content["stages"]
    first = {**second, "name": "before", "words": "with one more label"}
    first["options"] = {**second["options"], "labels": 3, "inits": [{"setting": "start"}]}
    content["stages"] = [first, second]
    content["settings"]["start"] = {"paper": "random", "source": "a test"}
    content["claim"] = "It <helps>."
    of = {"mode": "full", "words": "Theirs"}
    content["printed"] = [
        {**of, "init": "start", "stage": "before", "numbers": {"miou": 10.0}},
        {**of, "init": "same", "numbers": {"miou": 20.0}},
    ]


def test_a_study_of_several_comparisons_has_a_page_that_leads_to_theirs(tmp_path, capsys):
    recipe, out = study(tmp_path, two_comparisons), tmp_path / "out"
    assert cli.main(["reproduce", recipe, "--tiny", "--out", str(out), "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert said.count("The paper: It <helps>.") == 1
    assert f"The report is {out / 'report.html'}." in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "It &lt;helps&gt;." in page
    for name, paper in (("before", 10), ("scores", 20)):
        comparison = json.loads((out / name / "comparison.json").read_text())
        (line,) = comparison["printed"]["lines"]
        assert line["paper"] == paper
        assert f'href="{name}/report.html"' in page
        assert number(line["ours"] - paper, "+.1f") in page
    assert "It prints no numbers" not in page
    assert "What differs from the paper" not in page, "a question of our own has none"
    assert "none:" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert cli.main(["recipes", recipe]) == 0
    assert "  before: Theirs  miou 10\n  scores: Theirs  miou 20\n" in capsys.readouterr().out
    made = reproduce(recipe, tiny=True, out=out, threads=1)
    assert [one.path.name for one in made.comparisons] == ["before", "scores"]
    assert made.comparison is made.comparisons[-1]


def with_analyses(content):
    options = content["stages"][0]["options"]
    shared = {"data": options["data"], "backbone": options["backbone"], "size": options["size"]}
    probes = {"labels": {"setting": "labels"}, "subsets": 2, "evaluate_on": "test"}
    two = {"inits": ["random", {"stage": "alone"}], **shared}
    content["stages"] += [
        {
            "name": "alone",
            "words": "trained for an analysis alone",
            "command": "finetune segmentation",
            "options": {**shared, "labels": 2, "steps": 1, "batch_size": 2, "seed": 1},
        },
        {"name": "idle", "words": "of no use", "command": "data prepare", "options": {"inputs": "nothing"}},
        {
            "name": "probes",
            "words": "what <few> labels read",
            "command": "analyse features",
            "options": two | probes,
        },
        {
            "name": "layers",
            "words": "how alike they are",
            "command": "analyse cka",
            "options": {"inits": [{"stage": "alone"}], "data": options["data"], "images": 8, "batch_size": 4},
        },
    ]


def test_analyses_of_a_study_are_run_and_shown(tmp_path, capsys):
    recipe, out = study(tmp_path, with_analyses), tmp_path / "out"
    words = ["reproduce", recipe, "--tiny", "--out", str(out), "--threads", "1"]
    assert cli.main(words) == 0
    assert f"The report is {out / 'report.html'}." in capsys.readouterr().out
    assert not (out / "idle").exists(), "a stage that nothing leads to is not run"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 'href="scores/report.html"' in page
    assert "What &lt;few&gt; labels read" in page
    assert "linear probes by the number of labels" in page
    rows = list(csv.DictReader((out / "probes/labels.csv").open(encoding="utf-8")))
    assert len(rows) == 2 * 1 * 2, "two starts, one number of labels, two sets"
    assert all(0 <= float(row["linear_miou"]) <= 1 for row in rows)
    assert "How alike they are" in page
    assert page.count('class="plot"') >= 3, "of the comparison, the probes, and the layers"
    before = (out / "probes/features.json").stat().st_mtime_ns
    assert cli.main(words) == 0
    assert (out / "probes/features.json").stat().st_mtime_ns == before, "what is finished is kept"


def test_a_damaged_analysis_of_a_study_is_said_in_its_place(tmp_path, capsys):
    recipe, out = study(tmp_path, with_analyses), tmp_path / "out"
    words = ["reproduce", recipe, "--tiny", "--out", str(out), "--threads", "1"]
    assert cli.main(words) == 0
    (out / "probes/features.json").write_text("{", encoding="utf-8")
    assert cli.main(words) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert re.search(r'class="failure">[^<]*features.json', page)
    assert "How alike they are" in page


def test_the_numbers_of_a_paper_are_of_the_last_comparison_though_analyses_follow(tmp_path, capsys):
    def printed(content):
        with_analyses(content)
        content["printed"] = [{"init": "same", "mode": "full", "numbers": {"miou": 1.0}, "words": "Theirs"}]

    recipe = read_recipe(study(tmp_path, printed))
    assert [stage.name for stage in recipe.comparisons] == ["scores"]
    assert [stage.name for stage in recipe.ends] == ["scores", "probes", "layers"]
    assert cli.main(["recipes", str(tmp_path / "study.yaml")]) == 0
    assert "Theirs  miou 1" in capsys.readouterr().out


def test_a_study_has_no_table_and_no_seeds_of_rows(tmp_path):
    recipe = study(tmp_path)
    with pytest.raises(ConfigError, match="a setting of it"):
        reproduce(recipe, tiny=True, dry_run=True, seeds=3)
    shown = reproduce(recipe, tiny=True, dry_run=True)
    assert shown.comparison is None
    assert "geopretrain compare" in shown.text()
    with pytest.raises(ConfigError, match="Nothing was run"):
        _ = shown.table


def test_rows_belong_to_a_measure_and_a_comparison_comes_last(tmp_path):
    def no_comparison(content):
        content["stages"][0]["command"] = "data prepare"
        content["stages"][0]["options"] = {"inputs": "x"}

    def with_rows(content):
        content["rows"] = [{"name": "a", "words": "b", "start": "random"}]

    for change in (no_comparison, with_rows):
        with pytest.raises(ConfigError, match="neither rows with a measure, nor a last stage"):
            read_recipe(study(tmp_path, change))


def test_what_chosen_images_are_worth_is_told_where_it_is_asked(tmp_path, capsys):
    def chosen(content):
        data = "synthetic:street?train=4&val=2&test=2&seed=70"
        drawn = LabelledSet.open(data)
        names = drawn.names(drawn.splits()["train"][:3])
        (tmp_path / "list.txt").write_text("\n".join(names))
        two_comparisons(content)
        content["data"]["labelled"]["tiny"] = data
        content["printed"] = []
        content["stages"][0]["options"] |= {"label_list": str(tmp_path / "list.txt")}

    out = tmp_path / "out"
    assert (
        cli.main(["reproduce", study(tmp_path, chosen), "--tiny", "--out", str(out), "--threads", "1"]) == 0
    )
    sentences = [
        one["sentence"] for one in json.loads((out / "before/comparison.json").read_text())["choice"]
    ]
    assert sentences
    ends = capsys.readouterr().out.partition("The report is")[0].rpartition("The paper: ")[2]
    page = html.unescape((out / "report.html").read_text(encoding="utf-8"))
    for sentence in sentences:
        assert sentence in page
        assert " ".join(sentence.split()) in " ".join(ends.split())


def test_chosen_images_are_held_against_the_same_drawn_ones(tmp_path):
    made = make_plan(ReproduceOptions("what-helps/choice", out=tmp_path, tiny=True, dry_run=True))
    ways = {drawn_by(step.options) for step in made.stages if step.command == "compare"}
    assert ways == {"sequence"}, "one set drawn in the second comparison is the first one of the other"
