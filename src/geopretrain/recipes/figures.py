"""What the page of a recipe draws of its rows: numbers over a value, maps and activations of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from geopretrain.recipes.plan import Measured, Step
from geopretrain.recipes.results import Outcome
from geopretrain.recipes.shapes import Item
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.report.finding import ODD, damaged
from geopretrain.report.maps import read_map
from geopretrain.report.page import embedded
from geopretrain.report.texts import kept_as
from geopretrain.report.values import value_curves

TABLE = "cka.csv"
"""The numbers of a map, as ``analyse cka`` writes them."""


def lines_of(item: Item, outcome: Outcome | None) -> Drawing | None:
    """Return the first column of a table over a value of its rows; None where that is not asked for."""
    if outcome is None or not item.lines:
        return None
    (across, by), column = item.lines, outcome.columns[0]
    lines: dict[str, dict[float, tuple[float, float]]] = {}
    for line in outcome.lines:
        if line.seeds:
            where = float(line.row.values[across])
            values = (line.mean(column.name), line.sd(column.name))
            lines.setdefault(str(line.row.values[by]), {})[where] = values
    if not lines:
        return None
    figure = value_curves(lines, across=across, up=column.title, decimals=column.decimals)
    return drawing(
        figure, f"{column.title} over {across}, a line for each of {', '.join(lines)}", list(lines)
    )


def maps_of(done: Sequence[Measured], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Return the maps of layers (CKA) of the first seed of each row; of a damaged one, what is wrong."""
    found: dict[str, dict[str, Any]] = {}
    for one in done:
        steps = [step for name in wanted if (step := one.step(name)) is not None]
        if steps and one.row.name not in found:
            maps = [_map(step, one.row.name) for step in steps]
            found[one.row.name] = {"name": one.row.name, "words": one.row.words, "maps": maps}
    return list(found.values())


def _map(step: Step, row: str) -> dict[str, Any]:
    """Return a map with its numbers to keep, or what is damaged in it."""
    folder = Path(step.folder)
    try:
        found = read_map(folder, str(folder))
        numbers = (folder / TABLE).read_text(encoding="utf-8")
        kept = kept_as(f"{row}-{folder.name}.csv", "Numbers of this map (CSV)", numbers, "text/csv")
    except ODD as error:
        return {"words": step.words, "of": None, "damage": damaged(error).words, "downloads": []}
    shown = replace(found.drawing, words=f"{row}: {found.drawing.words}")
    return {"words": step.words, "of": replace(found, drawing=shown), "damage": "", "downloads": [kept]}


def activations_of(done: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return the pictures of activations of the first seed of each row, all of the same images."""
    found: dict[str, dict[str, Any]] = {}
    for one in done:
        for step in one.steps:
            if step.command == "analyse activations" and (drawn := embedded(step.folder / "activations.png")):
                found.setdefault(one.row.name, {"row": one.row, "words": step.words, "picture": drawn})
    return list(found.values())
