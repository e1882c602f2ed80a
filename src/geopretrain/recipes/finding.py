"""Recipes by name: the YAML files beside this one, or a file of the user's own, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geopretrain.errors import ConfigError, nearest_name, short
from geopretrain.recipes.commands import COMMANDS, options_of_command
from geopretrain.recipes.likeness import LIKE, alike, without_leftovers
from geopretrain.recipes.shapes import (
    SCALES,
    Measure,
    Printed,
    Recipe,
    Stage,
    at_scale,
    inits_of,
    references,
)
from geopretrain.records import as_type, read_yaml
from geopretrain.schema import as_path

FOLDER = Path(__file__).parent
ENDINGS = (".yaml", ".yml")
INSTALL = "Install geopretrain again."
CORRECT = "Correct it; docs/recipes.md says what a recipe is made of."


def names() -> list[str]:
    """Return the names of all recipes, ``PAPER/ITEM``."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.yaml"))


def read_recipe(name: str) -> Recipe:
    """Return a recipe by its name, or from a YAML file.

    Raises:
        ConfigError: unknown; the nearest is named. Or the file is none.
    """
    if name in (known := names()):
        path, advice = FOLDER / f"{name}.yaml", INSTALL
    elif as_path(name, "recipe").suffix in ENDINGS:
        path, advice = as_path(name, "recipe"), CORRECT
    else:
        raise ConfigError(
            f"Unknown recipe '{name}'.{_nearest(name, known)} Known: {', '.join(known)}; or give a YAML file."
        )
    return _read(path, advice)


def _read(path: Path, advice: str) -> Recipe:
    content = _content(path, advice)
    recipe: Recipe = as_type(Recipe, content, path, error=ConfigError, advice=advice)
    for problem in problems(recipe):
        raise ConfigError(f"'{path}' cannot be used: {problem} {advice}")
    return without_leftovers(recipe) if recipe.like else recipe


def _content(path: Path, advice: str, above: tuple[Path, ...] = ()) -> Any:
    """Return what a file holds, together with the recipe that it is like.

    Raises:
        ConfigError: a file cannot be read, that recipe is none, or is like this one in the end.
    """
    content = read_yaml(path, error=ConfigError, advice=advice)
    like = content.get(LIKE) if isinstance(content, Mapping) else None
    if not isinstance(like, str) or not like:
        return content
    other, other_advice = _base(like, path)
    chain = (*above, path.resolve())
    if other.resolve() in chain:
        raise ConfigError(f"'{path}' is like itself: {LIKE}: {like} leads back to it. {advice}")
    base = _content(other, other_advice, chain)
    as_type(Recipe, base, other, error=ConfigError, advice=other_advice)
    return alike(base, content)


def _base(like: str, path: Path) -> tuple[Path, str]:
    """Return the file of the recipe that another one is like, and what to do where it is wrong."""
    if like in (known := names()):
        return FOLDER / f"{like}.yaml", INSTALL
    if Path(like).suffix in ENDINGS:
        return path.parent / like, CORRECT
    raise ConfigError(
        f"'{path}' has {LIKE}: {like}, which is no recipe.{_nearest(like, known)} Known: {', '.join(known)}; "
        "or a YAML file, from the folder of this one on."
    )


def _nearest(name: str, known: list[str]) -> str:
    """Return the nearest name; the paper or the item alone is near to its recipe, too."""
    part = next((one for one in known if name.lower() in one.split("/")), None)
    return f" Did you mean '{part}'?" if part else nearest_name(name, known)


def problems(recipe: Recipe) -> list[str]:
    """Return what is wrong with the names in a recipe, in sentences."""
    found: list[str] = []
    before: list[str] = []
    for stage in recipe.stages:
        found += _of_stage(recipe, stage, stages=before, rows=[])
        before.append(stage.name)
    for row in recipe.rows:
        found += _of_value(recipe, f"row {row.name}", row.start, stages=before, rows=[])
    if recipe.measure is not None and recipe.rows:
        found += _of_measure(recipe, recipe.measure, before)
    elif recipe.measure is not None or not recipe.is_study:
        found.append("it has neither rows with a measure, nor a last stage that compares.")
    found += _of_printed(recipe)
    return found + _twice("stage", before) + _twice("row", [row.name for row in recipe.rows])


def _of_measure(recipe: Recipe, measure: Measure, stages: list[str]) -> list[str]:
    found, rows = [], ["start", "seed"]
    for step in measure.steps:
        found += _of_stage(recipe, step, stages=stages, rows=rows)
        rows = [*rows, step.name]
    found += _of_seeds(measure)
    columns = {column.name for column in measure.columns}
    for row in recipe.rows:
        found += [f"row {row.name} prints {name}, which is no column." for name in set(row.printed) - columns]
    return found + _twice("step", rows)


def _of_printed(recipe: Recipe) -> list[str]:
    """Return what is wrong with the paper's numbers of a study."""
    if not recipe.printed:
        return []
    if not recipe.is_study:
        return ["its rows hold the paper's numbers; 'printed' is of recipes that end with a comparison."]
    return [problem for one in recipe.printed for problem in _of_number(recipe, one)]


def _of_number(recipe: Recipe, printed: Printed) -> list[str]:
    """Return what is wrong with numbers of the paper: of which comparison and row they are."""
    stages = {stage.name: stage for stage in recipe.comparisons}
    if printed.stage not in (None, *stages):
        return [f"the paper's numbers of {printed.words} are of no comparison: {', '.join(stages)}."]
    comparison = stages[printed.stage or recipe.stages[-1].name]
    known, modes = inits_of(comparison), comparison.options.get("modes")
    if printed.init in known and (not isinstance(modes, list) or printed.mode in modes):
        return []
    row = f"{printed.init}, {printed.mode}"
    return [f"the paper's number of {row} is of no row of the comparison: {', '.join(known)}."]


def _twice(kind: str, listed: list[str]) -> list[str]:
    return [f"there are two of the {kind} {name}." for name in listed if listed.count(name) > 1]


def problems_of_setting(recipe: Recipe, name: str, value: Any) -> list[str]:
    """Return what is wrong with the names in a value that is given to a setting, in sentences."""
    stages = [stage.name for stage in recipe.stages]
    return _of_value(recipe, f"the setting {name}", value, stages=stages, rows=[])


def _of_seeds(measure: Measure) -> list[str]:
    for scale in SCALES:
        seeds = at_scale(measure.seeds, scale)
        whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
        if not whole or not seeds or len(set(seeds)) < len(seeds):
            return [f"measure.seeds must be a list of different whole numbers, not {short(seeds)}."]
    return []


def _of_stage(recipe: Recipe, stage: Stage, *, stages: list[str], rows: list[str]) -> list[str]:
    if stage.command not in COMMANDS:
        near = nearest_name(stage.command, COMMANDS)
        return [f"{stage.name} has the command '{stage.command}'.{near} Known: {', '.join(COMMANDS)}."]
    known = options_of_command(stage.command)
    unknown = [name for name in stage.options if name not in known]
    found = [f"{stage.name} has no option '{name}'.{nearest_name(name, known)}" for name in unknown]
    return found + _of_value(recipe, stage.name, dict(stage.options), stages=stages, rows=rows)


def _of_value(recipe: Recipe, where: str, value: Any, *, stages: list[str], rows: list[str]) -> list[str]:
    """Return a sentence for each reference that leads nowhere, or to what comes later."""
    places = {"setting": list(recipe.settings), "data": list(recipe.data), "stage": stages, "row": rows}
    found = []
    for kind, name in references(value):
        if name not in places[kind]:
            found.append(f"{where} refers to the {kind} '{name}'.{nearest_name(name, places[kind])}")
        elif kind == "setting":
            inside = [at_scale(recipe.settings[name], scale) for scale in SCALES]
            if any(one == "setting" for one, _ in references(inside)):
                found.append(f"the setting {name} refers to another setting.")
            else:
                found += _of_value(recipe, f"the setting {name}", inside, stages=stages, rows=rows)
    return found


def all_recipes() -> dict[str, Recipe]:
    """Return every recipe by its name."""
    return {name: read_recipe(name) for name in names()}
