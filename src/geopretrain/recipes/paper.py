"""The paper's numbers beside those of a comparison that a recipe ends with."""

from __future__ import annotations

import math
from typing import Any

from geopretrain.folders import owned
from geopretrain.recipes.plan import Plan
from geopretrain.recipes.shapes import Printed
from geopretrain.study.comparison import Comparison
from geopretrain.study.summary import Row, last_rows

KEY = "printed"


def beside_paper(plan: Plan) -> Comparison:
    """Return the comparison of a study with the paper's numbers in it, and on its page, where it has any."""
    from geopretrain.report.build import build_report

    comparison = Comparison.open(plan.stages[-1].folder)
    recipe = plan.recipe
    if not recipe.printed:
        return comparison
    rows = last_rows(comparison.rows)
    numbers = [line for one in recipe.printed if (line := _line(one, rows, comparison)) is not None]
    found = {
        "paper": recipe.paper,
        "item": recipe.item,
        "lines": numbers,
        "differs": [*([plan.caution] if plan.caution else []), *recipe.differs],
    }
    if comparison.results.get(KEY) != found:
        comparison = Comparison(comparison.path, {**comparison.results, KEY: found})
        with owned(comparison.path):
            comparison.save()
            build_report(comparison, comparison.report)
    return comparison


def _line(printed: Printed, rows: list[Row], comparison: Comparison) -> dict[str, Any] | None:
    """Return a number of the paper, ours, and the difference, in the unit of the paper; None without ours."""
    measure = comparison.measure
    for row in rows:
        if (row.init, row.mode) == (printed.init, printed.mode) and printed.labels in (None, row.labels):
            ours = measure.scale * row.mean
            return {
                "words": printed.words,
                "init": row.init,
                "mode": row.mode,
                "labels": row.labels,
                "paper": printed.score,
                "ours": ours if math.isfinite(ours) else None,
                "sd": measure.scale * row.sd if math.isfinite(row.sd) else None,
            }
    return None


def in_words(comparison: Comparison) -> str:
    """Return the paper's numbers beside ours as a table; empty where there are none."""
    found = comparison.results.get(KEY)
    if not found:
        return ""
    measure, width = comparison.measure, max(len(line["words"]) for line in found["lines"])
    head = f"{'':{width}}  {'paper':>8} {'ours':>14} {'difference':>11}   {measure.title}"
    return "\n".join([head, *(_shown(line, width, measure.decimals) for line in found["lines"])])


def _shown(line: dict[str, Any], width: int, decimals: int) -> str:
    ours = "no result"
    if line["ours"] is not None:
        spread = "" if line["sd"] is None else f" \N{PLUS-MINUS SIGN} {line['sd']:.{decimals}f}"
        ours = f"{line['ours']:.{decimals}f}{spread}"
    apart = "" if line["ours"] is None else f"{line['ours'] - line['paper']:+.{decimals}f}"
    return f"{line['words']:{width}}  {line['paper']:>8g} {ours:>14} {apart:>11}"
