"""P-values, Holm's correction, and the smallest difference that would be told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from geopretrain.study.measures import ABS_REL
from geopretrain.study.power import holm, p_value, power_cautions, seeds_needed, smallest_told
from geopretrain.study.statistics import difference_by_subset, paired_difference
from geopretrain.study.summary import Row

SEEDS = [0.10, 0.14, 0.09, 0.20, 0.12]
BASE = [0.08, 0.11, 0.10, 0.15, 0.10]


def with_spread(mean, sd, count):
    """A difference of ``count`` seeds with this mean and standard deviation."""
    values = np.linspace(-1, 1, count)
    return paired_difference(list(mean + sd * values / values.std(ddof=1)), [0.0] * count)


def row(init, difference, **more):
    fields = {
        "mode": "full",
        "seeds": (0, 1),
        "values": (0.1, 0.2),
        "mean": 0.15,
        "sd": 0.07,
        "second": 0.5,
        "step": 9,
    }
    return Row(**{**fields, **{"init": init, "difference": difference, **more}})


def test_p_values_are_those_of_the_paired_t_test():
    assert p_value(paired_difference(SEEDS, BASE)) == pytest.approx(stats.ttest_rel(SEEDS, BASE).pvalue)
    assert p_value(paired_difference([0.1, 0.2], [0.0, 0.1])) is None, "the same with every seed"


def test_p_values_over_subsets_are_those_of_their_interval():
    rng = np.random.default_rng(1)
    keys = [(subset, seed) for subset in range(4) for seed in range(3)]
    lift = dict(zip(range(4), rng.normal(0.02, 0.02, 4), strict=True))
    values = {key: lift[key[0]] + rng.normal(0, 0.004) for key in keys}
    found = difference_by_subset(values, dict.fromkeys(keys, 0.0))
    assert found.over == "subsets"
    p = p_value(found)
    # the interval whose coverage is 1 - p ends at zero
    half = stats.t.ppf(1 - p / 2, found.free) * (found.high - found.low) / 2 / stats.t.ppf(0.975, found.free)
    assert abs(found.mean) == pytest.approx(half)
    earlier = dataclasses.replace(found, free=None)
    assert earlier.degrees_of_freedom == 3


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_numbers_of_the_textbook():
    """Cohen: an effect of half a standard deviation needs 34 pairs, one of 0.8 needs 15."""
    for effect, pairs in ((0.5, 34), (0.8, 15)):
        assert smallest_told(with_spread(0.0, 1.0, pairs)) <= effect
        assert smallest_told(with_spread(0.0, 1.0, pairs - 1)) > effect
    assert smallest_told(paired_difference([0.1, 0.2], [0.0, 0.1])) is None


@pytest.mark.parametrize("count", [2, 3, 5, 40])
def test_two_seeds_and_more_have_a_number(count):
    least = smallest_told(with_spread(0.0, 1.0, count)) * np.sqrt(count)
    limit = stats.t.ppf(0.975, count - 1)
    draws = np.random.default_rng(3).normal(least, 1.0, 100_000)
    spread = np.sqrt(np.random.default_rng(4).chisquare(count - 1, 100_000) / (count - 1))
    assert np.mean(np.abs(draws / spread) > limit) == pytest.approx(0.8, abs=0.01)


def test_what_is_told_of_that_size_is_told_in_four_of_five():
    least, count = smallest_told(with_spread(0.0, 1.0, 6)), 6
    draws = np.random.default_rng(0).normal(least, 1.0, (20_000, count))
    told = stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05
    assert told.mean() == pytest.approx(0.8, abs=0.012)


def chance(effect, sd, count):
    """Of telling a true difference with so many pairs: SciPy's noncentral t distribution."""
    shift, limit = effect / sd * np.sqrt(count), stats.t.ppf(0.975, count - 1)
    return stats.nct.sf(limit, count - 1, shift) + stats.nct.cdf(-limit, count - 1, shift)


@pytest.mark.parametrize(("effect", "pairs"), [(0.5, 34), (0.8, 15), (1.0, 10), (-1.0, 10)])
def test_seeds_that_a_difference_needs_are_those_of_the_textbook(effect, pairs):
    """Cohen's tables, whatever the number of seeds whose spread is taken."""
    assert chance(abs(effect), 1.0, pairs) >= 0.8 > chance(abs(effect), 1.0, pairs - 1)
    for count in (5, 12):
        assert seeds_needed(with_spread(0.3, 1.0, count), effect) == pairs


def test_seeds_needed_and_the_smallest_difference_are_inverse():
    for count in (2, 3, 7, 20):
        found = with_spread(0.0, 0.01, count)
        least = smallest_told(found)
        assert seeds_needed(found, 1.001 * least) == count
        assert seeds_needed(found, 0.999 * least) == count + 1


def test_seeds_needed_where_nothing_can_be_said():
    assert seeds_needed(with_spread(0.0, 1.0, 5), 0.01) is None, "more than anybody trains"
    assert seeds_needed(paired_difference([0.1, 0.2], [0.0, 0.1]), 0.1) is None, "no spread"
    over = dataclasses.replace(with_spread(0.0, 1.0, 8), over="subsets", by_subset=(0.1,) * 4, free=2.2)
    assert seeds_needed(over, 1.0) is None, "what seeds do alike in each set does not fall with more sets"
    assert seeds_needed(dataclasses.replace(over, free=3.0), 1.0) is not None


def test_what_a_smaller_difference_needs_is_said():
    rows = [row("imagenet", None), row("a", with_spread(0.0, 0.01, 6)), row("b", with_spread(0.0, 0.02, 6))]
    (least,) = power_cautions(rows)
    # 1.4 points are told with a; 1 point is one spread of a and half of that of b
    assert least.endswith("To tell one of 1 point as surely, it would take about: a 10 seeds, b 34 seeds.")
    (errors,) = power_cautions([row("random", None), row("a", with_spread(0.0, 0.01, 6))], ABS_REL)
    assert errors.endswith("To tell one of 0.01 as surely, it would take about: a 10 seeds.")


def test_differences_are_looked_at_together():
    clear, barely = with_spread(0.05, 0.01, 6), with_spread(0.012, 0.01, 6)
    unclear = with_spread(0.0, 0.01, 6)
    assert barely.verdict == "better"
    rows = [row("imagenet", None), row("a", clear), row("b", barely), row("c", unclear)]
    holm_says, least = power_cautions(rows)
    assert holm_says.endswith("told are no more: b.")
    assert f"points of mIoU): c {100 * smallest_told(unclear):.1f}. To" in least
    assert "remains" in power_cautions([*rows[:2], rows[3]])[0]


def test_nothing_is_said_where_there_is_nothing_to_say():
    assert power_cautions([row("imagenet", None)]) == []
    assert power_cautions([row("imagenet", None), row("a", with_spread(0.05, 0.01, 6))]) == []


def test_rows_of_several_modes_are_told_apart():
    rows = [row(name, with_spread(0.0, 0.01, 4), mode=mode) for name in "ab" for mode in ("full", "frozen")]
    (least,) = power_cautions(rows)
    assert "a (full)" in least
    assert "b (frozen)" in least
