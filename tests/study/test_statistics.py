from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from geopretrain.errors import ConfigError
from geopretrain.study.statistics import mean, paired_difference, standard_deviation


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
