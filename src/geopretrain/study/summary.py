"""From the trials of a comparison to its table: means, spreads and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from geopretrain.study.measures import MIOU, RESIDUAL, Measure
from geopretrain.study.statistics import (
    Key,
    PairedDifference,
    difference_by_subset,
    mean,
    spread_within,
    standard_deviation,
    subset_means,
)

Point = Mapping[str, Any]
COURSE = ("trained_steps", "converged")
"""What is known of trainings that validation ended."""
FEW = 1 / 3
"""Fraction of the budget at which "after few steps" is read; fixed, so that no point can be picked."""


@dataclass(frozen=True)
class Row:
    """One line of the table: an initialisation in a mode at a point of the learning curve, over all seeds.

    Attributes:
        mode: ``full``, ``encoder`` or ``frozen``.
        init: name of the initialisation.
        step: point of the curve.
        seeds: those of the trainings that ended with a score; () where none did.
        values: score of each of them (mIoU in [0, 1], for instance).
        mean: of the values (of the means of the subsets, where there are several); NaN without.
        sd: standard deviation over the seeds (n - 1), within the subsets; NaN with fewer than two.
        second: mean over the seeds of the score that is shown beside it; NaN without.
        difference: paired with the first initialisation; None for itself, or with fewer than two common
            seeds.
        labels: number of labelled images; None where that is not known.
        subsets: of each value the seed that its labelled images were drawn with.
        subset_sd: standard deviation of the means of the subsets; NaN with fewer than two.
        trained: of each value the steps that its training took, where validation ended it; else ().
        at_limit: how many of these trainings came to the last step and might have gone on.
        residuals: of each value the residual information in bits a pixel, NaN where it was not measured; ()
            where the task has none, or an earlier version trained.
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
    labels: int | None = None
    subsets: tuple[int, ...] = ()
    subset_sd: float = math.nan
    trained: tuple[int, ...] = ()
    at_limit: int = 0
    residuals: tuple[float, ...] = ()

    @property
    def keyed(self) -> dict[Key, float]:
        """The values by subset and seed."""
        return dict(zip(self.keys, self.values, strict=True))

    @property
    def keys(self) -> list[Key]:
        """Subset and seed of each training."""
        return list(zip(self.subsets or (0,) * len(self.seeds), self.seeds, strict=True))

    @property
    def shown_sd(self) -> float:
        """Spread that is shown: over the seeds, or over the subsets where each has one seed."""
        return self.subset_sd if math.isnan(self.sd) else self.sd

    @property
    def num_subsets(self) -> int:
        """Sets of labelled images that it is over."""
        return len(set(self.subsets))


def summarise(
    trials: Sequence[dict[str, Any]],
    inits: Sequence[str],
    modes: Sequence[str],
    measure: Measure = MIOU,
) -> list[Row]:
    """Return a row for each mode, number of labels, point of the curve and init; the first is the reference.

    A trial is ``{'init', 'mode', 'seed', 'curve': [{'step', 'miou', 'pixel_accuracy'}, ...]}``, with the keys
    of the measure, and ``labels`` and ``subset`` where there are several; trials that failed are absent,
    scores that are undefined are None, and differences use the seeds (and subsets) for which both sides have
    one. Where nothing ended there is a row without values.
    """
    table: dict[tuple[str, str, int | None, int], dict[Key, Point]] = {}
    points: dict[int | None, set[int]] = {}
    for trial in trials:
        labels, key = trial.get("labels"), (int(trial.get("subset") or 0), int(trial["seed"]))
        for point in trial["curve"]:
            points.setdefault(labels, set()).add(step_of(point))
            there = table.setdefault((trial["mode"], trial["init"], labels, step_of(point)), {})
            if _is_score(point[measure.key]):
                there[key] = {**point, **{name: trial[name] for name in COURSE if name in trial}}
    rows = []
    for mode in modes:
        for labels in sorted(points, key=lambda count: count or 0):
            for step in sorted(points[labels]):
                reference = table.get((mode, inits[0], labels, step), {})
                for init in inits:
                    there = table.get((mode, init, labels, step), {})
                    other = None if init == inits[0] else reference
                    rows.append(_row((mode, init, step), labels, there, other, measure))
    return rows


def _is_score(value: Any) -> bool:
    """Return whether a score is defined: it is not where no pixel of the images counts."""
    return value is not None and math.isfinite(value)


def step_of(point: Mapping[str, Any]) -> int:
    """Return the step of a point of a learning curve; version 0.1 called it ``iteration``."""
    return int(point["step"] if "step" in point else point["iteration"])


def _row(
    what: tuple[str, str, int],
    labels: int | None,
    there: Mapping[Key, Point],
    reference: Mapping[Key, Point] | None,
    measure: Measure,
) -> Row:
    keys = sorted(there)
    values = {key: float(there[key][measure.key]) for key in keys}
    difference = None
    if reference is not None:
        other = {key: float(point[measure.key]) for key, point in reference.items()}
        difference = difference_by_subset(values, other, lower=measure.lower)
    second = mean([float(a) for key in keys if _is_score(a := there[key].get(measure.second, math.nan))])
    means = subset_means(values)
    several = len(means) > 1
    return Row(
        *what,
        seeds=tuple(seed for _, seed in keys),
        values=tuple(values.values()),
        mean=mean(means) if several else mean(list(values.values())),
        sd=spread_within(values),
        second=second,
        difference=difference,
        labels=labels,
        subsets=tuple(subset for subset, _ in keys),
        subset_sd=standard_deviation(means) if several else math.nan,
        trained=tuple(int(there[key]["trained_steps"]) for key in keys if "trained_steps" in there[key]),
        at_limit=sum(there[key].get("converged") is False for key in keys),
        residuals=_residuals([there[key] for key in keys], measure),
    )


def _residuals(points: Sequence[Point], measure: Measure) -> tuple[float, ...]:
    found = [point.get(measure.residual) for point in points] if measure.residual else []
    return tuple(math.nan if one is None else float(one) for one in found)


def residual_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the table once more, with residual information in bits a pixel in place of the score.

    Trainings of which it was not measured are left out; differences are to the first initialisation.
    """
    known = {
        (row.mode, row.init, row.labels, row.step): {
            key: {RESIDUAL.key: value}
            for key, value in zip(row.keys, row.residuals or (math.nan,) * len(row.keys), strict=True)
            if math.isfinite(value)
        }
        for row in rows
    }
    found = []
    for row in rows:
        first = known.get((row.mode, rows[0].init, row.labels, row.step), {})
        other = None if row.init == rows[0].init else first
        there = known[row.mode, row.init, row.labels, row.step]
        found.append(_row((row.mode, row.init, row.step), row.labels, there, other, RESIDUAL))
    return found


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


def headline_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that sentences are about: at the headline points of their number of labels."""
    points: dict[int | None, set[int]] = {}
    for row in rows:
        points.setdefault(row.labels, set()).add(row.step)
    chosen = {labels: headline_points(sorted(steps)) for labels, steps in points.items()}
    return [row for row in rows if row.step in chosen[row.labels]]


def last_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows at the end of the trainings."""
    last = last_steps(rows)
    return [row for row in rows if row.step == last[row.labels]]


def last_steps(rows: Sequence[Row]) -> dict[int | None, int]:
    """Return the last step of each number of labels."""
    last: dict[int | None, int] = {}
    for row in rows:
        last[row.labels] = max(row.step, last.get(row.labels, 0))
    return last


def with_most_labels(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the largest number of labels."""
    most = max((row.labels or 0 for row in rows), default=0)
    return [row for row in rows if (row.labels or 0) == most]


def row_as_dict(row: Row) -> dict[str, Any]:
    """Return a row for JSON."""
    content = asdict(row)
    if row.difference is not None:
        content["difference"]["verdict"] = row.difference.verdict
    return content


_MAY_BE_NAN = ("mean", "sd", "second", "subset_sd")
_EARLIER = {"pixel_accuracy": "second"}
"""Names that earlier versions wrote."""


def difference_from_dict(content: dict[str, Any]) -> PairedDifference:
    """Return the difference that was written with its verdict."""
    fields = {name: value for name, value in content.items() if name != "verdict"}
    tuples = {n: tuple(v) for n, v in fields.items() if isinstance(v, list)}
    return PairedDifference(**{**fields, **tuples})


def row_from_dict(content: dict[str, Any]) -> Row:
    """Return the row that ``row_as_dict`` wrote."""
    content = {_EARLIER.get(name, name): value for name, value in content.items()}
    difference = content["difference"]
    if difference is not None:
        difference = difference_from_dict(difference)
    kept = {name: value for name, value in content.items() if name not in ("step", "iteration")}
    return Row(
        **{
            **kept,
            "step": step_of(content),
            "seeds": tuple(content["seeds"]),
            "values": tuple(content["values"]),
            **{name: tuple(content.get(name, ())) for name in ("subsets", "trained")},
            "residuals": tuple(math.nan if one is None else one for one in content.get("residuals", ())),
            **{name: math.nan if content.get(name) is None else content[name] for name in _MAY_BE_NAN},
            "difference": difference,
        }
    )
