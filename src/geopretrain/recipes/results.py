"""What came out of a recipe: numbers of each row and seed, beside those of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopretrain.errors import RunFolderError
from geopretrain.recipes.plan import Measured, Plan
from geopretrain.recipes.shapes import Column, Row
from geopretrain.records import Finite, Index, Text, as_type, mapping, read_json_text
from geopretrain.study.statistics import PairedDifference, mean, paired_difference, standard_deviation

ADVICE = "Remove its folder and repeat the command."


@dataclass(frozen=True)
class Scored:
    """What every score says beside its numbers."""

    protocol: Text
    images: Index
    frames: Text = "all"


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        row: of the recipe.
        seeds: that ended with a score.
        values: for each column, one number for each of them.
        differences: for each column, this row less the first one, paired by seed; None for the first one, and
            where there are fewer than two seeds to pair.
    """

    row: Row
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, PairedDifference | None]

    def mean(self, column: str) -> float:
        """Return the mean over the seeds; NaN without."""
        return mean(self.values[column])

    def sd(self, column: str) -> float:
        """Return the standard deviation over the seeds; NaN with fewer than two."""
        return standard_deviation(self.values[column])


@dataclass(frozen=True)
class Outcome:
    """The table of a recipe.

    Attributes:
        columns: of the table.
        lines: rows of the table.
        protocol: that all numbers were made under.
        images: that were scored.
        frames: which these are.
    """

    columns: Sequence[Column]
    lines: Sequence[Line]
    protocol: str
    images: int
    frames: str

    def as_json(self) -> list[dict[str, Any]]:
        """Return the rows in plain values."""
        return [_line_as_json(line) for line in self.lines]

    def sentences(self) -> list[str]:
        """Return what the first column says of each row against the first one, in words."""
        column, first = self.columns[0], self.lines[0]
        return [_sentence(line, column, first.row.name) for line in self.lines[1:]]

    def headline(self) -> str:
        """Return the first column of all rows in a sentence."""
        column = self.columns[0]
        parts = ", ".join(f"{line.row.name} {spread(line, column.name)}" for line in self.lines)
        seeds = max(len(line.seeds) for line in self.lines)
        return (
            f"{column.title} on {self.images} {self.frames.replace('_', '-')} pictures ({self.protocol}, "
            f"{seeds} seed{'s' * (seeds != 1)}): {parts}."
        )


def collect(plan: Plan, done: Sequence[Measured]) -> Outcome:
    """Return the table of the rows and seeds that are finished.

    Raises:
        RunFolderError: a score is damaged or lacks a column, or they were made under different protocols.
    """
    columns = plan.columns
    scores = {(one.row.name, one.seed): read_score(one.steps[-1].folder, columns) for one in done}
    kinds = {(score["protocol"], score["images"], score.get("frames", "all")) for score in scores.values()}
    if len(kinds) != 1:
        raise RunFolderError(
            f"The rows in '{plan.out}' were not scored alike: {', '.join(map(str, sorted(kinds)))}. {ADVICE}"
        )
    ((protocol, images, frames),) = kinds
    lines: list[Line] = []
    for row in plan.recipe.rows:
        own = {seed: score for (name, seed), score in scores.items() if name == row.name}
        lines.append(_line(row, own, columns, lines[0] if lines else None))
    return Outcome(columns, lines, protocol, images, frames)


def read_score(folder: Path, columns: Sequence[Column]) -> dict[str, Any]:
    """Return the one score in a folder of ``evaluate``."""
    files = sorted(folder.glob("*.json"))
    if len(files) != 1:
        raise RunFolderError(f"'{folder}' should hold one score, and holds {len(files)}. {ADVICE}")
    content = mapping(read_json_text(files[0], error=RunFolderError, advice=ADVICE))
    as_type(Scored, content, files[0], error=RunFolderError, advice=ADVICE)
    numbers = {column.name: content.get(column.name) for column in columns}
    as_type(dict[str, Finite], numbers, files[0], error=RunFolderError, advice=ADVICE)
    return content


def _line(
    row: Row, scores: Mapping[int, Mapping[str, Any]], columns: Sequence[Column], first: Line | None
) -> Line:
    seeds = tuple(sorted(scores))
    values = {column.name: tuple(float(scores[s][column.name]) for s in seeds) for column in columns}
    made = Line(row, seeds, values, {})
    return Line(
        row, seeds, values, {column.name: _difference(made, first, column.name) for column in columns}
    )


def _difference(line: Line, first: Line | None, column: str) -> PairedDifference | None:
    common = [] if first is None else [seed for seed in line.seeds if seed in first.seeds]
    if first is None or len(common) < 2:
        return None
    own, other = (dict(zip(one.seeds, one.values[column], strict=True)) for one in (line, first))
    return paired_difference([own[seed] for seed in common], [other[seed] for seed in common])


def spread(line: Line, column: str) -> str:
    """Return ``0.283 ± 0.012``, or what there is of it."""
    if not line.seeds:
        return "failed"
    sd = f" ± {line.sd(column):.3f}" if len(line.seeds) > 1 else ""
    return f"{line.mean(column):z.3f}{sd}"


def verdict(difference: PairedDifference, column: Column) -> str:
    """Return ``better``, ``worse``, ``unclear`` or ``no spread``; lower errors are better."""
    turned = {"better": "worse", "worse": "better"}
    found = difference.verdict
    return turned.get(found, found) if column.better == "lower" else found


def _sentence(line: Line, column: Column, first: str) -> str:
    name, difference = line.row.name, line.differences[column.name]
    if difference is None:
        return f"{name}: too few seeds to tell a difference in {column.title} to {first}."
    about = f"{column.title} {difference.mean:+z.3f} against {first}, {len(difference.values)} seeds"
    if not difference.has_interval:
        return f"{name}: {about}; it is the same with every seed, so how sure this is cannot be told."
    interval = f"95 % interval {difference.low:+z.3f} to {difference.high:+z.3f}"
    words = {"better": "better", "worse": "worse", "unclear": "no difference could be told"}
    return f"{name}: {about}, {interval}: {words[verdict(difference, column)]}."


def _line_as_json(line: Line) -> dict[str, Any]:
    return {
        "row": line.row.name,
        "seeds": list(line.seeds),
        "numbers": {
            name: {
                "values": list(values),
                "mean": line.mean(name) if values else None,
                "sd": line.sd(name) if len(values) > 1 else None,
                "paper": line.row.printed.get(name),
                "difference_to_first": _difference_as_json(line.differences[name]),
            }
            for name, values in line.values.items()
        },
    }


def _difference_as_json(difference: PairedDifference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    ends = (difference.low, difference.high) if difference.has_interval else (None, None)
    return {"mean": difference.mean, "low": ends[0], "high": ends[1], "values": list(difference.values)}
