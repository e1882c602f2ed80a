"""What came out of a recipe: numbers of each row and seed, beside those of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geopretrain.errors import RunFolderError
from geopretrain.recipes.plan import Measured, Plan
from geopretrain.recipes.shapes import START, Column, Item, Row
from geopretrain.records import Finite, Index, Text, as_type, mapping, read_json_text
from geopretrain.runs.folder import RunFolder
from geopretrain.study.statistics import PairedDifference, mean, paired_difference, standard_deviation
from geopretrain.wording import number

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
        differences: for each column, this row less the one that it is against, paired by seed; None for that
            one, and where there are fewer than two seeds to pair.
        protocols: that its numbers were made under.
    """

    row: Row
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, PairedDifference | None]
    protocols: Sequence[str] = ()

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
        protocol: that the numbers were made under; of several, of rows that are not held against each other,
            all. Empty where they are of the trainings themselves.
        images: that were scored.
        frames: which these are.
        others: rows that only the paper has, and its numbers.
    """

    columns: Sequence[Column]
    lines: Sequence[Line]
    protocol: str
    images: int
    frames: str
    others: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def scored_on(self) -> str:
        """How many pictures, and which: ``20 held-out pictures``."""
        which = "" if self.frames == "all" else f"{self.frames.replace('_', '-')} "
        return f"{self.images} {which}pictures"

    def as_json(self) -> list[dict[str, Any]]:
        """Return the rows in plain values."""
        return [_line_as_json(line) for line in self.lines]

    def baseline(self, line: Line) -> Line:
        """Return the row that one is held against."""
        return _baseline(line, self.lines)

    def compared(self) -> list[Line]:
        """Return the rows that are held against another one; none of numbers that say not what is good."""
        if all(column.better == "neither" for column in self.columns):
            return []
        return [line for line in self.lines if self.baseline(line) is not line]

    def sentences(self) -> list[str]:
        """Return what the first column says of each row against the one that it is held against, in words."""
        column, compared = self.columns[0], self.compared()
        if len(compared) > 1 and all(line.differences[column.name] is None for line in compared):
            return [f"There are too few seeds to tell differences in {column.title} between rows."]
        return [_sentence(line, column, self.baseline(line).row.name) for line in compared]

    def headline(self) -> str:
        """Return the first column of all rows in a sentence."""
        column = self.columns[0]
        parts = ", ".join(f"{line.row.name} {spread(line, column)}" for line in self.lines)
        if not self.protocol:
            return f"{column.title}: {parts}."
        seeds = max(len(line.seeds) for line in self.lines)
        return (
            f"{column.title} on {self.scored_on} ({self.protocol}, "
            f"{seeds} seed{'s' * (seeds != 1)}): {parts}."
        )


def collect(plan: Plan, done: Sequence[Measured], item: Item | None = None) -> Outcome:
    """Return a table of the rows and seeds that are finished.

    Args:
        plan: of the recipe.
        done: rows and seeds that are finished.
        item: whose table it is; left away: the first of the recipe.

    Raises:
        RunFolderError: a score is damaged or lacks a column, or they were made under different protocols.
    """
    item = item or next(iter(plan.items.values()))
    rows = [
        replace(row, printed=item.numbers.get(row.name, {}))
        for row in plan.recipe.rows
        if row.name in item.rows
    ]
    if item.scored == START:
        starts = {row.name: Path(str(plan.starts[row.name])) for row in rows}
        plain = [_line(row, {0: read_training(starts[row.name], item.columns)}, item.columns) for row in rows]
        return Outcome(item.columns, plain, "", 0, "", item.others)
    scores = {
        (one.row.name, one.seed): read_score(step.folder, item.columns)
        for one in done
        if (step := one.step(item.scored)) is not None
    }
    own = [{seed: score for (name, seed), score in scores.items() if name == row.name} for row in rows]
    lines = [_line(row, found, item.columns) for row, found in zip(rows, own, strict=True)]
    images, frames = _alike(plan, lines, list(scores.values()))
    compared = [_against(line, _baseline(line, lines)) for line in lines]
    protocol = " or ".join(dict.fromkeys(name for line in lines for name in line.protocols))
    return Outcome(item.columns, compared, protocol, images, frames, item.others)


def _alike(plan: Plan, lines: Sequence[Line], scores: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Return number and kind of the scored pictures, the same for all.

    Raises:
        RunFolderError: they differ, or the protocols of rows that are held against each other.
    """
    if not scores:
        return 0, ""
    kinds = {(score["images"], score.get("frames", "all")) for score in scores}
    together = [{*line.protocols, *_baseline(line, lines).protocols} for line in lines]
    if len(kinds) != 1 or any(len(protocols) > 1 for protocols in together):
        found = {(score["protocol"], score["images"], score.get("frames", "all")) for score in scores}
        raise RunFolderError(
            f"The rows in '{plan.out}' were not scored alike: {', '.join(map(str, sorted(found)))}. {ADVICE}"
        )
    ((images, frames),) = kinds
    return images, frames


def _baseline(line: Line, lines: Sequence[Line]) -> Line:
    return next((one for one in lines if one.row.name == line.row.against), lines[0])


def read_training(folder: Path, columns: Sequence[Column]) -> dict[str, Any]:
    """Return ``samples`` that a pre-training learned from, and its ``loss`` on those that were held out."""
    run = RunFolder.open(folder)
    numbers = {"samples": run.results.get("samples"), "loss": run.results["validation"]["loss"]}
    chosen = {column.name: numbers.get(column.name) for column in columns}
    return as_type(dict[str, Finite], chosen, folder, error=RunFolderError, advice=ADVICE)


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


def _line(row: Row, scores: Mapping[int, Mapping[str, Any]], columns: Sequence[Column]) -> Line:
    """Return a row that is held against none yet."""
    seeds = tuple(sorted(scores))
    values = {column.name: tuple(float(scores[s][column.name]) for s in seeds) for column in columns}
    protocols = dict.fromkeys(scores[seed]["protocol"] for seed in seeds if "protocol" in scores[seed])
    return Line(row, seeds, values, dict.fromkeys(values), tuple(protocols))


def _against(line: Line, other: Line) -> Line:
    if line is other:
        return line
    return replace(line, differences={name: _difference(line, other, name) for name in line.values})


def _difference(line: Line, other: Line, column: str) -> PairedDifference | None:
    common = [seed for seed in line.seeds if seed in other.seeds]
    if len(common) < 2:
        return None
    own, first = (dict(zip(one.seeds, one.values[column], strict=True)) for one in (line, other))
    return paired_difference([own[seed] for seed in common], [first[seed] for seed in common])


def spread(line: Line, column: Column) -> str:
    """Return ``0.283 ± 0.012``, or what there is of it."""
    if not line.seeds:
        return "failed"
    digits = column.decimals
    sd = f" ± {line.sd(column.name):.{digits}f}" if len(line.seeds) > 1 else ""
    return f"{number(line.mean(column.name), f'z.{digits}f')}{sd}"


def verdict(difference: PairedDifference, column: Column) -> str:
    """Return ``better``, ``worse``, ``unclear`` or ``no spread``; lower errors are better."""
    turned = {"better": "worse", "worse": "better"}
    found = difference.verdict
    return turned.get(found, found) if column.better == "lower" else found


def _sentence(line: Line, column: Column, first: str) -> str:
    name, difference = line.row.name, line.differences[column.name]
    if difference is None:
        return f"{name}: too few seeds to tell a difference in {column.title} to {first}."
    mean, low, high = (
        number(value, f"+z.{column.decimals}f")
        for value in (difference.mean, difference.low, difference.high)
    )
    about = f"{column.title} {mean} against {first}, {len(difference.values)} seeds"
    if not difference.has_interval:
        return f"{name}: {about}; it is the same with every seed, so how sure this is cannot be told."
    interval = f"95 % interval {low} to {high}"
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
