"""The page of a recipe: paper and ours side by side, what differs, lineage, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geopretrain.data.subsets import spread_positions
from geopretrain.recipes.depth_pictures import draw_errors
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.listing import shown
from geopretrain.recipes.plan import Measured, Plan, Step
from geopretrain.recipes.results import Line, Outcome, spread, verdict
from geopretrain.recipes.shapes import Column
from geopretrain.report.page import embedded, write_page
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.study.comparison import Comparison
from geopretrain.tasks.base import DepthTask
from geopretrain.version import __version__

FRAMES = 3
"""Pictures that are shown, evenly spread and not chosen by how they look."""
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "unclear": "no difference told",
    "no spread": "the difference is the same with every seed",
}


def write_report(
    path: Path,
    plan: Plan,
    outcome: Outcome,
    done: Sequence[Measured],
    journal: Journal,
    failures: Sequence[Mapping[str, Any]],
    line: str,
) -> Path:
    """Write the page of a recipe, and the picture in it.

    Args:
        path: of the page.
        plan: what was run.
        outcome: what came out.
        done: rows and seeds that came to their end.
        journal: how long each call took.
        failures: rows and seeds that did not, with their errors.
        line: what is typed to do the same.
    """
    return write_page(
        path,
        "recipe.html.j2",
        plan=plan,
        recipe=plan.recipe,
        outcome=outcome,
        table=[_lines(one, outcome.columns) for one in outcome.lines],
        against=[_against(one, outcome) for one in outcome.lines[1:]],
        settings=_settings(plan),
        stages=[_stage(step, journal) for step in plan.steps],
        lineages=_lineages(done),
        picture=_picture(path.parent, done),
        maps=_maps(done),
        activations=_activations(done),
        failures=failures,
        line=line,
        version=__version__,
    )


def write_overview(
    path: Path, plan: Plan, comparisons: Sequence[Comparison], journal: Journal, line: str
) -> Path:
    """Write the page of a study with several comparisons: what came out of each, and where its page is.

    Args:
        path: of the page.
        plan: what was run.
        comparisons: in order, the paper's numbers in them.
        journal: how long each call took.
        line: what is typed to do the same.
    """
    return write_page(
        path,
        "study.html.j2",
        plan=plan,
        recipe=plan.recipe,
        comparisons=[
            {"words": stage.words, "page": f"{stage.name}/report.html", "of": one, "measure": one.measure}
            for stage, one in zip(plan.recipe.comparisons, comparisons, strict=True)
        ],
        settings=_settings(plan),
        stages=[_stage(step, journal) for step in plan.steps],
        line=line,
        version=__version__,
    )


def _lines(line: Line, columns: Sequence[Column]) -> dict[str, Any]:
    """Return the paper's numbers of a row, ours, and the difference."""
    paper = [line.row.printed.get(column.name) for column in columns]
    ours = [line.mean(column.name) for column in columns]
    apart = [None if p is None else o - p for p, o in zip(paper, ours, strict=True)]
    return {
        "name": line.row.name,
        "words": line.row.words,
        "paper": [_number(value) for value in paper],
        "ours": [spread(line, column.name) for column in columns],
        "difference": [_number(value, signed=True) for value in apart],
    }


def _against(line: Line, outcome: Outcome) -> dict[str, Any]:
    """Return what a row is against the first one, here and in the paper."""
    first, cells = outcome.lines[0].row, []
    for column in outcome.columns:
        difference = line.differences[column.name]
        printed = [row.printed.get(column.name) for row in (line.row, first)]
        paper = None if None in printed else printed[0] - printed[1]  # type: ignore[operator]
        interval = difference is not None and difference.has_interval
        cells.append(
            {
                "paper": _number(paper, signed=True),
                "ours": _number(difference.mean if difference else None, signed=True),
                "interval": f"{difference.low:+z.3f} to {difference.high:+z.3f}" if interval else "",  # type: ignore[union-attr]
                "verdict": verdict(difference, column).replace(" ", "-") if difference else "",
                "words": VERDICTS[verdict(difference, column)] if difference else "too few seeds",
            }
        )
    return {"name": line.row.name, "cells": cells}


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
    """Return, for each row, the methods that its network went through, the oldest first."""
    found = {}
    for one in done:
        run = RunFolder(one.steps[0].folder)
        if one.row.name not in found and run.has_lineage:
            before = [step.get("method") or step["init"] for step in run.lineage["chain"]]
            found[one.row.name] = " → ".join([*before, str(run.lineage.get("method"))])
    return list(found.items())


def _picture(out: Path, done: Sequence[Measured]) -> str:
    """Draw the depth of the first seed of each row on frames that were scored; nothing for other tasks."""
    from geopretrain.evaluation.measured import find_frames

    runs: dict[str, RunFolder] = {}
    for one in done:
        runs.setdefault(one.row.name, RunFolder(one.steps[0].folder))
    scored = done[0].steps[-1].options
    if not all(run.is_ours() for run in runs.values()) or not hasattr(scored, "frames"):
        return ""
    tasks = {name: load_task(run).eval() for name, run in runs.items()}
    networks = {name: task for name, task in tasks.items() if isinstance(task, DepthTask)}
    if not networks:
        return ""
    first = next(iter(runs.values()))
    frames = find_frames(str(scored.data), first, frames=scored.frames).frames
    chosen = [frames[position] for position in spread_positions(len(frames), FRAMES)]
    drawn = draw_errors(out / "depth.png", networks, chosen, first.size)
    return embedded(drawn) if drawn else ""


def _maps(done: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return the maps of layers (CKA) of the first seed of each row."""
    found: dict[str, dict[str, Any]] = {}
    for one in done:
        maps = [
            {"words": step.words, "picture": embedded(step.folder / "cka.png")}
            for step in one.steps
            if step.command == "analyse cka"
        ]
        if maps:
            found.setdefault(one.row.name, {"name": one.row.name, "maps": maps})
    return list(found.values())


def _activations(done: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return the pictures of activations of the first seed of each row, all of the same images."""
    found: dict[str, dict[str, Any]] = {}
    for one in done:
        for step in one.steps:
            if step.command == "analyse activations" and (drawn := embedded(step.folder / "activations.png")):
                found.setdefault(one.row.name, {"row": one.row, "words": step.words, "picture": drawn})
    return list(found.values())


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:+z.3f}" if signed else f"{value:z.3f}"
