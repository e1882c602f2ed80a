"""``recipes``: which recipes there are, or one of them whole."""

from __future__ import annotations

from geopretrain.config.command import takes
from geopretrain.config.options import RecipesOptions
from geopretrain.recipes.finding import all_recipes, read_recipe
from geopretrain.recipes.shapes import SCALES, Measure, Recipe, at_scale, reference


@takes(RecipesOptions)
def recipes(options: RecipesOptions) -> str:
    """Return the names of all recipes with what they are, or one recipe whole.

    Raises:
        ConfigError: unknown recipe; the nearest is named.
    """
    if options.recipe is not None:
        return in_full(options.recipe, read_recipe(options.recipe))
    found = all_recipes()
    width = max(len(name) for name in found)
    lines = [f"{name:<{width}}  {one.title} ({one.item})" for name, one in found.items()]
    return "\n".join([*lines, "", "`geopretrain reproduce NAME --tiny` runs one on synthetic worlds."])


def in_full(name: str, recipe: Recipe) -> str:
    """Return a recipe in words: what it asks, stages, settings with their sources, the printed numbers."""
    stages = [f"  {one.name:16}{one.words} ({one.command}; {one.source or '-'})" for one in recipe.stages]
    steps, printed = _of_study(recipe) if recipe.measure is None else _table(recipe, recipe.measure)
    return "\n".join(
        [
            f"{name}: {recipe.title}",
            f"{recipe.paper}, {recipe.item}",
            recipe.question,
            *([f"The paper: {recipe.claim}"] if recipe.claim else []),
            *("", "stages:", *stages, *steps),
            *("", "data:", *(f"  {key:16}{one.paper} ({one.source})" for key, one in recipe.data.items())),
            *("", f"settings (--settings NAME=VALUE): {', '.join(SCALES)}; source", *_settings(recipe)),
            *printed,
            *("", "not as in the paper:", *(f"  {sentence}" for sentence in recipe.differs)),
        ]
    )


def _table(recipe: Recipe, measure: Measure) -> tuple[list[str], list[str]]:
    """Return how rows are measured, and what the paper printed."""
    steps = [f"  {one.name:16}{one.words} ({one.command})" for one in measure.steps]
    columns = [column.name for column in measure.columns]
    titles = "".join(f"{column.title:>9}" for column in measure.columns)
    printed = [
        f"  {row.name:14}{''.join(_number(row.printed.get(column)) for column in columns)}"
        for row in recipe.rows
    ]
    return ["for each row and seed:", *steps], ["", f"printed:{'':8}{titles}", *printed]


def _of_study(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Return nothing of rows, and what the paper printed of a comparison."""
    several = len(recipe.comparisons) > 1
    last = recipe.stages[-1].name
    words = [f"{one.stage or last}: {one.words}" if several else one.words for one in recipe.printed]
    width = max(map(len, words), default=0)
    lines = [
        f"  {said:{width}}  {', '.join(f'{name} {value:g}' for name, value in one.numbers.items())}"
        for said, one in zip(words, recipe.printed, strict=True)
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
    if found := reference(value):
        return f"that of {found[1]}"
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:z.3f}':>9}"
