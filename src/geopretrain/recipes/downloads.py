"""What the page of a recipe offers to keep: every number for a spreadsheet, its tables for LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from geopretrain.recipes.plan import Plan
from geopretrain.recipes.results import Outcome
from geopretrain.report.texts import TEX, booktabs, file_stem, kept_as, table_csv, tex_line, tex_title

HEADS = ("item", "row", "seed", "number", "ours", "paper", "protocol", "pictures")


def downloads(plan: Plan, parts: Sequence[Mapping[str, Any]], line: str) -> list[dict[str, str]]:
    """Return links to what can be kept; none where the page has no table.

    Args:
        plan: of the recipe.
        parts: of the page.
        line: what is typed to do the same.
    """
    tables = [part for part in parts if part["outcome"] is not None]
    if not tables:
        return []
    name = file_stem(plan.name)
    tex = "\n".join(_latex(plan, part, line) for part in tables)
    return [
        kept_as(f"{name}.csv", "Numbers of every row and seed (CSV)", numbers_csv(tables), "text/csv"),
        kept_as(f"{name}.tex", "Tables for LaTeX (booktabs)", tex, TEX),
    ]


def numbers_csv(tables: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for each number of each row and seed, with the paper's beside it where it prints one."""
    rows = (cells for part in tables for cells in _cells(part["item"].item, part["outcome"]))
    return table_csv(HEADS, rows)


def _cells(item: str, outcome: Outcome) -> Iterator[list[Any]]:
    """Give the cells of each line; rows of the paper alone, and those that failed, have no number of ours.

    Numbers of the pre-trainings themselves have no seed, protocol and pictures.
    """
    for name, numbers in outcome.others.items():
        for column in outcome.columns:
            if column.name in numbers:
                yield [item, name, None, column.name, None, numbers[column.name], None, None]
    for line in outcome.lines:
        of = (" or ".join(line.protocols), outcome.images) if outcome.protocol else (None, None)
        seeds = line.seeds if outcome.protocol else (None,) * len(line.seeds)
        for column in outcome.columns:
            paper = line.row.printed.get(column.name)
            values = zip(seeds, line.values[column.name], strict=True)
            for seed, value in values if line.seeds else [(None, None)]:
                yield [item, line.row.name, seed, column.name, value, paper, *of]


def _latex(plan: Plan, part: Mapping[str, Any], line: str) -> str:
    """Return a table of the page: of each row the paper's numbers, ours, and the difference."""
    item, outcome = part["item"], part["outcome"]
    seeds = " Mean and standard deviation over the seeds."
    scored = f"{seeds} Ours on {outcome.scored_on}, protocol {outcome.protocol}." if outcome.protocol else ""
    heads = ["row", "", *(column.title for column in outcome.columns)]
    return booktabs(
        f"{item.item}: {item.words}.{scored}",
        heads,
        f"ll{'r' * len(outcome.columns)}",
        _lines(part, len(heads)),
        told=[f"{plan.name}, {plan.scale}", f"command: {line}"],
    )


def _lines(part: Mapping[str, Any], width: int) -> Iterator[str]:
    for row in part["others"]:
        yield from tex_title(f"{row['name']} (the paper alone)", width)
        yield tex_line(["", "paper", *row["paper"]])
    for row in part["table"]:
        yield from tex_title(f"{row['name']}: {row['words']}", width)
        for label in row["labels"]:
            yield tex_line(["", label, *row[label]])
