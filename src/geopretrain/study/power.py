"""What a comparison can tell: p-values, Holm's correction, the smallest difference that would be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.statistics import PairedDifference
from geopretrain.study.summary import Row, headline_rows

POWER = 0.8
"""Chance that a difference is told, for which the smallest one is named."""
QUANTILES = 4000
"""Of the spread, that chances are averaged over."""


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
        f"comparisons ({unit}): {', '.join(parts)}."
    ]


def _name(row: Row, rows: Sequence[Row], measure: Measure) -> str:
    """Return what tells a row from the others."""
    more = [row.mode] if len({one.mode for one in rows}) > 1 else []
    more += [measure.counted(row.labels)] if len({one.labels for one in rows}) > 1 else []
    return f"{row.init} ({', '.join(more)})" if more else row.init
