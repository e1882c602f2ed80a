"""``like``: a recipe that is another one but for what its own file says.

* Mappings are taken together, name by name; so are lists of what has a ``name`` (stages, rows, steps,
  columns). One that the other recipe has not stands before the next one that it has, else at the end.
* Any other value, a reference and any other list take the place of what was there.
* ``differs`` are sentences more.
* What tells one item from another is never taken over: title, item, items, question, claim, printed numbers.
* Stages that nothing leads to any more, and settings and data that only they used, are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geopretrain.recipes.shapes import SCALES, Recipe, at_scale, reference, references

LIKE = "like"
OWN = ("title", "item", "items", "question", "claim", "printed", "others")
"""Parts that are never those of another recipe."""
ADDED = "differs"


def alike(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a recipe that is like another one, both as their files have them."""
    taken = {name: value for name, value in base.items() if name not in OWN}
    if isinstance(rows := taken.get("rows"), list):
        taken["rows"] = [_without_printed(row) for row in rows]
    found: dict[str, Any] = together(taken, own)
    before, more = base.get(ADDED, []), own.get(ADDED, [])
    if isinstance(before, list) and isinstance(more, list):
        found[ADDED] = [*before, *more]
    return found


def _without_printed(row: Any) -> Any:
    return {n: v for n, v in row.items() if n != "printed"} if isinstance(row, Mapping) else row


def together(base: Any, own: Any) -> Any:
    """Return what two values of the same place come to: the second one, or both taken together."""
    if reference(base) or reference(own):
        return own
    if isinstance(base, Mapping) and isinstance(own, Mapping):
        return {**base, **{n: together(base[n], v) if n in base else v for n, v in own.items()}}
    return _one_list(base, own) if own and _named(base) and _named(own) else own


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, Mapping) and isinstance(one.get("name"), str) for one in value
    )


def twice_named(value: Any) -> str | None:
    """Return a name that two parts of one list have, anywhere in the content of a file; None without.

    Taken together with the other recipe one of the two would be lost.
    """
    names = [one["name"] for one in value] if _named(value) else []
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    found = (one for one in names if names.count(one) > 1)
    return next(found, None) or next(filter(None, map(twice_named, inside)), None)


def _one_list(base: list[Any], own: list[Any]) -> list[Any]:
    """Return a list of what has names, in the order of the first; new ones stand before what follows them."""
    known = {one["name"]: one for one in base}
    before: dict[Any, list[Any]] = {}
    waiting: list[Any] = []
    for one in own:
        if (name := one["name"]) in known:
            before[name], waiting = waiting, []
            known[name] = together(known[name], one)
        else:
            waiting.append(one)
    return [*(part for name in known for part in (*before.get(name, ()), known[name])), *waiting]


def without_leftovers(recipe: Recipe) -> Recipe:
    """Return a recipe without stages that nothing leads to, and without settings and data of these alone."""
    stages, settings, data = _reached(recipe)
    return replace(
        recipe,
        stages=[stage for stage in recipe.stages if stage.name in stages],
        settings={name: one for name, one in recipe.settings.items() if name in settings},
        data={name: one for name, one in recipe.data.items() if name in data},
    )


def _reached(recipe: Recipe) -> tuple[set[str], set[str], set[str]]:
    """Return the stages, settings and data that rows and ends lead to, at any scale."""
    by_name = {stage.name: stage for stage in recipe.stages}
    found: dict[str, set[str]] = {kind: set() for kind in ("stage", "setting", "data", "row")}

    def follow(value: Any) -> None:
        for kind, name in references(value):
            if name in found[kind]:
                continue
            found[kind].add(name)
            follow(_behind(recipe, by_name, kind, name))

    found["stage"] |= {stage.name for stage in (*recipe.comparisons, *recipe.analyses)}
    follow([[row.start, dict(row.values)] for row in recipe.rows])
    follow([dict(stage.options) for stage in recipe.ends])
    return found["stage"], found["setting"], found["data"]


def _behind(recipe: Recipe, stages: Mapping[str, Any], kind: str, name: str) -> Any:
    """Return the values that a reference leads to."""
    if kind == "setting":
        return [at_scale(recipe.settings[name], scale) for scale in SCALES]
    return dict(stages[name].options) if kind == "stage" else None
