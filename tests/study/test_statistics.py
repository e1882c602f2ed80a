from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from geopretrain.errors import ConfigError
from geopretrain.study.statistics import (
    difference_by_subset,
    interval_of_mean,
    interval_over_subsets,
    mean,
    paired_difference,
    spread_within,
    standard_deviation,
)


def test_mean_and_standard_deviation_by_hand():
    assert mean([1.0, 2.0, 6.0]) == 3.0
    assert standard_deviation([1.0, 2.0, 6.0]) == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert math.isnan(standard_deviation([5.0]))


def test_interval_of_five_values_uses_the_tabulated_quantile():
    result = paired_difference([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)  # sd = sqrt(2.5); t(0.975, 4) = 2.776
    half = 2.7764451 * math.sqrt(2.5) / math.sqrt(5)
    assert (result.low, result.high) == pytest.approx((3 - half, 3 + half), rel=1e-6)


SCORES = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=8))
def test_the_interval_is_that_of_student(pairs):
    """t(level, n - 1) * sd / sqrt(n) on both sides of the mean, for any scores, equal ones included."""
    values, baseline = zip(*pairs, strict=True)
    result = paired_difference(values, baseline)
    half = float(t.ppf(0.975, len(pairs) - 1)) * result.sd / math.sqrt(len(pairs))
    assert (result.low, result.high) == pytest.approx((result.mean - half, result.mean + half), abs=1e-12)


def test_paired_difference_by_hand():
    result = paired_difference([3.0, 5.0, 7.0], [2.0, 3.0, 4.0])
    assert result.values == (1.0, 2.0, 3.0)
    assert result.mean == 2.0
    assert result.sd == 1.0
    half = 4.3026527 / math.sqrt(3)  # t(0.975, 2) = 4.303
    assert (result.low, result.high) == pytest.approx((2.0 - half, 2.0 + half), rel=1e-6)
    assert result.verdict == "unclear"


def test_pairing_finds_what_the_spread_of_seeds_hides():
    baseline = [10.0, 20.0, 30.0, 40.0, 50.0]
    result = paired_difference([value + 1 + 0.01 * k for k, value in enumerate(baseline)], baseline)
    assert result.verdict == "better"
    assert paired_difference(baseline, [value + 1 + 0.01 * value for value in baseline]).verdict == "worse"


@pytest.mark.parametrize(
    ("values", "baseline"),
    [
        ([1.0, 2.0], [1.0, 2.0]),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        ([1.5, 2.5], [1.0, 2.0]),  # the same difference for both seeds
        ([0.25, 0.35, 0.45], [0.3, 0.4, 0.5]),  # the same but for rounding
        ([0.3, 0.3 + 1e-9], [0.2, 0.2]),
        ([30.0, 40.0 + 1e-6], [20.0, 30.0]),
    ],
)
def test_seeds_that_do_not_differ_say_nothing_of_chance(values, baseline):
    result = paired_difference(values, baseline)
    assert result.verdict == "no spread"
    assert not result.has_interval


def test_seeds_that_differ_a_little_have_an_interval():
    assert paired_difference([0.30, 0.3001], [0.20, 0.20]).verdict == "better"


@pytest.mark.parametrize(("values", "baseline"), [([1.0], [2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0]), ([], [])])
def test_too_few_or_unequal_seeds_are_refused(values, baseline):
    with pytest.raises(ConfigError, match="two or more seeds"):
        paired_difference(values, baseline)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, None, "0.5", True, [0.5], {}])
def test_what_is_no_score_is_refused(wrong):
    with pytest.raises(ConfigError, match="must be finite numbers"):
        paired_difference([0.5, wrong], [0.5, 0.6])
    with pytest.raises(ConfigError):
        paired_difference(wrong, [0.5, 0.6])
    with pytest.raises(ConfigError, match="level must be"):
        paired_difference([0.5, 0.6], [0.5, 0.7], wrong)


def keyed(*subsets):
    """Return values by (subset, seed)."""
    return {(subset, seed): v for subset, values in enumerate(subsets) for seed, v in enumerate(values)}


def test_interval_over_three_subsets_by_hand():
    values, zero = keyed([1.0, 3.0], [4.0, 6.0], [7.0, 9.0]), keyed([0.0] * 2, [0.0] * 2, [0.0] * 2)
    found = difference_by_subset(values, zero)
    assert found.by_subset == (2.0, 5.0, 8.0)
    half = 4.3026527 * 3.0 / math.sqrt(3)  # sd of 2, 5, 8 is 3; t(0.975, 2) = 4.303
    assert (found.mean, found.low, found.high) == pytest.approx((5.0, 5 - half, 5 + half), rel=1e-6)
    half = 2.5705818 * math.sqrt(42 / 5) / math.sqrt(6)  # squares 16 4 1 1 4 16; t(0.975, 5) = 2.571
    assert found.pooled == pytest.approx((5 - half, 5 + half), rel=1e-6)
    assert found.over == "subsets"
    assert found.verdict == "unclear"
    assert difference_by_subset(values, zero, over_subsets=False).verdict == "better"


def test_two_subsets_are_too_few_for_an_interval_over_them():
    values, zero = keyed([1.0, 3.0], [4.0, 6.0]), keyed([0.0] * 2, [0.0] * 2)
    found = difference_by_subset(values, zero)
    assert found.over == "pairs"
    assert found.by_subset == (2.0, 5.0)
    assert (found.low, found.high) == (
        paired_difference([1.0, 3.0, 4.0, 6.0], [0.0] * 4).low,
        paired_difference([1.0, 3.0, 4.0, 6.0], [0.0] * 4).high,
    )


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=6))
def test_one_subset_is_the_paired_t_test(pairs):
    sides = [keyed([pair[k] for pair in pairs]) for k in (0, 1)]
    assert difference_by_subset(*sides) == paired_difference(*zip(*pairs, strict=True))


def test_a_subset_with_fewer_trainings_counts_as_much_as_the_others():
    values = keyed([1.0, 3.0, 5.0], [4.0, 6.0, 8.0], [7.0, 9.0, 11.0])
    zero = {key: 0.0 for key in values if key not in ((0, 1), (0, 2))}
    found = difference_by_subset(values, zero)
    assert found.by_subset == (1.0, 6.0, 9.0)
    assert found.mean == pytest.approx(16 / 3)
    assert len(found.values) == 7
    assert difference_by_subset({(0, 0): 1.0}, {(0, 0): 2.0}) is None
    assert difference_by_subset(values, {(9, 9): 1.0}) is None


def test_seeds_that_do_alike_with_every_set_count_as_seeds():
    """Sets that do not matter leave the interval over the seeds: 1, 2, 6 with sd sqrt(7)."""
    zero = keyed(*[[0.0] * 3] * 3)
    found = difference_by_subset(keyed(*[[1.0, 2.0, 6.0]] * 3), zero)
    half = 4.3026527 * math.sqrt(7) / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-6)
    equal = difference_by_subset(keyed(*[[2.0, 2.0, 2.0]] * 3), zero)
    assert not equal.has_interval
    assert equal.verdict == "no spread"


def test_two_crossed_effects_by_hand():
    """Sets add 0, 3, 6 and seeds, too: A = B = 27, E = 0, variance 54 / 9 = 6, 54^2 / (2 * 27^2 / 2) = 4."""
    values = keyed([0.0, 3.0, 6.0], [3.0, 6.0, 9.0], [6.0, 9.0, 12.0])
    low, high = interval_over_subsets(values)
    half = 2.7764451 * math.sqrt(6)  # t(0.975, 4) = 2.776, less than 4.303 * sqrt(3), over sets alone
    assert half < 4.3026527 * math.sqrt(3)
    assert (low, high) == pytest.approx((6 - 4.3026527 * math.sqrt(3), 6 + 4.3026527 * math.sqrt(3)))
    more = {(subset, seed): v + 2 * seed for (subset, seed), v in values.items()}  # B = 9 * 25 / 3 = 75
    half = t.ppf(0.975, 102**2 / (27**2 / 2 + 75**2 / 2)) * math.sqrt(102 / 9)
    low, high = interval_over_subsets(more)
    assert (high - low) / 2 == pytest.approx(half)


@pytest.mark.parametrize("spreads", [(1.0, 0.0, 0.5), (0.0, 1.0, 0.5), (1.0, 1.0, 0.5), (0.0, 0.0, 1.0)])
def test_intervals_cover_what_they_promise(spreads):
    """Of sets and seeds drawn by chance, whichever of them matters, 95 in 100 intervals hold the truth."""
    sets, seeds, rest = spreads
    random = np.random.default_rng(0)
    held = 0
    for _ in range(600):
        table = random.normal(0, sets, (4, 1)) + random.normal(0, seeds, 5) + random.normal(0, rest, (4, 5))
        low, high = interval_over_subsets(keyed(*table.tolist()))
        held += low <= 0 <= high
    assert held / 600 > 0.925


def test_spread_within_subsets_by_hand():
    # squares 1 + 1 and 4 + 4 with 1 + 1 degrees of freedom: sqrt(10 / 2)
    assert spread_within(keyed([1.0, 3.0], [10.0, 14.0])) == pytest.approx(math.sqrt(5))
    assert spread_within(keyed([1.0, 2.0, 6.0])) == standard_deviation([1.0, 2.0, 6.0])
    assert math.isnan(spread_within(keyed([1.0], [2.0])))
    assert math.isnan(spread_within({}))


def test_interval_of_a_mean_by_hand():
    low, high, over = interval_of_mean(keyed([1.0, 3.0], [4.0, 6.0], [7.0, 9.0]))
    assert (low, high) == pytest.approx((5 - 4.3026527 * 3 / math.sqrt(3), 5 + 4.3026527 * 3 / math.sqrt(3)))
    assert over == "subsets"
    low, high, over = interval_of_mean(keyed([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (high - low) / 2 == pytest.approx(2.7764451 * math.sqrt(2.5) / math.sqrt(5))
    assert over == "seeds"
    assert interval_of_mean(keyed([1.0, 2.0], [3.0, 4.0]))[2] == "pairs"
    assert interval_of_mean(keyed([1.0])) is None
