"""Training loss, and the score against the second one, on the page of a comparison."""

from __future__ import annotations

from fake_comparison import fake_comparison

from geopretrain.report import build_report
from geopretrain.report.curves import loss_curves, score_against_second

LOSSES = [
    {"init": init, "mode": "full", "labels": None, "steps": [1, 2], "means": [2.0, k], "sds": [0.5, None]}
    for k, init in enumerate(("random", "depth"))
]


def test_a_curve_of_the_loss_for_each_initialisation_with_its_band():
    figure = loss_curves(LOSSES, ["random", "depth"], ["full"])
    band, line, _, other = figure.data
    assert (list(line.x), list(line.y), list(other.y)) == ([1, 2], [2.0, 0], [2.0, 1])
    assert list(band.y) == [2.5, 0, 0, 1.5], "a single training has no band"
    assert [one.name for one in (line, other)] == ["random", "depth"]


def test_the_score_is_drawn_against_the_second_at_every_point(tmp_path):
    comparison = fake_comparison(tmp_path)
    inits = [one["name"] for one in comparison.results["inits"]]
    figure = score_against_second(comparison.rows, inits, comparison.results["modes"])
    rows = [row for row in comparison.rows if (row.mode, row.init) == ("full", inits[0])]
    first = next(trace for trace in figure.data if trace.name == inits[0])
    assert list(first.y) == [100 * row.mean for row in rows]
    assert list(first.x) == [100 * row.second for row in rows]
    assert list(first.customdata) == [row.step for row in rows]


def test_the_page_has_both_and_leaves_out_what_is_not_there(tmp_path):
    comparison = fake_comparison(tmp_path)
    page = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    assert "<h3>Training loss</h3>" not in page, "earlier versions kept none"
    assert "<summary>mIoU against pixel accuracy</summary>" in page
    comparison.results["losses"] = LOSSES
    page = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    assert "<h3>Training loss</h3>" in page
