"""Whether a comparison can tell what it is asked: is its budget long enough, do all of its classes count?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.statistics import mean
from geopretrain.study.summary import Row

STILL_MOVES = 0.05
"""Improvement over the second half of the steps, relative to the score at the end, that is no end yet."""
NAMED = 4
"""Initialisations that are named one by one."""
AT_ZERO = 0.005
"""Score of a class below which nothing of it is found."""
Names = Sequence[str]


def budget_cautions(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """Return a sentence for each mode in which trainings still improve at the end of their steps.

    An initialisation does where each of its seeds has become better since half of the steps, by 5 % of the
    score together; without a point of the curve near half of them nothing is known.
    """
    said = []
    for mode in dict.fromkeys(row.mode for row in rows):
        own = [row for row in rows if row.mode == mode]
        last = max(row.step for row in own)
        half = min((row.step for row in own), key=lambda step: abs(step - last / 2))
        if not last / 4 <= half <= 3 * last / 4:
            continue
        at = {(row.init, row.step): row for row in own}
        gains = {init: _gain(at[init, half], at[init, last], measure) for init, step in at if step == last}
        if moving := {init: gain for init, gain in gains.items() if gain is not None}:
            said.append(
                f"Mode {mode}: from step {half} to the last, {last}, every training of "
                f"{_moving(moving, len(gains), measure)} became "
                "better. Such scores measure how fast something fits as much as what it is worth: the budget "
                "is too short to rank them. More --steps tell what they end at."
            )
    return said


def _moving(gains: Mapping[str, float], among: int, measure: Measure) -> str:
    """Name the initialisations that go on, each with its gain; many of them by the least and the largest."""
    if len(gains) <= NAMED:
        return ", ".join(f"{init} ({measure.shift_of(gain)})" for init, gain in gains.items())
    least, largest = sorted(gains.values(), key=abs)[:: len(gains) - 1]
    return f"{len(gains)} of {among} initialisations ({measure.shift(least)} to {measure.shift_of(largest)})"


def _gain(half: Row, last: Row, measure: Measure) -> float | None:
    """Return the mean change between two points where it goes on, None where it does not."""
    before, after = (dict(zip(row.seeds, row.values, strict=True)) for row in (half, last))
    changes = [after[seed] - before[seed] for seed in after if seed in before]
    better = [change < 0 if measure.lower else change > 0 for change in changes]
    if not changes or not all(better):
        return None
    change = mean(changes)
    return change if abs(change) > STILL_MOVES * abs(last.mean) else None


def class_cautions(
    per_class: Mapping[str, Mapping[str, Sequence[float | None]]], names: Names, measure: Measure = MIOU
) -> list[str]:
    """Return a sentence for each mode in which classes stand at 0 whatever the initialisation.

    Args:
        per_class: mean score of each class at the end, by mode and initialisation.
        names: of the classes.
        measure: the score.
    """
    said = []
    for mode, scores in per_class.items():
        columns = list(zip(names, *scores.values(), strict=True)) if names else []
        known = [(name, [one for one in values if one is not None]) for name, *values in columns]
        known = [(name, values) for name, values in known if values]
        silent = [name for name, values in known if max(values) < AT_ZERO]
        if silent:
            said.append(
                f"Mode {mode}: {', '.join(silent)} ({len(silent)} of {len(known)} classes) stand at 0 "
                f"whatever the initialisation: {measure.name} is decided by the others. A larger "
                "--size, more --labels or more --steps may bring them to life."
            )
    return said
