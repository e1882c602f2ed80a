"""``over``: a stage that stands for several, one for each combination of what it varies.

* Each axis has points by name, and each point the options that it changes; they are taken together with those
  of the stage as ``like`` takes recipes together.
* The stages are called ``STAGE-POINT-POINT``, in the order of the axes.
* In the options of a stage a reference to such a stage means the one of the same points. Where the stage that
  refers to it does not vary one of its axes, the reference must stand in a list, and all take its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from geopretrain.recipes.likeness import together
from geopretrain.recipes.shapes import Recipe, Stage, reference

Points = Mapping[str, str]
"""Of each axis, which point."""
Grids = Mapping[str, Sequence[Points]]
"""Of each stage that varies something, the combinations."""


def expanded(recipe: Recipe) -> Recipe:
    """Return a recipe whose stages vary nothing: each combination is a stage of its own."""
    grids = {stage.name: _combinations(stage) for stage in recipe.stages if stage.over}
    stages = [_at(points, stage, grids) for stage in recipe.stages for points in grids.get(stage.name, [{}])]
    return replace(recipe, stages=stages) if grids else recipe


def _combinations(stage: Stage) -> list[Points]:
    return [dict(zip(stage.over, points, strict=True)) for points in product(*stage.over.values())]


def _at(points: Points, stage: Stage, grids: Grids) -> Stage:
    """Return a stage at one of its combinations."""
    options = dict(stage.options)
    for axis, point in points.items():
        options = together(options, stage.over[axis][point])
    named: dict[str, Any] = {"source": stage.source} if stage.source else {}
    return Stage(
        name=_name(stage.name, points),
        words=f"{stage.words} ({', '.join(points.values())})" if points else stage.words,
        command=stage.command,
        options=_led(options, points, grids),
        **named,
    )


def _name(stage: str, points: Points) -> str:
    return "-".join([stage, *points.values()])


def _led(value: Any, points: Points, grids: Grids) -> Any:
    """Return options in which references to stages that vary something lead to the ones of these points."""
    if reference(value) is not None:
        same = _agreeing(value, points, grids)
        return same[0] if len(same) == 1 else value
    if isinstance(value, Mapping):
        return {name: _led(part, points, grids) for name, part in value.items()}
    if isinstance(value, list):
        return [one for part in value for one in _spread(part, points, grids)]
    return value


def _spread(part: Any, points: Points, grids: Grids) -> list[Any]:
    """Return what takes the place of a part of a list."""
    return [_led(part, points, grids)] if reference(part) is None else _agreeing(part, points, grids)


def _agreeing(value: Mapping[str, str], points: Points, grids: Grids) -> list[Any]:
    """Return references to all stages that one stands for and that have these points, else itself."""
    ((kind, name),) = value.items()
    if kind != "stage" or name not in grids:
        return [value]
    same = [
        one for one in grids[name] if all(points.get(axis, point) == point for axis, point in one.items())
    ]
    return [{"stage": _name(name, one)} for one in same] or [value]
