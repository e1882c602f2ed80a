"""``recipes``: which recipes there are, or one of them whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from geopretrain.config.command import takes
from geopretrain.config.options import RecipesOptions
from geopretrain.recipes.finding import Found, all_recipes, find, item_names
from geopretrain.recipes.shapes import (
    SCALES,
    Column,
    Item,
    Measure,
    Other,
    Printed,
    Recipe,
    at_scale,
    referred,
)


@takes(RecipesOptions)
def recipes(options: RecipesOptions) -> str:
    """Return the names of all recipes, or of those of a paper, with what they are; or one recipe whole.

    Raises:
        ConfigError: unknown recipe; the nearest is named.
    """
    found = all_recipes()
    if options.recipe is not None:
        found = {name: one for name, one in found.items() if name.startswith(f"{options.recipe}/")}
        if not found:
            return in_full(options.recipe, find(options.recipe))
    parts = item_names(found)
    width = max(len(name) for name in [*found, *(f"  {part}" for part in parts)])
    lines = []
    for name, one in found.items():
        lines.append(f"{name:<{width}}  {one.title} ({one.item})")
        items = zip((part for part, study in parts.items() if study == name), one.items.values(), strict=True)
        lines += [f"  {part:<{width - 2}}  {item.item}: {item.words}" for part, item in items]
    return "\n".join([*lines, "", "`geopretrain reproduce NAME --tiny` runs one on synthetic worlds."])


def in_full(name: str, found: Found) -> str:
    """Return a recipe in words: what it asks, stages, settings with their sources, the printed numbers.

    Of a table or figure that is a part of one, its own numbers alone.
    """
    recipe = found.recipe
    wide = _column([one.name for one in recipe.stages])
    stages = [f"  {one.name:{wide}}{one.words} ({one.command}; {one.source or '-'})" for one in recipe.stages]
    items = {found.item: recipe.shown()[found.item]} if found.item else recipe.shown()
    steps, printed = _of_study(recipe) if recipe.measure is None else _tables(recipe.measure, items)
    return "\n".join(
        [
            f"{name}: {recipe.title}",
            recipe.origin,
            *([f"{items[found.item].item}: {items[found.item].words}"] if found.item else []),
            recipe.question,
            *([f"The paper: {recipe.claim}"] if recipe.claim else []),
            *("", "stages:", *stages, *steps),
            *(
                "",
                "data:",
                *(
                    f"  {key:{_column(recipe.data)}}{one.paper} ({one.source})"
                    for key, one in recipe.data.items()
                ),
            ),
            *("", f"settings (--settings NAME=VALUE): {', '.join(SCALES)}; source", *_settings(recipe)),
            *printed,
            *(
                "",
                "not as in the paper:" if recipe.has_paper else "besides:",
                *(f"  {sentence}" for sentence in recipe.differs),
            ),
        ]
    )


def _tables(measure: Measure, items: Mapping[str, Item]) -> tuple[list[str], list[str]]:
    """Return how rows are measured, and what the paper printed."""
    wide = _column([one.name for one in measure.steps])
    steps = [f"  {one.name:{wide}}{one.words} ({one.command})" for one in measure.steps]
    printed = [line for item in items.values() if item.scored for line in _table(item)]
    return ["for each row and seed:", *steps], printed


def _table(item: Item) -> list[str]:
    names = [*item.others, *item.rows]
    width = _column(names)
    titles = "".join(f"{column.title:>{_wide(column)}}" for column in item.columns)
    rows = {**item.others, **{name: item.numbers.get(name, {}) for name in item.rows}}
    lines = [
        f"  {name:{width - 2}}{''.join(_number(numbers.get(one.name), one) for one in item.columns)}"
        for name, numbers in rows.items()
    ]
    return ["", f"{f'printed, {item.item}:':{width}}{titles}", *lines]


def _of_study(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Return nothing of rows, and what the paper printed of a comparison."""
    several = len(recipe.comparisons) > 1
    last = recipe.comparisons[-1].name
    numbers: list[Printed | Other] = [*recipe.printed, *recipe.others]
    words = [f"{one.stage or last}: {one.words}" if several else one.words for one in numbers]
    width = max(map(len, words), default=0)
    lines = [
        f"  {said:{width}}  {', '.join(f'{name} {value:g}' for name, value in one.numbers.items())}"
        for said, one in zip(words, numbers, strict=True)
    ]
    return [], ["", "printed:", *lines] if lines else []


def _settings(recipe: Recipe) -> list[str]:
    rows = []
    for name, one in recipe.settings.items():
        values = ", ".join(shown(at_scale(one, scale)) for scale in SCALES)
        rows.append(f"  {name:24}{values}; {one.source}")
    return rows


def shown(value: object) -> str:
    """Return a value of a setting as people read it."""
    if found := referred(value):
        return found
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _column(names: Iterable[str]) -> int:
    """Return how wide a column of names is."""
    return max([16, *(len(name) + 2 for name in names)])


def _wide(column: Column) -> int:
    return max(9, len(column.title) + 1)


def _number(value: float | None, column: Column) -> str:
    return f"{'-' if value is None else f'{value:z.{column.decimals}f}':>{_wide(column)}}"
