"""What an initialisation saves: the labels and the steps that the first one needs for the same score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from geopretrain.study.bootstrap import bootstrap_interval
from geopretrain.study.instrument import labels_are_told_to_help
from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.sentences import MODE_WORDS
from geopretrain.study.statistics import Key, mean, of_every_set
from geopretrain.study.summary import Row, last_rows
from geopretrain.wording import counted

ScoresByLabels = Mapping[int, Mapping[Key, float]]
FEW_SETS = 10
"""Sets of labelled images below which a bootstrap over them is known to give intervals that are too short."""


@dataclass(frozen=True)
class Saving:
    """What the first initialisation needs for a score that another one reaches.

    Attributes:
        mode: ``full``, ``encoder`` or ``frozen``.
        init: the other one.
        labels: with so many labels.
        needed: labels of the first one; infinite where the most that were tried do not do, 0 where the
            fewest do more.
        low: lower end of the 95 % interval.
        high: upper end.
        sentence: all of it.
    """

    mode: str
    init: str
    labels: int
    needed: float
    low: float
    high: float
    sentence: str


@dataclass(frozen=True)
class StepSaving:
    """After how many steps another initialisation is where the first one ends.

    Attributes:
        mode: ``full``, ``encoder`` or ``frozen``.
        init: the other one.
        labels: number of labels; None where that is not known.
        steps: of each training; None: it never is.
        last: steps of the trainings.
        sentence: all of it.
    """

    mode: str
    init: str
    labels: int | None
    steps: tuple[float | None, ...]
    last: int
    sentence: str


def labels_needed(counts: Sequence[int], scores: Sequence[float], wanted: float) -> float:
    """Return how many labels give a score, by the curve between what was tried, straight in log(labels).

    Args:
        counts: of labels, ascending.
        scores: of each, more is better.
        wanted: score.

    Returns:
        0 where the fewest reach it; infinity where none do.
    """
    if wanted <= scores[0]:
        return 0.0
    for k in range(1, len(counts)):
        if scores[k] >= wanted:
            part = (wanted - scores[k - 1]) / (scores[k] - scores[k - 1])
            return float(math.exp(math.log(counts[k - 1]) * (1 - part) + math.log(counts[k]) * part))
    return math.inf


def label_savings(rows: Sequence[Row], measure: Measure = MIOU) -> list[Saving]:
    """Return what each initialisation saves in labels at each of their numbers; nothing with one number.

    The interval is a bootstrap over sets of labelled images and their seeds, in which both sides are drawn
    together. Where the first one does not get better with every number of labels, or it cannot be told that
    the most give more than the fewest, nothing is claimed.
    """
    first, last = (rows[0].init if rows else ""), last_rows(rows)
    by_labels: dict[tuple[str, str], dict[int, dict[Key, float]]] = {}
    for row in last:
        if row.labels and row.values:
            signed = {key: -value if measure.lower else value for key, value in row.keyed.items()}
            by_labels.setdefault((row.mode, row.init), {})[row.labels] = signed
    found = []
    by_labels = {what: of_every_set(own) for what, own in by_labels.items()}
    for (mode, init), own in by_labels.items():
        baseline = by_labels.get((mode, first), {})
        if init == first or len(baseline) < 2 or not _rises(baseline):
            continue
        for labels, scores in own.items():
            what = mode, init, labels
            if labels in baseline and (saving := _saving(what, scores, baseline, first, measure)):
                found.append(saving)
    return found


def _rises(baseline: ScoresByLabels) -> bool:
    counts = sorted(baseline)
    means = [_mean(baseline[count], list(baseline[count])) for count in counts]
    rises = all(after > before for before, after in pairwise(means))
    return rises and labels_are_told_to_help(baseline[counts[0]], baseline[counts[-1]])


def _saving(
    what: tuple[str, str, int],
    own: Mapping[Key, float],
    baseline: ScoresByLabels,
    first: str,
    measure: Measure,
) -> Saving | None:
    counts = sorted(baseline)
    common = sorted(set(own).intersection(*(set(scores) for scores in baseline.values())))
    if len(common) < 2:
        return None

    def statistic(keys: list[Key]) -> float:
        curve = [_mean(baseline[count], keys) for count in counts]
        return labels_needed(counts, np.maximum.accumulate(curve).tolist(), _mean(own, keys))

    needed = labels_needed(counts, [_mean(baseline[count], common) for count in counts], _mean(own, common))
    low, high = bootstrap_interval(common, statistic)
    mode, init, labels = what
    sentence = (
        f"With {measure.counted(labels)} and {MODE_WORDS.get(mode, mode)}, {init} is worth "
        f"{_words(needed, counts, measure)} of {first} (95 % interval {_ends(low, high, counts)}; "
        f"bootstrap over {_over(common, measure)})."
    )
    return Saving(mode, init, labels, needed, low, high, sentence)


def _over(common: Sequence[Key], measure: Measure) -> str:
    """Say what is drawn again and again, and what follows where that is little."""
    seeds, sets = len(common), len({subset for subset, _ in common})
    drawn = f"{sets} sets of {measure.learned}s and their seeds" if sets > 1 else counted(seeds, "seed")
    few = (sets if sets > 1 else seeds) < FEW_SETS
    return drawn + (", so few that it is rather longer" if few else "")


def _mean(scores: Mapping[Key, float], keys: Sequence[Key]) -> float:
    """Return the mean of trainings; one that was drawn twice counts twice."""
    return mean([scores[key] for key in keys])


def _words(needed: float, counts: Sequence[int], measure: Measure) -> str:
    if math.isinf(needed):
        return f"more than the {measure.counted(counts[-1])}"
    return measure.counted(round(needed)) if needed else f"no more than the {measure.counted(counts[0])}"


def _ends(low: float, high: float, counts: Sequence[int]) -> str:
    """Write both ends of an interval, once where they are the same."""
    return " to ".join(dict.fromkeys([_end(low, counts), _end(high, counts)]))


def _end(needed: float, counts: Sequence[int]) -> str:
    if math.isinf(needed):
        return f"more than {counts[-1]}"
    return str(round(needed)) if needed else f"at most {counts[0]}"


def steps_to_reach(curve: Sequence[tuple[int, float]], wanted: float) -> float | None:
    """Return after how many steps a curve first reaches a score, straight between its points; None: never.

    Args:
        curve: (step, score), ascending in steps, more is better.
        wanted: score.
    """
    for k, (step, score) in enumerate(curve):
        if score >= wanted:
            if k == 0 or score == curve[k - 1][1]:
                return float(step)
            before, at = curve[k - 1]
            return before + (step - before) * (wanted - at) / (score - at)
    return None


def step_savings(rows: Sequence[Row], measure: Measure = MIOU) -> list[StepSaving]:
    """Return after how many steps each initialisation is where the first one ends, training by training.

    Points of the curve are of one training each, whose learning rate has not come down yet: a training of so
    few steps would be elsewhere.
    """
    curves, first = _curves(rows, measure), (rows[0].init if rows else "")
    found = []
    for (mode, labels, init), own in curves.items():
        ends = {key: curve[-1] for key, curve in curves.get((mode, labels, first), {}).items()}
        common = sorted(own.keys() & ends.keys())
        if init == first or not common or len(own[common[0]]) < 2:
            continue
        steps = tuple(steps_to_reach(own[key], ends[key][1]) for key in common)
        found.append(_step_saving((mode, labels, init), steps, ends[common[0]][0], first, measure))
    return found


Curves = dict[tuple[str, int | None, str], dict[Key, list[tuple[int, float]]]]


def _curves(rows: Sequence[Row], measure: Measure) -> Curves:
    """Return the curve of each training by mode, labels and initialisation; more is better in it."""
    sign, curves = (-1 if measure.lower else 1), Curves()
    for row in sorted(rows, key=lambda row: row.step):
        own = curves.setdefault((row.mode, row.labels, row.init), {})
        for key, value in row.keyed.items():
            own.setdefault(key, []).append((row.step, sign * value))
    return curves


def _step_saving(
    what: tuple[str, int | None, str],
    steps: tuple[float | None, ...],
    last: int,
    first: str,
    measure: Measure,
) -> StepSaving:
    mode, labels, init = what
    reached = [step for step in steps if step is not None]
    with_labels = f", {measure.counted(labels)}" if labels else ""
    where = f"{MODE_WORDS.get(mode, mode)}{with_labels}"
    said = f"{len(reached)} of {counted(len(steps), 'training')} of {init} come to where {first} ends"
    if reached:
        least, middle, most = (round(float(np.quantile(reached, part))) for part in (0, 0.5, 1))
        said += f", after {middle} ({least} to {most}) of {last} steps"
    return StepSaving(mode, init, labels, steps, last, f"{where[0].upper()}{where[1:]}: {said}.")


def efficiency(rows: Sequence[Row], measure: Measure = MIOU) -> list[dict[str, Any]]:
    """Return everything that initialisations save, for JSON; what is infinite there is None."""
    found = [asdict(one) for one in label_savings(rows, measure)]
    found += [asdict(one) for one in step_savings(rows, measure)]
    return [{name: _finite(value) for name, value in one.items()} for one in found]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and math.isinf(value) else value
