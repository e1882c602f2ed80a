"""What the tables and figures that are wanted need of a recipe: rows, measured steps, stages and data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geopretrain.recipes.shapes import START, Item, Recipe, Row, Stage, references


@dataclass(frozen=True)
class Needed:
    """What is needed.

    Attributes:
        stages: names, in the order of the file.
        data: names of data sets, likewise.
    """

    stages: Sequence[str]
    data: Sequence[str]


def steps_of(recipe: Recipe, items: Iterable[Item], row: Row, *, first: bool) -> list[Stage]:
    """Return the measured steps of a row, in order, with those that they need; without items, all.

    Args:
        recipe: that they are of.
        items: that are wanted.
        row: of the recipe.
        first: whether it is the first seed, which maps and pictures are of.
    """
    if recipe.measure is None:
        return []
    if not recipe.items:
        return list(recipe.measure.steps)
    own = [item for item in items if row.name in item.rows]
    names = {step for item in own for step in item.steps if first or step == item.scored}
    for step in reversed(recipe.measure.steps):
        if step.name in names:
            names |= {name for kind, name in references(dict(step.options)) if kind == "row"}
    return [step for step in recipe.measure.steps if step.name in names]


def needed(recipe: Recipe, items: Sequence[Item], settings: Mapping[str, Any]) -> Needed:
    """Return the stages and data sets that the items need.

    Args:
        recipe: that they are of; one that ends with comparisons is needed whole.
        items: that are wanted.
        settings: values of its settings.
    """
    by_name = {stage.name: stage for stage in recipe.stages}
    stages: set[str] = set()
    data: set[str] = set()

    def follow(value: Any) -> None:
        for kind, name in references(value):
            if kind == "setting":
                follow(settings[name])
            elif kind == "data":
                data.add(name)
            elif kind == "stage" and name not in stages:
                stages.add(name)
                follow(dict(by_name[name].options))

    follow([{"stage": stage.name} for stage in (*recipe.comparisons, *recipe.analyses)])
    for row in recipe.rows:
        steps = steps_of(recipe, items, row, first=True)
        if steps or any(row.name in item.rows and item.scored == START for item in items):
            used = {name for step in steps for kind, name in references(dict(step.options)) if kind == "row"}
            follow([row.start, *(value for name, value in row.values.items() if name in used)])
            follow([dict(step.options) for step in steps])
    return Needed(
        [name for name in by_name if name in stages], [name for name in recipe.data if name in data]
    )
