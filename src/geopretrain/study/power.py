"""What a comparison can tell: p-values, Holm's correction, the smallest difference, seeds for less."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.statistics import PairedDifference
from geopretrain.study.summary import Row, headline_rows

POWER = 0.8
"""Chance that a difference is told, for which the smallest one is named."""
QUANTILES = 4000
"""Of the spread, that chances are averaged over."""
MAX_NEEDED = 1000
"""Trainings up to which it is said how many a difference needs."""
ROUND = (1, 2, 5)
"""First digits of the differences for which that is said."""


@dataclass(frozen=True)
class _Error:
    """Standard error of a mean difference, and its degrees of freedom."""

    size: float
    free: float


def p_value(difference: PairedDifference) -> float | None:
    """Return the chance of so large a difference, in either direction, where there is none (Student's t).

    None where the seeds do not differ: then there is no spread to hold it against.
    """
    from scipy.stats import t

    if (error := _error(difference)) is None:
        return None
    return float(2 * t.sf(abs(difference.mean) / error.size, error.free))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in their order (Holm, Scand. J. Statistics 1979).

    Where those up to a level count as told, the chance of one false among all is at most that level.
    """
    order = sorted(range(len(values)), key=lambda k: values[k])
    corrected, highest = [0.0] * len(values), 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[k]))
        corrected[k] = highest
    return corrected


def smallest_told(difference: PairedDifference, power: float = POWER) -> float | None:
    """Return the smallest true difference whose interval would exclude zero with a chance of ``power``.

    Of a two-sided paired t-test with the spread that was found (Cohen, Statistical Power Analysis, 1988).
    None where the seeds do not differ.
    """
    error = _error(difference)
    return None if error is None else error.size * _noncentrality(error.free, difference.level, power)


def seeds_needed(difference: PairedDifference, effect: float, power: float = POWER) -> int | None:
    """Return how many trainings a true difference needs to be told with a chance of ``power``.

    The inverse of `smallest_told`: pairs of the same spread, of a two-sided paired t-test. What is counted is
    what the interval is over: seeds, all trainings, or sets of labelled images with as many seeds each.

    Args:
        difference: whose spread is taken.
        effect: the true difference, in either direction.
        power: the chance.

    Returns:
        At least 2; None above 1000, where the seeds do not differ, and where what they do alike in every set
        counts, too: more sets alone would not help as much then.
    """
    error, count = _error(difference), _pairs(difference)
    if error is None or error.free != count - 1:
        return None
    spread = error.size * math.sqrt(count)

    def is_told(pairs: int) -> bool:
        return spread / math.sqrt(pairs) * _noncentrality(pairs - 1, difference.level, power) <= abs(effect)

    enough = range(2, MAX_NEEDED + 1)
    found = bisect_left(enough, 1, key=is_told)
    return enough[found] if found < len(enough) else None


def _pairs(difference: PairedDifference) -> int:
    """Return how many values the interval is over."""
    return len(difference.by_subset if difference.over == "subsets" else difference.values)


def _error(difference: PairedDifference) -> _Error | None:
    from scipy.stats import t

    if not difference.has_interval:
        return None
    half = (difference.high - difference.low) / 2
    free = difference.degrees_of_freedom
    return _Error(half / float(t.ppf(0.5 + difference.level / 2, free)), free)


def _noncentrality(free: float, level: float, power: float) -> float:
    """Return the true difference, in standard errors, that is told with a chance of ``power``.

    A t value is a normal one over an independent spread: the chance is averaged over quantiles of the spread,
    which also holds where SciPy's noncentral t distribution gives no number (few degrees of freedom).
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.stats import chi2, norm, t

    quantiles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    limits = float(t.ppf(0.5 + level / 2, free)) * np.sqrt(chi2.ppf(quantiles, free) / free)

    def missing(shift: float) -> float:
        return float((norm.sf(limits - shift) + norm.cdf(-limits - shift)).mean()) - power

    return float(brentq(missing, 0.0, limits.max() + 10))


def power_cautions(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """Say which differences are left when all are looked at together, and what size would have been told.

    Args:
        rows: of a comparison; those at the end count.
        measure: the score.
    """
    found: dict[str, PairedDifference] = {}
    last = headline_rows(rows)
    for row in last:
        if row.difference is not None and row.difference.has_interval:
            found[_name(row, last, measure)] = row.difference
    return [*_after_holm(found), *_least(found, measure)]


def _after_holm(differences: Mapping[str, PairedDifference]) -> list[str]:
    told = [name for name, one in differences.items() if one.verdict in ("better", "worse")]
    if len(differences) < 2 or not told:
        return []
    corrected = holm([p_value(one) or 0.0 for one in differences.values()])
    beyond = dict(zip(differences, corrected, strict=True))
    lost = [name for name in told if beyond[name] > 1 - differences[name].level]
    together = f"Of the {len(differences)} differences at the end, looked at together (Holm's correction)"
    if not lost:
        return [f"{together}, every one that is told remains."]
    return [f"{together}, told are no more: {', '.join(lost)}."]


def _least(differences: Mapping[str, PairedDifference], measure: Measure) -> list[str]:
    unclear = {name: one for name, one in differences.items() if one.verdict == "unclear"}
    parts = [
        f"{name} {measure.show(least)}"
        for name, one in unclear.items()
        if (least := smallest_told(one)) is not None
    ]
    if not parts:
        return []
    unit = f"points of {measure.name}" if measure.percent else measure.name
    return [
        "Where no difference could be told, one of this size would have been in four of five such "
        f"comparisons ({unit}): {', '.join(parts)}. {_for_less(unclear, measure)}"
    ]


def _for_less(unclear: Mapping[str, PairedDifference], measure: Measure) -> str:
    """Say how many trainings a smaller difference would need, a round one below what was told of any.

    Not the one that was measured: where nothing could be told, that is mostly chance.
    """
    least = min(found for one in unclear.values() if (found := smallest_told(one)) is not None)
    shown = _round_below(measure.scale * least)
    needs = [f"{name} {_needed(one, shown / measure.scale)}" for name, one in unclear.items()]
    unit = f" point{'s' * (shown != 1)}" if measure.percent else ""
    return f"To tell one of {shown:g}{unit} as surely, it would take about: {', '.join(needs)}."


def _needed(difference: PairedDifference, effect: float) -> str:
    count = seeds_needed(difference, effect)
    what = {"seeds": "seeds", "pairs": "trainings", "subsets": "sets of labels"}[difference.over]
    if count is None and difference.degrees_of_freedom != _pairs(difference) - 1:
        return "more sets of labels and more seeds"
    return f"{count or f'more than {MAX_NEEDED}'} {what}"


def _round_below(value: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20 ... and of their tenths that is smaller than a number."""
    power = math.floor(math.log10(value))
    steps = [digit * 10.0**k for k in (power - 1, power) for digit in ROUND]
    return max(step for step in steps if step < value)


def _name(row: Row, rows: Sequence[Row], measure: Measure) -> str:
    """Return what tells a row from the others."""
    more = [row.mode] if len({one.mode for one in rows}) > 1 else []
    more += [measure.counted(row.labels)] if len({one.labels for one in rows}) > 1 else []
    return f"{row.init} ({', '.join(more)})" if more else row.init
