"""The page of a recipe: paper and ours side by side, what differs, lineage, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geopretrain.recipes.downloads import downloads
from geopretrain.recipes.figures import activations_of, analysis_of, depths_of, lines_of, maps_of, run_of
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.listing import shown
from geopretrain.recipes.plan import Measured, Plan, Step
from geopretrain.recipes.results import Line, Outcome, spread, verdict
from geopretrain.recipes.shapes import Column, Item
from geopretrain.recipes.versions import versions_of_comparisons, versions_of_rows
from geopretrain.report.build import content_of
from geopretrain.report.page import write_page
from geopretrain.study.comparison import Comparison
from geopretrain.wording import number

NOTHING = "–"
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "unclear": "no difference told",
    "no spread": "the difference is the same with every seed",
}


def write_report(
    path: Path,
    plan: Plan,
    tables: Mapping[str, Outcome],
    done: Sequence[Measured],
    journal: Journal,
    failures: Sequence[Mapping[str, Any]],
    line: str,
) -> Path:
    """Write the page of a recipe, a part for each table and figure, and the pictures in it.

    Args:
        path: of the page.
        plan: what was run.
        tables: what came out, by the items of the plan that are tables.
        done: rows and seeds that came to their end.
        journal: how long each call took.
        failures: rows and seeds that did not, with their errors.
        line: what is typed to do the same.
    """
    parts = [_part(path.parent, name, item, tables.get(name), done) for name, item in plan.items.items()]
    return write_page(
        path,
        "recipe.html.j2",
        drawings=any(part["drawn"] or part["maps"] for part in parts),
        plan=plan,
        recipe=plan.recipe,
        outcome=next((one for one in tables.values() if one.protocol), next(iter(tables.values()), None)),
        parts=parts,
        downloads=downloads(plan, parts, line),
        settings=_settings(plan),
        stages=[_stage(step, journal) for step in plan.steps],
        lineages=_lineages(done),
        versions=versions_of_rows(plan, done),
        activations=activations_of(done),
        failures=failures,
        line=line,
    )


def _part(
    out: Path, name: str, item: Item, outcome: Outcome | None, done: Sequence[Measured]
) -> dict[str, Any]:
    """Return what the page shows of a table or figure."""
    own = [one for one in done if one.row.name in item.rows]
    return {
        "name": name,
        "item": item,
        "outcome": outcome,
        "table": [] if outcome is None else [_lines(one, outcome.columns) for one in outcome.lines],
        "others": [] if outcome is None else _others(outcome),
        "against": [] if outcome is None else _compared(outcome),
        "drawn": lines_of(item, outcome),
        "pictures": depths_of(out / f"{name or 'depth'}.png", item, own) if item.pictures else None,
        "maps": maps_of(own, item.maps),
    }


def write_overview(
    path: Path, plan: Plan, comparisons: Sequence[Comparison], journal: Journal, line: str
) -> Path:
    """Write the page of a study: what came out of each of its comparisons, curves, pictures and analyses.

    Args:
        path: of the page.
        plan: what was run.
        comparisons: in order, the paper's numbers in them.
        journal: how long each call took.
        line: what is typed to do the same.
    """
    stages = plan.recipe.comparisons
    return write_page(
        path,
        "study.html.j2",
        drawings=True,
        plan=plan,
        recipe=plan.recipe,
        comparisons=[
            {"words": stage.words, "page": f"{stage.name}/report.html", "of": content_of(one, stage.name)}
            for stage, one in zip(stages, comparisons, strict=True)
        ],
        analyses=[analysis_of(step) for step in plan.analyses],
        versions=versions_of_comparisons([stage.name for stage in stages], comparisons),
        settings=_settings(plan),
        stages=[_stage(step, journal) for step in plan.steps],
        line=line,
    )


def _lines(line: Line, columns: Sequence[Column]) -> dict[str, Any]:
    """Return the paper's numbers of a row, ours, and the difference."""
    paper = [line.row.printed.get(column.name) for column in columns]
    ours = [line.mean(column.name) for column in columns]
    apart = [None if p is None else o - p for p, o in zip(paper, ours, strict=True)]
    return {
        "name": line.row.name,
        "words": line.row.words,
        "labels": ("paper", "ours", "difference") if line.row.printed else ("ours",),
        "paper": [_number(value, column) for value, column in zip(paper, columns, strict=True)],
        "ours": [spread(line, column) for column in columns],
        "difference": [_signed(value, column) for value, column in zip(apart, columns, strict=True)],
    }


def _others(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rows that only the paper has."""
    return [
        {"name": name, "paper": [_number(numbers.get(column.name), column) for column in outcome.columns]}
        for name, numbers in outcome.others.items()
    ]


def _compared(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rows against those that they are held against; nothing where there are too few seeds."""
    lines = outcome.compared()
    told = any(difference is not None for line in lines for difference in line.differences.values())
    return [_against(line, outcome) for line in lines] if told else []


def _against(line: Line, outcome: Outcome) -> dict[str, Any]:
    """Return what a row is against the one that it is held against, here and in the paper."""
    first, cells = outcome.baseline(line).row, []
    for column in outcome.columns:
        difference = line.differences[column.name]
        printed = [row.printed.get(column.name) for row in (line.row, first)]
        paper = None if None in printed else printed[0] - printed[1]  # type: ignore[operator]
        interval = difference is not None and difference.has_interval
        cells.append(
            {
                "paper": _signed(paper, column),
                "ours": _signed(difference.mean if difference else None, column),
                "interval": f"{_signed(difference.low, column)} to {_signed(difference.high, column)}"  # type: ignore[union-attr]
                if interval
                else "",
                "verdict": verdict(difference, column).replace(" ", "-") if difference else "",
                "words": VERDICTS[verdict(difference, column)] if difference else "too few seeds",
            }
        )
    has_paper = any(cell["paper"] != NOTHING for cell in cells)
    return {"name": line.row.name, "first": first.name, "cells": cells, "printed": has_paper}


def _settings(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "paper": shown(one.paper),
            "here": shown(plan.settings[name]),
            "source": one.source,
        }
        for name, one in plan.recipe.settings.items()
    ]


def _stage(step: Step, journal: Journal) -> dict[str, str]:
    seconds = journal.seconds(step)
    took = "" if math.isnan(seconds) else f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return {"name": step.name, "words": step.words, "line": step.line, "took": took}


def _lineages(done: Sequence[Measured]) -> list[tuple[str, str]]:
    """Return, for each row that was trained, the methods that its network went through, the oldest first."""
    found = {}
    for one in done:
        run = run_of(one)
        if one.row.name not in found and run is not None and run.has_lineage:
            before = [step.get("method") or step["init"] for step in run.lineage["chain"]]
            found[one.row.name] = " → ".join([*before, str(run.lineage.get("method"))])
    return list(found.items())


def _number(value: float | None, column: Column) -> str:
    return NOTHING if value is None or math.isnan(value) else number(value, f"z.{column.decimals}f")


def _signed(value: float | None, column: Column) -> str:
    return NOTHING if value is None or math.isnan(value) else number(value, f"+z.{column.decimals}f")
