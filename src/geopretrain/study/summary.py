"""From the trials of a comparison to its table: means, spreads and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.statistics import PairedDifference, mean, paired_difference, standard_deviation

FEW = 1 / 3
"""Fraction of the budget at which "after few steps" is read; fixed, so that no point can be picked."""


@dataclass(frozen=True)
class Row:
    """One line of the table: an initialisation in a mode at a point of the learning curve, over all seeds.

    Attributes:
        mode: ``full``, ``encoder`` or ``frozen``.
        init: name of the initialisation.
        step: point of the curve.
        seeds: those that ended with a score; () where none did.
        values: score of each of them (mIoU in [0, 1], for instance).
        mean: of the values; NaN without.
        sd: standard deviation of the values (n - 1); NaN with fewer than two.
        second: mean over the seeds of the score that is shown beside it; NaN without.
        difference: paired with the first initialisation; None for itself, or with fewer than two common
            seeds.
    """

    mode: str
    init: str
    step: int
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    sd: float
    second: float
    difference: PairedDifference | None


def summarise(
    trials: Sequence[dict[str, Any]],
    inits: Sequence[str],
    modes: Sequence[str],
    measure: Measure = MIOU,
) -> list[Row]:
    """Return one row for each mode, point of the curve and initialisation; the first is the reference.

    A trial is ``{'init', 'mode', 'seed', 'curve': [{'step', 'miou', 'pixel_accuracy'}, ...]}``, with the keys
    of the measure; trials that failed are absent, scores that are undefined are None, and differences use
    the seeds for which both sides have one. Where nothing ended there is a row without values.
    """
    table: dict[tuple[str, str, int], dict[int, dict[str, float]]] = {}
    for trial in trials:
        for point in trial["curve"]:
            there = table.setdefault((trial["mode"], trial["init"], step_of(point)), {})
            if _is_score(point[measure.key]):
                there[int(trial["seed"])] = point
    points = sorted({step for _, _, step in table})
    rows = []
    for mode in modes:
        for step in points:
            reference = table.get((mode, inits[0], step), {})
            for init in inits:
                there = table.get((mode, init, step), {})
                other = None if init == inits[0] else reference
                rows.append(_row(mode, init, step, there, other, measure))
    return rows


def _is_score(value: Any) -> bool:
    """Return whether a score is defined: it is not where no pixel of the images counts."""
    return value is not None and math.isfinite(value)


def step_of(point: Mapping[str, Any]) -> int:
    """Return the step of a point of a learning curve; version 0.1 called it ``iteration``."""
    return int(point["step"] if "step" in point else point["iteration"])


def _row(
    mode: str,
    init: str,
    step: int,
    there: dict[int, dict[str, float]],
    reference: dict[int, dict[str, float]] | None,
    measure: Measure,
) -> Row:
    seeds = tuple(sorted(there))
    values = tuple(float(there[seed][measure.key]) for seed in seeds)
    difference = None
    common = [seed for seed in seeds if reference is not None and seed in reference]
    if reference is not None and len(common) >= 2:
        difference = paired_difference(
            [there[seed][measure.key] for seed in common],
            [reference[seed][measure.key] for seed in common],
            lower=measure.lower,
        )
    second = mean([float(a) for seed in seeds if _is_score(a := there[seed].get(measure.second, math.nan))])
    return Row(mode, init, step, seeds, values, mean(values), standard_deviation(values), second, difference)


def per_class(
    trials: Sequence[dict[str, Any]], measure: Measure = MIOU
) -> dict[str, dict[str, list[float | None]]]:
    """Mean score of each class at the end, by mode and initialisation; None for classes that never occur.

    Empty where the score is none of classes.
    """
    if measure.by_class is None:
        return {}
    groups: dict[tuple[str, str], list[list[float | None]]] = {}
    for trial in trials:
        groups.setdefault((trial["mode"], trial["init"]), []).append(trial[measure.by_class])
    result: dict[str, dict[str, list[float | None]]] = {}
    for (mode, init), lists in groups.items():
        columns = [
            [v for v in column if v is not None and math.isfinite(v)] for column in zip(*lists, strict=True)
        ]
        result.setdefault(mode, {})[init] = [mean(column) if column else None for column in columns]
    return result


def first_and_best(rows: Sequence[Row], mode: str, measure: Measure = MIOU) -> list[str]:
    """Return the first initialisation and the best of the others at the end, those that have a score."""
    last = max((row.step for row in rows), default=0)
    there = [row for row in rows if (row.mode, row.step) == (mode, last) and row.values]
    first = [row.init for row in there if row.init == rows[0].init]
    others = sorted((row for row in there if row.init not in first), key=lambda row: row.mean)
    best = others[0 if measure.lower else -1 :][:1]
    return [*first, *(row.init for row in best)]


def few_point(points: Sequence[int]) -> int:
    """Return the point of the curve nearest to ``FEW`` of the last one."""
    return min(points, key=lambda point: (abs(point - FEW * max(points)), point))


def headline_points(points: Sequence[int]) -> list[int]:
    """Return the two points that sentences are about: after few steps, and the end."""
    return sorted({few_point(points), max(points)}) if points else []


def row_as_dict(row: Row) -> dict[str, Any]:
    """Return a row for JSON."""
    content = asdict(row)
    if row.difference is not None:
        content["difference"]["verdict"] = row.difference.verdict
    return content


_MAY_BE_NAN = ("mean", "sd", "second")
_EARLIER = {"pixel_accuracy": "second"}
"""Names that earlier versions wrote."""


def row_from_dict(content: dict[str, Any]) -> Row:
    """Return the row that ``row_as_dict`` wrote."""
    content = {_EARLIER.get(name, name): value for name, value in content.items()}
    difference = content["difference"]
    if difference is not None:
        fields = {name: value for name, value in difference.items() if name != "verdict"}
        difference = PairedDifference(**{**fields, "values": tuple(fields["values"])})
    kept = {name: value for name, value in content.items() if name not in ("step", "iteration")}
    return Row(
        **{
            **kept,
            "step": step_of(content),
            "seeds": tuple(content["seeds"]),
            "values": tuple(content["values"]),
            **{name: math.nan if content[name] is None else content[name] for name in _MAY_BE_NAN},
            "difference": difference,
        }
    )
