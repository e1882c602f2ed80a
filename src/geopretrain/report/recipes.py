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
class Shape:
    """What ``results.json`` of a recipe holds."""

    recipe: Text
    protocol: Text
    rows: list[RecipeRow]
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
    ended = found.path / RESULTS
    if not ended.is_file():
        return RecipeEntry(found.place, _standing(found.path, inside), name, line=line)
    shape: Shape = read_json(ended, Shape, error=RunFolderError, advice=_ADVICE)
    columns = list(dict.fromkeys(column for row in shape.rows for column in row.numbers))
    failed = [f"{one.get('row')}, seed {one.get('seed')}: {one.get('error')}" for one in shape.failures]
    own = found.path / PAGE
    return RecipeEntry(
        found.place,
        _standing(found.path, inside, finished=True, failed=len(failed)),
        name,
        shape.protocol,
        [metric(column) for column in columns],
        [(row.row, [_cells(row.numbers.get(column)) for column in columns]) for row in shape.rows],
        failed,
        line,
        f"{found.place}/{PAGE}" if own.is_file() and found.place != "." else "",
    )


def _cells(number: Number | None) -> tuple[str, str]:
    """Return ours and the paper's in words."""
    if number is None or number.mean is None:
        return "–", "–" if number is None or number.paper is None else f"{number.paper:g}"
    sd = "" if number.sd is None else f" ± {number.sd:.3f}"
    return f"{number.mean:.3f}{sd}", "–" if number.paper is None else f"{number.paper:g}"


def _standing(folder: Path, inside: Sequence[Found], *, finished: bool = False, failed: int = 0) -> Standing:
    if holder(folder) is not None:
        return Standing("training", f"{counted(_stages(folder), 'stage')} finished")
    if finished:
        words = f"{counted(failed, 'row')} failed" if failed else ""
        return Standing("failed" if failed else "finished", words)
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
