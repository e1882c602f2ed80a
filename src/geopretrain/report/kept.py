"""What a page of many things offers to keep of its tables: CSV for spreadsheets, and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from geopretrain.report.recipes import Table
from geopretrain.report.runs import RunEntry
from geopretrain.report.texts import TEX, booktabs, kept_as, table_csv, tex_line, tex_title

NUMBERS = ("item", "row", "seeds", "number", "ours", "sd", "paper", "difference", "protocol")


def kept_of_recipe(name: str, tables: Sequence[Table]) -> list[dict[str, str]]:
    """Return links to the tables of a recipe; none without.

    Args:
        name: that the files begin with.
        tables: paper and ours.
    """
    if not tables:
        return []
    rows = ([table.name, *row] for table in tables for row in _numbers(table))
    tex = "\n".join(_latex(name, table) for table in tables)
    return [
        kept_as(f"{name}.csv", "Paper, ours, difference (CSV)", table_csv(NUMBERS, rows), "text/csv"),
        kept_as(f"{name}.tex", "Paper, ours, difference for LaTeX (booktabs)", tex, TEX),
    ]


def _numbers(table: Table) -> Iterator[list[object]]:
    """Give the cells of each number but the first; what is not known is None."""
    for row in table.rows:
        seeds = " ".join(map(str, row.seeds))
        for name, cell in zip(table.numbers, row.cells, strict=True):
            one = cell.number
            yield [row.name, seeds, name, one.mean, one.sd, one.paper, one.difference, table.protocol]


def _latex(name: str, table: Table) -> str:
    heads = ["row", "", *table.columns]
    caption = f"{table.name or name}: ours beside the paper's, mean and standard deviation over the seeds"
    caption += f", protocol {table.protocol}." if table.protocol else "."
    return booktabs(caption, heads, f"ll{'r' * len(table.columns)}", _lines(table, len(heads)))


def _lines(table: Table, width: int) -> Iterator[str]:
    for row in table.rows:
        yield from tex_title(row.name, width)
        for words in ("paper", "ours", "difference"):
            yield tex_line(["", words, *(getattr(cell, words) for cell in row.cells)])


def kept_of_runs(name: str, runs: Sequence[RunEntry], columns: Sequence[str]) -> list[dict[str, str]]:
    """Return links to the table of runs of one kind; fractions are in [0, 1] in the one for spreadsheets.

    Args:
        name: that the files begin with.
        runs: of it.
        columns: names of their numbers.
    """
    heads = ["run", "state", "started_from", *columns, "protocol", "command", "versions"]
    rows = []
    for one in runs:
        numbers = [one.values.get(column) for column in columns]
        own = [one.place, one.standing.state, one.started_from]
        rows.append([*own, *numbers, one.protocol, one.line, one.versions])
    shown = [
        tex_line([one.place, one.started_from, *(one.numbers.get(column, "–") for column in columns)])
        for one in runs
    ]
    tex = booktabs(name, ["run", "started from", *columns], f"ll{'r' * len(columns)}", shown)
    return [
        kept_as(f"{name}.csv", "Numbers of these runs (CSV)", table_csv(heads, rows), "text/csv"),
        kept_as(f"{name}.tex", "Table for LaTeX (booktabs)", tex, TEX),
    ]
