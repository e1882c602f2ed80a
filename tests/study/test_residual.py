"""Residual information in a comparison: paired, in table and files, and unknown where it was not measured."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import pytest
from fake_comparison import fake_comparison

from geopretrain.errors import RunFolderError
from geopretrain.report import build_report
from geopretrain.study.comparison import Comparison
from geopretrain.study.measures import RESIDUAL
from geopretrain.study.sentences import residual
from geopretrain.study.summary import residual_rows, row_as_dict, row_from_dict, summarise

BITS = {"random": (1.2, 1.4, 1.3), "depth": (0.9, 1.0, 1.1)}


def trials(missing=()):
    return [
        {
            "init": init,
            "mode": "full",
            "seed": seed,
            "curve": [
                {"step": 5, "miou": 0.2 + 0.01 * seed, "pixel_accuracy": 0.5},
                {"step": 10, "miou": 0.3 + 0.01 * seed, "pixel_accuracy": 0.6}
                | ({} if (init, seed) in missing else {"residual_information": bits}),
            ],
        }
        for init, of in BITS.items()
        for seed, bits in enumerate(of)
    ]


def test_it_is_paired_by_seed_and_less_is_better():
    rows = summarise(trials(), ["random", "depth"], ["full"])
    early, _, first, other = residual_rows(rows)
    assert not early.values
    assert residual(early, rows[0]) == "not measured"
    assert residual(early, replace(rows[0], values=(), seeds=())) == "–"
    assert first.mean == pytest.approx(1.3)
    assert residual(other, rows[3]) == "1.000 ± 0.100"
    assert other.difference.values == pytest.approx((-0.3, -0.4, -0.2))
    assert other.difference.verdict == "better"
    assert RESIDUAL.lower


def test_trainings_of_an_earlier_version_are_left_out_of_it_and_of_nothing_else():
    rows = summarise(trials(missing={("depth", 1)}), ["random", "depth"], ["full"])
    last = residual_rows(rows)[-1]
    assert last.seeds == (0, 2)
    assert last.difference.values == pytest.approx((-0.3, -0.2))
    assert rows[-1].seeds == (0, 1, 2)
    assert math.isnan(rows[-1].residuals[1])
    again = row_from_dict(json.loads(json.dumps(row_as_dict(rows[-1])).replace("NaN", "null")))
    assert again.residuals[::2] == rows[-1].residuals[::2]
    assert math.isnan(again.residuals[1])


def measured(folder):
    """Return a comparison with invented numbers whose trainings all have residual information."""
    comparison = fake_comparison(folder)
    for trial in comparison.results["trials"]:
        for point in trial["curve"]:
            point["residual_information"] = 2.5 - 4 * point["miou"]
    results = comparison.results
    rows = summarise(results["trials"], ["random", "depth"], results["modes"])
    results["summary"] = [row_as_dict(row) for row in rows]
    made = Comparison(folder, results)
    made.save()
    return Comparison.open(folder)


def test_table_csv_and_page_have_it(tmp_path):
    comparison = measured(tmp_path / "cmp")
    page = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    lines = list(csv.DictReader((tmp_path / "cmp/comparison.csv").open()))
    for row, bits, line in zip(comparison.rows, residual_rows(comparison.rows), lines, strict=True):
        assert float(line["residual_information_mean"]) == pytest.approx(bits.mean, abs=1e-6)
        assert len(line["residual_information_per_seed"].split()) == 5
        assert residual(bits, row) in comparison.table(every_point=True)
        assert f">{residual(bits, row)}</td>" in page
    assert "not measured" not in page
    assert "bits a pixel" in page


def test_an_earlier_comparison_opens_and_says_that_it_was_not_measured(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    content = json.loads((tmp_path / "cmp/comparison.json").read_text())
    content["measure"] = {"key": "miou", "name": "mIoU", "second": "pixel_accuracy", "lower": False}
    content["measure"] |= {"second_name": "pixel accuracy", "percent": True, "by_class": "iou"}
    for row in content["summary"]:
        del row["residuals"]
    (tmp_path / "cmp/comparison.json").write_text(json.dumps(content))
    comparison = Comparison.open(tmp_path / "cmp")
    assert comparison.table().count("not measured") == 8
    page = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    assert "It was not measured" in page
    assert ">not measured</td>" in page


def test_a_number_too_few_is_damage(tmp_path):
    measured(tmp_path / "cmp")
    content = json.loads((tmp_path / "cmp/comparison.json").read_text())
    content["summary"][0]["residuals"].pop()
    (tmp_path / "cmp/comparison.json").write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match="residual information of each training"):
        Comparison.open(tmp_path / "cmp")
