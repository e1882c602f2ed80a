"""What an initialisation saves: by hand, and on scores whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geopretrain.study.bootstrap import bootstrap_interval, resampled
from geopretrain.study.efficiency import (
    efficiency,
    label_savings,
    labels_needed,
    step_savings,
    steps_to_reach,
)
from geopretrain.study.instrument import label_cautions
from geopretrain.study.measures import ABS_REL
from geopretrain.study.summary import summarise

COUNTS = (4, 16, 64)


def trials(gain, *, seeds=4, subsets=6, noise=0.004, sign=1, key="miou", second="pixel_accuracy"):
    """Scores that rise by 0.05 with each doubling of the labels; ``deep`` has ``gain`` times the labels."""
    generator, found = np.random.default_rng(0), []
    for labels in COUNTS:
        for subset in range(subsets):
            of_subset = generator.normal(0, noise)
            for seed in range(seeds):
                for init, worth in (("plain", 1.0), ("deep", gain)):
                    end = 0.2 + 0.05 * math.log2(labels * worth) + of_subset + generator.normal(0, noise)
                    curve = [
                        {"step": step, key: sign * end * part, second: 0.5}
                        for step, part in ((50, 0.5), (100, 1.0))
                    ]
                    one = {"init": init, "mode": "full", "seed": seed, "labels": labels, "subset": subset}
                    found.append({**one, "curve": curve})
    return found


def rows(gain, **more):
    return summarise(trials(gain, **more), ["plain", "deep"], ["full"])


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [(0.1, 0), (0.2, 0), (0.25, 8), (0.3, 16), (0.5, 32), (0.7, 64), (0.71, math.inf)],
)
def test_labels_between_those_tried_are_read_off_the_curve_over_their_logarithm(wanted, needed):
    assert labels_needed((4, 16, 64), (0.2, 0.3, 0.7), wanted) == pytest.approx(needed)


@pytest.mark.parametrize(
    ("wanted", "step"), [(0.05, 10), (0.1, 10), (0.2, 15), (0.3, 20), (0.35, 35), (0.5, None)]
)
def test_the_step_that_reaches_a_score_is_the_first_one(wanted, step):
    curve = [(10, 0.1), (20, 0.3), (30, 0.25), (40, 0.45)]
    found = steps_to_reach(curve, wanted)
    assert found == (None if step is None else pytest.approx(step))


def test_an_initialisation_that_is_worth_twice_the_labels_saves_half():
    savings = {one.labels: one for one in label_savings(rows(2.0))}
    assert list(savings) == list(COUNTS)
    for labels in (4, 16):
        assert savings[labels].needed == pytest.approx(2 * labels, rel=0.1)
        assert savings[labels].low < 2 * labels < savings[labels].high
        assert savings[labels].low > labels
    assert math.isinf(savings[64].needed)
    assert "is worth more than the 64 labels of plain" in savings[64].sentence
    assert "With 16 labels and all layers trained, deep is worth 3" in savings[16].sentence
    assert "6 sets of labels and their seeds, so few" in savings[16].sentence
    assert "(95 % interval more than 64; bootstrap" in savings[64].sentence, "both ends are the same"


def test_an_initialisation_that_is_worth_less_is_said_to_be():
    savings = {one.labels: one for one in label_savings(rows(0.5))}
    assert savings[4].needed == 0
    assert "no more than the 4 labels of plain" in savings[4].sentence
    assert savings[64].needed == pytest.approx(32, rel=0.1)


def test_errors_are_better_when_lower():
    lower = trials(2.0, sign=-1, key="abs_rel", second="rmse")
    for one in lower:
        for point in one["curve"]:
            point["abs_rel"] += 2
    found = label_savings(summarise(lower, ["plain", "deep"], ["full"], ABS_REL), ABS_REL)
    assert found[1].needed == pytest.approx(32, rel=0.1)


def test_nothing_is_claimed_where_more_labels_do_not_help_the_first():
    falling = trials(2.0)
    for one in falling:
        for point in one["curve"]:
            point["miou"] = 0.7 - point["miou"]
    assert label_savings(summarise(falling, ["plain", "deep"], ["full"])) == []


def test_nothing_is_claimed_where_chance_may_be_what_more_labels_give():
    """The mean rises by 0.004 from 4 to 64 labels, single trainings move by ten times that."""
    flat = trials(1.0, seeds=2, subsets=1)
    for one in flat:
        rising, chance = COUNTS.index(one["labels"]), 0.02 * (-1) ** (one["seed"] + (one["labels"] == 64))
        one["curve"][-1]["miou"] = 0.4 + 0.002 * rising + chance
    found = summarise(flat, ["plain", "deep"], ["full"])
    assert label_savings(found) == []
    assert "whether more labels make plain better could not be told" in label_cautions(found)[0]


def test_the_one_set_of_all_labels_stands_beside_every_set_of_fewer():
    found = [one for one in trials(2.0) if one["labels"] < 64 or one["subset"] == 0]
    savings = {one.labels: one for one in label_savings(summarise(found, ["plain", "deep"], ["full"]))}
    assert list(savings) == list(COUNTS)
    assert "6 sets of labels and their seeds" in savings[16].sentence
    assert savings[16].needed == pytest.approx(32, rel=0.1)


def test_steps_are_counted_training_by_training():
    found = {one.labels: one for one in step_savings(rows(4.0, noise=0.0))}
    for labels, one in found.items():
        plain, deep = (0.2 + 0.05 * math.log2(labels * worth) for worth in (1, 4))
        expected = 50 + 50 * (plain - deep / 2) / (deep / 2)
        assert one.steps == pytest.approx([expected] * 24)
        assert f"24 of 24 trainings of deep come to where plain ends, after {round(expected)}" in one.sentence
    never = step_savings(rows(0.5, noise=0.0))[0]
    assert set(never.steps) == {None}
    assert (
        never.sentence == "All layers trained, 4 labels: 0 of 24 trainings of deep come to where plain ends."
    )


def test_what_is_written_has_no_infinity():
    written = efficiency(rows(2.0))
    assert {one["labels"] for one in written} == set(COUNTS)
    assert all(value != math.inf for one in written for value in one.values() if isinstance(value, float))


def test_draws_keep_together_what_shares_an_early_stage():
    keys = [(subset, seed) for subset in range(5) for seed in range(3)]
    drawn = resampled(keys, np.random.default_rng(1))
    assert len(drawn) == len(keys)
    sizes = [sum(1 for key in drawn if key[0] == subset) for subset in range(5)]
    assert all(size % 3 == 0 for size in sizes)
    assert 0 in sizes  # five of five with replacement miss one almost always


@pytest.mark.parametrize("stage", [0, 1])
def test_the_interval_has_the_width_of_what_varies(stage):
    """Of 40 sets with 10 seeds each: the error of a mean over 40 sets, or over 400 trainings."""
    generator = np.random.default_rng(2)
    of_sets, of_all = generator.normal(size=40), generator.normal(size=(40, 10))
    value = {(k, n): float((of_sets[k], of_all[k, n])[stage]) for k in range(40) for n in range(10)}

    def mean(keys):
        return float(np.mean([value[key] for key in keys]))

    low, high = bootstrap_interval(list(value), mean, resamples=800)
    expected = 2 * 1.96 / math.sqrt(40 if stage == 0 else 400)
    assert (high - low) / expected == pytest.approx(1, abs=0.5 if stage else 0.25)
    assert bootstrap_interval(list(value), mean, resamples=800) == (low, high)
