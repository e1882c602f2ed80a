"""Means, spreads and paired differences with t intervals: pure functions on the values of a few seeds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from geopretrain.errors import ConfigError, require
from geopretrain.schema import is_number, plain

LEVEL = 0.95
MIN_SUBSETS = 3
"""Sets of labelled images from which on an interval is over them and not over their trainings."""
Key = tuple[int, int]
"""The set of labelled images and the seed of a training."""
Over = Literal["seeds", "pairs", "subsets"]
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
        over: what the interval is over: ``seeds``, ``subsets`` (their means), or all ``pairs`` of a subset
            and a seed, which says nothing of other subsets.
        by_subset: mean of each subset, where there are several.
        pooled: ends of the interval over all pairs, where that over subsets is the interval.
        free: degrees of freedom of the interval, where they are others than one less than what it is over.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float
    level: float = LEVEL
    lower: bool = False
    over: Over = "seeds"
    by_subset: tuple[float, ...] = ()
    pooled: tuple[float, float] | None = None
    free: float | None = None

    @property
    def degrees_of_freedom(self) -> float:
        """Of the t interval; of files of earlier versions those of its usual form."""
        if self.free is not None:
            return self.free
        return (len(self.by_subset) if self.over == "subsets" else len(self.values)) - 1

    @property
    def has_interval(self) -> bool:
        """Whether the seeds differ at all: equal differences say nothing of how far chance goes."""
        spread = (self.high - self.low) / 2 if self.over == "subsets" else self.sd
        return spread > NO_SPREAD * max(1.0, *(abs(value) for value in self.values))

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


def difference_by_subset(
    values: Mapping[Key, float],
    baseline: Mapping[Key, float],
    level: float = LEVEL,
    *,
    lower: bool = False,
    over_subsets: bool = True,
) -> PairedDifference | None:
    """Difference of trainings paired by set of labelled images and seed; None with fewer than two pairs.

    Trainings that share their labelled images are no independent draws. So with 3 sets or more the interval
    is over sets (see `interval_over_subsets`), and that over all pairs is kept beside it.

    Args:
        values: of one side.
        baseline: of the other side.
        level: coverage of the interval.
        lower: whether less is better, which decides on the verdict.
        over_subsets: False: the interval is over all pairs, however many sets there are.

    Raises:
        ConfigError: a value is no finite number, or the level is not between 0 and 1.
    """
    common = sorted(values.keys() & baseline.keys())
    if len(common) < 2:
        return None
    found = paired_difference(
        [values[key] for key in common], [baseline[key] for key in common], level, lower=lower
    )
    means = subset_means(differences := dict(zip(common, found.values, strict=True)))
    if len(means) < 2:
        return found
    if len(means) < MIN_SUBSETS or not over_subsets:
        return replace(found, over="pairs", by_subset=tuple(means))
    half, free = _half_over_subsets(differences, level)
    return replace(
        found,
        mean=mean(means),
        low=mean(means) - half,
        high=mean(means) + half,
        free=free,
        over="subsets",
        by_subset=tuple(means),
        pooled=(found.low, found.high),
    )


def interval_over_subsets(values: Mapping[Key, float], level: float = LEVEL) -> tuple[float, float]:
    """Return the ends of the interval of a mean over sets of labelled images and seeds, both drawn by chance.

    The t interval of the means of the sets, with sets - 1 degrees of freedom. As the same seeds (new layers)
    are used with every set, what they do alike in all of them is not in it; so where each set has every seed
    the interval of two crossed random effects is computed, too, and the wider one counts: with mean squares A
    of sets, B of seeds and E of the rest the variance of the mean is (A + max(B - E, 0)) / count (Hillis,
    Statistics in Medicine 2007, of readers and cases), and its degrees of freedom are Satterthwaite's.

    Args:
        values: of two sets or more.
        level: coverage of the interval.
    """
    half, _ = _half_over_subsets(values, level)
    centre = mean(subset_means(values))
    return centre - half, centre + half


def _half_over_subsets(values: Mapping[Key, float], level: float) -> tuple[float, float]:
    """Return half the width of `interval_over_subsets`, and its degrees of freedom."""
    from scipy.stats import t

    means, quantile = subset_means(values), 0.5 + level / 2
    errors = [(standard_deviation(means) / math.sqrt(len(means)), len(means) - 1.0)]
    if (variance := _crossed(values)) is not None:
        errors.append((math.sqrt(variance[0]), variance[1]))
    return max((float(t.ppf(quantile, free) * error), free) for error, free in errors)


def _crossed(values: Mapping[Key, float]) -> tuple[float, float] | None:
    """Return variance and degrees of freedom of a mean over two crossed random effects.

    None where not every set has every seed, or seeds tell no more than the rest does.
    """
    sets, seeds = (sorted({key[k] for key in values}) for k in (0, 1))
    count, free = len(sets) * len(seeds), (len(sets) - 1) * (len(seeds) - 1)
    if len(values) < count or not free:
        return None
    centre, of_sets = mean(list(values.values())), subset_means(values)
    of_seeds = [mean([values[one, seed] for one in sets]) for seed in seeds]
    a = len(seeds) * math.fsum((m - centre) ** 2 for m in of_sets) / (len(sets) - 1)
    b = len(sets) * math.fsum((m - centre) ** 2 for m in of_seeds) / (len(seeds) - 1)
    squares = math.fsum((value - centre) ** 2 for value in values.values())
    e = max(0.0, squares - a * (len(sets) - 1) - b * (len(seeds) - 1)) / free
    if b <= e:
        return None
    uncertain = a**2 / (len(sets) - 1) + b**2 / (len(seeds) - 1) + e**2 / free
    return (a + b - e) / count, (a + b - e) ** 2 / uncertain


def interval_of_mean(values: Mapping[Key, float], level: float = LEVEL) -> tuple[float, float, Over] | None:
    """Return the ends of the t interval of a mean, and what it is over; None with fewer than two values.

    With 3 sets of labelled images or more it is `interval_over_subsets`.
    """
    from scipy.stats import t

    count = len({subset for subset, _ in values})
    if len(values) < 2:
        return None
    if count >= MIN_SUBSETS:
        return *interval_over_subsets(values, level), "subsets"
    single = list(values.values())
    half = t.ppf(0.5 + level / 2, len(single) - 1) * standard_deviation(single) / math.sqrt(len(single))
    return mean(single) - float(half), mean(single) + float(half), "pairs" if count > 1 else "seeds"


def subset_means(values: Mapping[Key, float]) -> list[float]:
    """Return the mean of each set of labelled images, in their order."""
    groups: dict[int, list[float]] = {}
    for subset, seed in sorted(values):
        groups.setdefault(subset, []).append(values[subset, seed])
    return [mean(group) for group in groups.values()]


def spread_within(values: Mapping[Key, float]) -> float:
    """Return the standard deviation over seeds within sets of labelled images (n - 1 each); NaN without.

    Of one set it is its standard deviation.
    """
    groups: dict[int, list[float]] = {}
    for subset, seed in sorted(values):
        groups.setdefault(subset, []).append(values[subset, seed])
    if len(groups) == 1:
        return standard_deviation(*groups.values())
    free = sum(len(group) - 1 for group in groups.values())
    squares = [(v - mean(group)) ** 2 for group in groups.values() for v in group]
    return math.sqrt(math.fsum(squares) / free) if free else math.nan


def of_every_set(scores: Mapping[int, Mapping[Key, float]]) -> dict[int, dict[Key, float]]:
    """Return scores by number of labels, the one set of all labels beside each of several sets of fewer."""
    sets = {subset for own in scores.values() for subset, _ in own}
    single = {count for count, own in scores.items() if len({subset for subset, _ in own}) == 1}
    spread = {
        count: {(subset, seed): value for (_, seed), value in scores[count].items() for subset in sets}
        for count in single
    }
    return {count: spread.get(count, dict(own)) for count, own in scores.items()}


def _numbers(name: str, values: Sequence[float]) -> list[float]:
    """Return finite numbers as a list; raises ConfigError where one is none."""
    found = plain(values)
    usable = isinstance(found, list) and all(is_number(value) and math.isfinite(value) for value in found)
    require(usable, name, "finite numbers, one for each seed", found)
    return found
