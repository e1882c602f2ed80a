"""Recipes by name: the YAML files beside this one, or a file of the user's own, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopretrain.config.analysis_options import CKA
from geopretrain.config.saved import FILE
from geopretrain.errors import ConfigError, nearest_name, short
from geopretrain.recipes.commands import COMMANDS, options_of_command
from geopretrain.recipes.grid import expanded
from geopretrain.recipes.likeness import LIKE, alike, twice_named, without_leftovers
from geopretrain.recipes.shapes import (
    PAGE,
    RESULTS,
    ROWS,
    SCALES,
    STAGES,
    START,
    Item,
    Measure,
    Other,
    Printed,
    Recipe,
    Row,
    Stage,
    at_scale,
    inits_of,
    references,
)
from geopretrain.records import as_type, read_yaml
from geopretrain.schema import as_path, is_number

FOLDER = Path(__file__).parent
ENDINGS = (".yaml", ".yml")
INSTALL = "Install geopretrain again."
CORRECT = "Correct it; docs/recipes.md says what a recipe is made of."


@dataclass(frozen=True)
class Found:
    """A recipe by its name.

    Attributes:
        name: of the recipe, without that of an item.
        recipe: as its file has it.
        item: the table or figure of it that was named; empty: all of them.
    """

    name: str
    recipe: Recipe
    item: str = ""


def names() -> list[str]:
    """Return the names of all files, ``PAPER/STUDY``; some hold several items, which have names, too."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.yaml"))


def item_names(recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """Return the study of each table and figure that is a part of one, by its name, ``PAPER/ITEM``."""
    return {
        f"{study.rpartition('/')[0]}/{item}": study for study, one in recipes.items() for item in one.items
    }


def find(name: str) -> Found:
    """Return a recipe by its name, by that of a table or figure in it, or from a YAML file.

    Raises:
        ConfigError: unknown; the nearest is named. Or the file is none.
    """
    if name in (known := names()):
        return Found(name, _read(FOLDER / f"{name}.yaml", INSTALL))
    if as_path(name, "recipe").suffix in ENDINGS:
        return Found(name, _read(as_path(name, "recipe"), CORRECT))
    paper, _, item = name.partition("/")
    recipes = {one: find(one).recipe for one in known if one.startswith(f"{paper}/")}
    if (study := item_names(recipes).get(name)) is not None:
        return Found(study, recipes[study], item)
    of_paper = sorted([*recipes, *item_names(recipes)])  # of an unknown paper there are none
    known = of_paper or sorted([*known, *item_names(all_recipes())])
    raise ConfigError(
        f"Unknown recipe '{name}'.{_nearest(name, known)} Known: {', '.join(known)}; or give a YAML file."
    )


def read_recipe(name: str) -> Recipe:
    """Return the recipe that `find` finds."""
    return find(name).recipe


def _read(path: Path, advice: str) -> Recipe:
    content = _content(path, advice)
    written: Recipe = as_type(Recipe, content, path, error=ConfigError, advice=advice)
    recipe = expanded(written)
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
    if (name := twice_named(content)) is not None:
        raise ConfigError(f"'{path}' cannot be used: there are two of the name {short(name)}. {advice}")
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
    if as_path(like, LIKE).suffix in ENDINGS:
        return path.parent / as_path(like, LIKE), CORRECT
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
        inside = [row.start, dict(row.values)]
        found += _of_value(recipe, f"row {row.name}", inside, stages=before, rows=[])
    if recipe.measure is not None and recipe.rows:
        found += _of_measure(recipe, recipe.measure, before)
    elif recipe.measure is not None or not recipe.is_study:
        found.append("it has neither rows with a measure, nor a last stage that compares.")
    found += _of_printed(recipe)
    for name, item in recipe.items.items():
        found += [f"the item {name} {problem}" for problem in _of_item(recipe, item)]
    return [
        *found,
        *_twice("stage", before),
        *_twice("row", [row.name for row in recipe.rows]),
        *_taken("stage", before, [FILE, RESULTS, STAGES, PAGE, ROWS]),
        *_taken("item", list(recipe.items), [Path(name).stem for name in (RESULTS, STAGES, PAGE)]),
    ]


def _taken(kind: str, names: list[str], taken: list[str]) -> list[str]:
    """Return which names would take the place of what every recipe writes into its folder."""
    sentence = f"no {kind} can be called {{}}: a file or folder of every recipe is."
    return [sentence.format(name) for name in names if name in taken]


def _of_measure(recipe: Recipe, measure: Measure, stages: list[str]) -> list[str]:
    found, rows = [], ["start", "seed", *dict.fromkeys(name for row in recipe.rows for name in row.values)]
    for step in measure.steps:
        found += _of_stage(recipe, step, stages=stages, rows=rows)
        found += [f"{step.name} varies {axis}: rows do that, and stages." for axis in step.over]
        rows = [*rows, step.name]
    found += _of_seeds(measure)
    columns, names = {column.name for column in measure.columns}, [row.name for row in recipe.rows]
    for row in recipe.rows:
        found += [f"row {row.name} prints {name}, which is no column." for name in set(row.printed) - columns]
        if row.against and row.against not in names:
            found.append(f"row {row.name} is against {row.against}, which is no row.")
    return found + _twice("step", rows) + _twice("column", [column.name for column in measure.columns])


def _of_item(recipe: Recipe, item: Item) -> list[str]:
    """Return what is wrong with a table or figure that is a part of a study."""
    if recipe.measure is None:
        return ["is of a recipe that ends with a comparison: it has no rows to show."]
    rows = [row.name for row in recipe.rows]
    columns = {column.name for column in item.columns or recipe.measure.columns}
    printed = {name for numbers in (*item.numbers.values(), *item.others.values()) for name in numbers}
    return [
        *_of_shown(recipe.measure, item),
        *(f"has {name}, which is no row." for name in [*item.rows, *item.numbers] if name not in rows),
        *(f"prints {name}, which is no column." for name in sorted(printed - columns)),
        *(f"has the row {name} twice." for name in item.rows if item.rows.count(name) > 1),
        *_of_lines([row for row in recipe.rows if row.name in (item.rows or rows)], item.lines),
    ]


def _of_shown(measure: Measure, item: Item) -> list[str]:
    """Return what is wrong with the steps that a table or figure shows."""
    if not (item.steps or item.scored):
        return ["shows nothing: it has neither 'scored' nor 'maps' nor 'pictures'."]
    commands = {step.name: step.command for step in measure.steps}
    wanted = [(name, "maps", CKA) for name in item.maps]
    wanted += [(item.pictures, "pictures", "evaluate")] if item.pictures else []
    wanted += [(item.scored, "scored", "evaluate")] if item.scored and item.scored != START else []
    return [
        f"has {name} in '{where}', which is no measured step of `{command}`."
        for name, where, command in wanted
        if commands.get(name) != command
    ]


def _of_lines(rows: list[Row], lines: list[str]) -> list[str]:
    """Return what is wrong with what a table is drawn over."""
    if len(lines) not in (0, 2):
        return ["has in 'lines' not two values of rows: the horizontal axis, and what a line is."]
    lacking = [(name, row) for name in lines for row in rows if name not in row.values]
    found = [f"draws lines over {name}, which the row {row.name} has no value of." for name, row in lacking]
    for row in rows if lines and not lacking else ():
        if not is_number(across := row.values[lines[0]]) or not across > 0:
            found.append(f"draws lines over {lines[0]}, which is no number above 0 in the row {row.name}.")
    return found


def _of_printed(recipe: Recipe) -> list[str]:
    """Return what is wrong with the paper's numbers of a study."""
    for name, numbers in (("printed", recipe.printed), ("others", recipe.others)):
        if numbers and not recipe.is_study:
            return [f"its rows hold the paper's numbers; '{name}' is of recipes that end with a comparison."]
    found = [problem for one in recipe.others for problem in _of_comparison(recipe, one)]
    return found + [problem for one in recipe.printed for problem in _of_number(recipe, one)]


def _of_comparison(recipe: Recipe, printed: Printed | Other) -> list[str]:
    """Return what is wrong with the comparison that numbers of the paper stand beside."""
    known = [stage.name for stage in recipe.comparisons]
    if printed.stage in (None, *known):
        return []
    return [f"the paper's numbers of {printed.words} are of no comparison: {', '.join(known)}."]


def _of_number(recipe: Recipe, printed: Printed) -> list[str]:
    """Return what is wrong with numbers of the paper: of which comparison and row they are."""
    if problems := _of_comparison(recipe, printed):
        return problems
    stages = {stage.name: stage for stage in recipe.comparisons}
    comparison = stages[printed.stage or recipe.comparisons[-1].name]
    known, modes = inits_of(comparison), comparison.options.get("modes")
    if printed.init in known and (not isinstance(modes, list) or printed.mode in modes):
        return []
    row = f"{printed.init}, {printed.mode}"
    return [f"the paper's number of {row} is of no row of the comparison: {', '.join(known)}."]


def _twice(kind: str, listed: list[str]) -> list[str]:
    return [f"there are two of the {kind} {name}." for name in listed if listed.count(name) > 1]


def problems_of_setting(recipe: Recipe, name: str, value: Any) -> list[str]:
    """Return what is wrong with the names in a value that is given to a setting, in sentences."""
    if any(kind == "setting" for kind, _ in references(value)):
        return [f"the setting {name} refers to another setting."]
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
    if "out" in stage.options:
        found.append(f"{stage.name} has the option 'out': a recipe gives each stage its folder.")
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
    """Return every recipe by the name of its file."""
    return {name: find(name).recipe for name in names()}
