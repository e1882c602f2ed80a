"""Recipes (``reproduce``) as a page of many things shows them: how far they are, and paper beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geopretrain.config.options import ReproduceOptions
from geopretrain.config.saved import command_line
from geopretrain.errors import RunFolderError
from geopretrain.locks import holder
from geopretrain.records import Index, Object, Real, Text, read_json
from geopretrain.report.finding import ODD, Found, Standing, damaged
from geopretrain.runs.folder import RunFolder
from geopretrain.wording import counted, metric

RESULTS, STAGES, PAGE = "results.json", "stages.json", "report.html"
_ADVICE = "Repeat the command of the recipe: what is finished is kept."


@dataclass(frozen=True)
class Number:
    """A number of a row."""

    mean: Real | None
    sd: Real | None
    paper: Real | None


@dataclass(frozen=True)
class RecipeRow:
    """A row of the table."""

    row: Text
    seeds: list[Index]
    numbers: dict[str, Number]


@dataclass(frozen=True)
class Table:
    """What came out of a recipe, or of a table of a study."""

    protocol: Text = ""
    rows: list[RecipeRow] = field(default_factory=list)


@dataclass(frozen=True)
class Shape(Table):
    """What ``results.json`` of a recipe holds, and ``ITEM.json`` of a table or figure of a study."""

    recipe: Text = ""
    items: dict[str, Table] = field(default_factory=dict)
    failures: list[Object] = field(default_factory=list)


@dataclass(frozen=True)
class RecipeEntry:
    """A recipe in a page.

    Attributes:
        place: of its folder.
        standing: how far it is.
        name: of the recipe.
        protocol: of its numbers, empty before the end.
        columns: of its table.
        rows: of its table: name, and for each column ours and the paper's in words.
        failures: sentences about rows that failed.
        line: the command that repeats it.
        page: address of its own page; empty without.
    """

    place: str
    standing: Standing
    name: str = ""
    protocol: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[tuple[str, list[tuple[str, str]]]] = ()
    failures: Sequence[str] = ()
    line: str = ""
    page: str = ""


def read_recipe(found: Found, inside: Sequence[Found]) -> list[RecipeEntry]:
    """Return a recipe as far as it can be read; what is damaged is said, and no error.

    Several entries are of one study: the tables and figures that have been made in its folder.

    Args:
        found: its folder.
        inside: what lies below it: a study ends with a comparison, which is shown by itself.
    """
    try:
        return _read(found, inside)
    except ODD as error:
        return [RecipeEntry(found.place, damaged(error))]


def _read(found: Found, inside: Sequence[Found]) -> list[RecipeEntry]:
    config = RunFolder(found.path).config
    name, line = str(config.get("recipe", "")), command_line(ReproduceOptions, config)
    made: dict[str, RecipeEntry] = {}
    for file in _ended(found.path):
        for one in _entries(found, file, config):
            made.setdefault(one.name, one)
    asked = (found.path / RESULTS, found.path / f"{name.rpartition('/')[2]}.json")
    if holder(found.path) is None and any(file.is_file() for file in asked):
        return list(made.values())
    own = made.pop(name, RecipeEntry(found.place, Standing("stopped", ""), name, line=line))
    return [replace(own, standing=_standing(found.path, inside)), *made.values()]


def _ended(folder: Path) -> list[Path]:
    """Return the files of results in a recipe's folder: that of the whole first, then those with a page."""
    whole, others = folder / RESULTS, sorted(folder.glob("*.json"))
    items = [one for one in others if one.name != RESULTS and one.with_suffix(".html").is_file()]
    return [whole, *items] if whole.is_file() else items


def _entries(found: Found, file: Path, config: Mapping[str, Any]) -> list[RecipeEntry]:
    """Return an entry for each table that a file of results holds, or one without numbers (a figure)."""
    shape: Shape = read_json(file, Shape, error=RunFolderError, advice=_ADVICE)
    asked = str(config.get("recipe", ""))
    called = asked if asked.endswith((".yaml", ".yml")) else shape.recipe  # a file is asked for by its path
    line = command_line(ReproduceOptions, {**config, "recipe": called})
    study = called.rpartition("/")[0]
    failed = [f"{one.get('row')}, seed {one.get('seed')}: {one.get('error')}" for one in shape.failures]
    words = f"{counted(len(failed), 'row')} failed" if failed else ""
    page = file.with_name(PAGE) if file.name == RESULTS else file.with_suffix(".html")
    tables = {f"{study}/{item}": table for item, table in shape.items.items()} or {called: shape}
    return [
        RecipeEntry(
            found.place,
            Standing("failed" if failed else "finished", words),
            name,
            table.protocol,
            [metric(column) for column in _columns(table)],
            [
                (row.row, [_cells(row.numbers.get(column)) for column in _columns(table)])
                for row in table.rows
            ],
            failed,
            line,
            f"{found.place}/{page.name}" if page.is_file() and found.place != "." else "",
        )
        for name, table in tables.items()
    ]


def _columns(table: Table) -> list[str]:
    return list(dict.fromkeys(column for row in table.rows for column in row.numbers))


def _cells(number: Number | None) -> tuple[str, str]:
    """Return ours and the paper's in words."""
    if number is None or number.mean is None:
        return "–", "–" if number is None or number.paper is None else f"{number.paper:g}"
    sd = "" if number.sd is None else f" ± {number.sd:.3f}"
    return f"{number.mean:.3f}{sd}", "–" if number.paper is None else f"{number.paper:g}"


def _standing(folder: Path, inside: Sequence[Found]) -> Standing:
    """Return how far a recipe is that has not ended."""
    if holder(folder) is not None:
        return Standing("training", f"{counted(_stages(folder), 'stage')} finished")
    if any((one.path / "comparison.json").is_file() for one in inside):
        return Standing("finished", "it is a study: its comparison is shown by itself")
    words = f"{counted(_stages(folder), 'stage')} finished"
    return Standing("stopped", f"{words}; nothing trains the others, repeating its command goes on")


def _stages(folder: Path) -> int:
    file = folder / STAGES
    if not file.is_file():
        return 0
    stages: dict[str, Any] = read_json(file, dict[str, Any], error=RunFolderError, advice=_ADVICE)
    return len(stages)
