"""Recipes (``reproduce``) as a page of many things shows them: how far they are, and paper beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geopretrain.config.options import ReproduceOptions
from geopretrain.config.saved import command_line
from geopretrain.errors import RunFolderError
from geopretrain.locks import holder
from geopretrain.manifest import is_listed
from geopretrain.records import Index, Object, Real, Text, read_json
from geopretrain.report.finding import ODD, Found, Standing, damaged
from geopretrain.runs.folder import RunFolder
from geopretrain.wording import counted, metric, number

RESULTS, STAGES, PAGE = "results.json", "stages.json", "report.html"
_ADVICE = "Repeat the command of the recipe: what is finished is kept."


@dataclass(frozen=True)
class Number:
    """A number of a row."""

    mean: Real | None
    sd: Real | None
    paper: Real | None

    @property
    def difference(self) -> float | None:
        """How far ours is from the paper's; None where one of them is not there."""
        return None if self.mean is None or self.paper is None else round(self.mean - self.paper, 6)


@dataclass(frozen=True)
class RecipeRow:
    """A row of the table."""

    row: Text
    seeds: list[Index]
    numbers: dict[str, Number]


@dataclass(frozen=True)
class Part:
    """A table, and what its numbers were made under."""

    protocol: Text
    rows: list[RecipeRow]


@dataclass(frozen=True)
class Shape:
    """What a recipe has written in the end: a table, several as ``items``, or none where it has figures."""

    recipe: Text
    protocol: Text = ""
    rows: list[RecipeRow] = field(default_factory=list)
    items: dict[Text, Part] = field(default_factory=dict)
    failures: list[Object] = field(default_factory=list)


@dataclass(frozen=True)
class Cell:
    """A number of a table in words.

    Attributes:
        ours: with its spread.
        paper: the paper's.
        difference: how far ours is from the paper's.
        number: itself.
    """

    ours: str
    paper: str
    difference: str
    number: Number


@dataclass(frozen=True)
class TableRow:
    """A row of a table in a page.

    Attributes:
        name: of it.
        seeds: that its numbers are over.
        cells: for each column one.
    """

    name: str
    seeds: Sequence[int]
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """A table in a page.

    Attributes:
        name: of the item that it is of, empty where the recipe has only one.
        protocol: of its numbers.
        numbers: names of its columns, as files have them.
        columns: titles of these.
        rows: of it.
    """

    name: str
    protocol: str
    numbers: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[TableRow]


@dataclass(frozen=True)
class RecipeEntry:
    """A recipe in a page.

    Attributes:
        place: of its folder.
        standing: how far it is.
        name: of the recipe.
        tables: of it, none before the end.
        failures: sentences about rows that failed.
        line: the command that repeats it.
        pages: addresses of its own pages.
    """

    place: str
    standing: Standing
    name: str = ""
    tables: Sequence[Table] = ()
    failures: Sequence[str] = ()
    line: str = ""
    pages: Sequence[str] = ()


def read_recipe(found: Found, inside: Sequence[Found]) -> RecipeEntry:
    """Return a recipe as far as it can be read; what is damaged is said, and no error.

    Args:
        found: its folder.
        inside: what lies below it: a study ends with a comparison, which is shown by itself.
    """
    try:
        return _read(found, inside)
    except ODD as error:
        return RecipeEntry(found.place, damaged(error))


def _read(found: Found, inside: Sequence[Found]) -> RecipeEntry:
    config = RunFolder(found.path).config
    name, line = str(config.get("recipe", "")), command_line(ReproduceOptions, config)
    ended = _ended(found.path)
    shapes = [read_json(file, Shape, error=RunFolderError, advice=_ADVICE) for file in ended]
    failed = [
        f"{one.get('row')}, seed {one.get('seed')}: {one.get('error')}"
        for shape in shapes
        for one in shape.failures
    ]
    failed = list(dict.fromkeys(failed))
    asked = {RESULTS, f"{name.rpartition('/')[2]}.json"}
    is_over = any(file.name in asked for file in ended)
    standing = _standing(found.path, inside, finished=is_over, failed=len(failed))
    tables = {one.name: one for shape in shapes for one in _tables(shape)}
    return RecipeEntry(found.place, standing, name, list(tables.values()), failed, line, _pages(found, ended))


def _ended(folder: Path) -> list[Path]:
    """Return the files of what came out: of all of a recipe, of single tables and figures, or both."""
    there = sorted(folder.glob("*.json"))
    own = [file for file in there if file.name not in (STAGES, RESULTS) and is_listed(file)]
    return [file for file in (*own, folder / RESULTS) if file.is_file()]


def _tables(shape: Shape) -> list[Table]:
    """Return the tables in a file."""
    parts = {**({"": Part(shape.protocol, shape.rows)} if shape.rows else {}), **shape.items}
    return [_table(name, part) for name, part in parts.items()]


def _table(name: str, part: Part) -> Table:
    columns = list(dict.fromkeys(column for row in part.rows for column in row.numbers))
    nothing = Number(None, None, None)
    rows = [
        TableRow(row.row, row.seeds, [_cell(row.numbers.get(column, nothing)) for column in columns])
        for row in part.rows
    ]
    return Table(name, part.protocol, columns, [metric(column) for column in columns], rows)


def _pages(found: Found, ended: Sequence[Path]) -> list[str]:
    """Return the addresses of the pages that a recipe has beside its numbers."""
    names = [PAGE if file.name == RESULTS else f"{file.stem}.html" for file in ended]
    return [Path(found.place, name).as_posix() for name in names if (found.path / name).is_file()]


def _cell(one: Number) -> Cell:
    """Return ours, the paper's and the difference in words; a dash is where there is no number."""
    sd = "" if one.sd is None else f" ± {one.sd:.3f}"
    ours = "–" if one.mean is None else f"{number(one.mean, 'z.3f')}{sd}"
    paper = "–" if one.paper is None else number(one.paper, "g")
    apart = "–" if one.difference is None else number(one.difference, "+z.3f")
    return Cell(ours, paper, apart, one)


def _standing(folder: Path, inside: Sequence[Found], *, finished: bool = False, failed: int = 0) -> Standing:
    if holder(folder) is not None:
        return Standing("training", f"{counted(_stages(folder), 'stage')} finished")
    if finished:
        words = f"{counted(failed, 'row')} failed" if failed else ""
        return Standing("failed" if failed else "finished", words)
    words = f"{counted(_stages(folder), 'stage')} finished"
    if any((one.path / "comparison.json").is_file() for one in inside):
        words += ", a comparison among them, which is shown by itself"
    return Standing("stopped", f"{words}; nothing trains the others, repeating its command goes on")


def _stages(folder: Path) -> int:
    file = folder / STAGES
    if not file.is_file():
        return 0
    stages: dict[str, Any] = read_json(file, dict[str, Any], error=RunFolderError, advice=_ADVICE)
    return len(stages)
