"""What the page of a recipe draws of its rows: numbers over a value, maps and activations of layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geopretrain.errors import RunFolderError
from geopretrain.recipes.plan import Measured
from geopretrain.recipes.results import Outcome
from geopretrain.recipes.shapes import Item
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.report.maps import read_map
from geopretrain.report.page import embedded
from geopretrain.report.values import value_curves


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
            maps = [{"words": step.words, **_map(Path(step.folder))} for step in steps]
            found[one.row.name] = {"name": one.row.name, "words": one.row.words, "maps": maps}
    return list(found.values())


def _map(folder: Path) -> dict[str, Any]:
    try:
        return {"of": read_map(folder, str(folder)), "damage": ""}
    except RunFolderError as error:
        return {"of": None, "damage": str(error)}


def activations_of(done: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return the pictures of activations of the first seed of each row, all of the same images."""
    found: dict[str, dict[str, Any]] = {}
    for one in done:
        for step in one.steps:
            if step.command == "analyse activations" and (drawn := embedded(step.folder / "activations.png")):
                found.setdefault(one.row.name, {"row": one.row, "words": step.words, "picture": drawn})
    return list(found.values())
