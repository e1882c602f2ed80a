"""Every recipe at its tiny size, from the command line: run by `make recipes` and by CI."""

from __future__ import annotations

import json

import pytest

from geopretrain import cli
from geopretrain.recipes.finding import names, read_recipe
from geopretrain.recipes.shapes import inits_of

pytestmark = pytest.mark.recipes


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """One thread, and no processes beside this one, which would take as long to start as their work takes."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("geopretrain.study.launchers.local.MAX_WORKERS", 1)


@pytest.mark.parametrize("name", names())
def test_a_recipe_at_its_tiny_size(name, tmp_path, capsys):
    out, recipe = tmp_path / "out", read_recipe(name)
    assert cli.main(["reproduce", name, "--tiny", "--out", str(out), "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "prove nothing" in said
    lines = []
    for stage in recipe.comparisons:
        results = json.loads((out / stage.name / "comparison.json").read_text())
        assert not results["failures"]
        assert len(results["inits"]) == len(inits_of(stage))
        page = (out / stage.name / "report.html").read_text(encoding="utf-8")
        assert ("Beside the paper" in page) == bool(recipe.printed or recipe.others or recipe.claim)
        lines += (results.get("printed") or {}).get("lines", [])
    own = [line for line in lines if line["init"]]
    assert len(own) == sum(len(one.numbers) for one in recipe.printed)
    assert all(line["ours"] is not None for line in own)
    assert len(lines) - len(own) == sum(len(one.numbers) for one in recipe.others)
    if not recipe.is_study:
        results = json.loads((out / "results.json").read_text())
        tables = results.get("items") or {"": results}
        for name, item in recipe.shown().items():
            if item.scored:
                assert sorted(row["row"] for row in tables[name]["rows"]) == sorted(item.rows)
        assert not results["failures"]
