"""Recipes that end with a comparison."""

from __future__ import annotations

import json

import pytest
import yaml

from geopretrain import cli
from geopretrain.errors import ConfigError
from geopretrain.recipes.finding import FOLDER, names, read_recipe
from geopretrain.recipes.reproduce import reproduce

STUDIES = [name for name in names() if read_recipe(name).is_study]


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
    assert str(tmp_path / "out/scores/report.html") in out
    trials = tmp_path / "out/scores/trials"
    record = next(trials.glob("*.json"))
    assert json.loads(record.read_text())["evaluate_on"] == "val"
    before = {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    assert len(before) == 2 * 2 * 2, "two rows, two sets of labels, two seeds"
    assert "validation images, to choose settings by" in (tmp_path / "out/scores/report.html").read_text()
    assert cli.main(words) == 0
    assert {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")} == before


def test_where_a_study_is_trained_is_no_part_of_it(tmp_path):
    recipe, out = study(tmp_path), tmp_path / "out"
    here = reproduce(recipe, tiny=True, dry_run=True, out=out)
    asked = {"executor": "local", "time": 5}
    there = reproduce(recipe, tiny=True, dry_run=True, out=out, launcher="slurm", slurm=asked)
    assert "--launcher slurm --slurm executor=local time=5" in there.text()
    assert "--launcher" not in here.text()
    (one,), (other,) = here.plan.stages, there.plan.stages
    assert one.recognised(out) == other.recognised(out)


def test_the_numbers_of_the_paper_stand_beside_ours(tmp_path, capsys):
    def printed(content):
        content["printed"] = [
            {"init": "same", "mode": "full", "score": 12.5, "words": "Theirs <b>"},
            {"init": "random", "mode": "full", "score": 30.0, "words": "None"},
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
    page = (out / "scores/report.html").read_text()
    assert "Beside the paper" in page
    assert "Theirs &lt;b&gt;" in page
    assert cli.main(words) == 0, "a second time it is as it was"
    assert json.loads((out / "scores/comparison.json").read_text()) == comparison
    assert cli.main(["recipes", recipe]) == 0
    assert "Theirs <b>  12.5" in capsys.readouterr().out


def test_numbers_of_no_row_are_refused(tmp_path):
    def printed(content):
        content["printed"] = [{"init": "depth", "mode": "full", "score": 12.5, "words": "Theirs"}]

    with pytest.raises(ConfigError, match="of depth, full is of no row of the comparison: random, same"):
        read_recipe(study(tmp_path, printed))


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


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_at_its_tiny_size(name, tmp_path):
    assert cli.main(["reproduce", name, "--tiny", "--out", str(tmp_path / "out"), "--threads", "1"]) == 0
