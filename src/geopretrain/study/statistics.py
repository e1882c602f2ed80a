"""Means, spreads and paired differences with t intervals: pure functions on the values of a few seeds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from geopretrain.errors import ConfigError

LEVEL = 0.95


@dataclass(frozen=True)
class PairedDifference:
    """Difference of two initialisations trained with the same seeds, and how well it is known.

    Attributes:
        values: one difference per seed.
        mean: their mean.
        sd: their standard deviation (n - 1).
        low: lower end of the t interval of the mean.
        high: upper end.
        level: coverage of the interval, e.g. 0.95.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float
    level: float = LEVEL

    @property
    def verdict(self) -> str:
        """``'better'`` or ``'worse'`` where the interval excludes zero, else ``'unclear'``."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "unclear"


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
    values: Sequence[float], baseline: Sequence[float], level: float = LEVEL
) -> PairedDifference:
    """Difference ``values - baseline``, seed by seed, with the interval of the paired t-test (Student, 1908).

    Pairing takes out what a seed does to both sides (order of the images, flips), so fewer seeds tell more.

    Raises:
        ConfigError: the lengths differ, or there are fewer than two pairs.
    """
    from scipy.stats import ttest_rel

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
        differences, mean(differences), standard_deviation(differences), float(low), float(high), level
    )
