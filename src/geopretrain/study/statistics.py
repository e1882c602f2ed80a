"""Means, spreads and paired differences with t intervals: pure functions on the values of a few seeds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from geopretrain.errors import ConfigError, require
from geopretrain.schema import is_number, plain

LEVEL = 0.95
NO_SPREAD = 1e-6
"""Standard deviation of differences, relative to them or to a score of 1, below which seeds do not differ."""


@dataclass(frozen=True)
class PairedDifference:
    """Difference of two initialisations trained with the same seeds, and how well it is known.

    Attributes:
        values: one difference per seed.
        mean: their mean.
        sd: their standard deviation (n - 1).
        low: lower end of the t interval of the mean.
        high: upper end; the same where all values are, and then it is no interval.
        level: coverage of the interval, e.g. 0.95.
        lower: whether less is better of what differs.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float
    level: float = LEVEL
    lower: bool = False

    @property
    def has_interval(self) -> bool:
        """Whether the seeds differ at all: equal differences say nothing of how far chance goes."""
        return self.sd > NO_SPREAD * max(1.0, *(abs(value) for value in self.values))

    @property
    def verdict(self) -> str:
        """``'better'`` or ``'worse'`` where the interval excludes zero, ``'unclear'``, or ``'no spread'``."""
        if not self.has_interval:
            return "no spread"
        if self.low <= 0 <= self.high:
            return "unclear"
        return "better" if (self.high < 0) == self.lower else "worse"


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN for nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def standard_deviation(values: Sequence[float]) -> float:
    """Spread of a sample (divided by n - 1); NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], level: float = LEVEL, *, lower: bool = False
) -> PairedDifference:
    """Difference ``values - baseline``, seed by seed, with the interval of the paired t-test (Student, 1908).

    Pairing takes out what a seed does to both sides (order of the images, flips), so fewer seeds tell more.

    Args:
        values: of one side, one for each seed.
        baseline: of the other side.
        level: coverage of the interval.
        lower: whether less is better, which decides on the verdict.

    Raises:
        ConfigError: the lengths differ, there are fewer than two pairs, a value is no finite number, or the
            level is not between 0 and 1.
    """
    from scipy.stats import ttest_rel

    values, baseline = _numbers("values", values), _numbers("baseline", baseline)
    require(is_number(level) and 0 < level < 1, "level", "a number between 0 and 1", level)
    if len(values) != len(baseline) or len(values) < 2:
        raise ConfigError(
            f"A paired difference needs the same two or more seeds on both sides, not {len(values)} and "
            f"{len(baseline)}."
        )
    differences = tuple(one - other for one, other in zip(values, baseline, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal differences are a result: no spread at all
        low, high = ttest_rel(values, baseline).confidence_interval(level)
    return PairedDifference(
        differences,
        mean(differences),
        standard_deviation(differences),
        float(low),
        float(high),
        level,
        lower,
    )


def _numbers(name: str, values: Sequence[float]) -> list[float]:
    """Return finite numbers as a list; raises ConfigError where one is none."""
    found = plain(values)
    usable = isinstance(found, list) and all(is_number(value) and math.isfinite(value) for value in found)
    require(usable, name, "finite numbers, one for each seed", found)
    return found
