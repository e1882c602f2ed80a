"""A comparison says where it cannot tell what it is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from geopretrain.study.instrument import (
    budget_cautions,
    class_cautions,
    label_cautions,
    limit_cautions,
    subset_cautions,
)
from geopretrain.study.measures import ABS_REL
from geopretrain.study.summary import summarise

STEPS = (10, 30, 60)


def rows(measure=None, **curves):
    """Return the table of initialisations whose seeds have these scores at 10, 30 and 60 steps."""
    key = "miou" if measure is None else measure.key
    trials = [
        {
            "init": init,
            "mode": "full",
            "seed": seed,
            "curve": [{"step": step, key: value} for step, value in zip(STEPS, values, strict=True)],
        }
        for init, seeds in curves.items()
        for seed, values in enumerate(seeds)
    ]
    return summarise(trials, list(curves), ["full"], *([] if measure is None else [measure]))


def test_trainings_that_still_get_better_are_told():
    (said,) = budget_cautions(
        rows(
            rising=[(0.1, 0.2, 0.25), (0.1, 0.2, 0.23)],
            still=[(0.1, 0.3, 0.301), (0.1, 0.3, 0.302)],
            mixed=[(0.1, 0.2, 0.3), (0.1, 0.2, 0.19)],
        )
    )
    assert "from step 30 to the last, 60, every training of rising (+4.0 points of mIoU) became" in said
    assert "too short" in said


def test_many_are_counted():
    curves = {f"init{k}": [(0.1, 0.2, 0.2 + 0.02 * k)] * 2 for k in range(1, 7)}
    (said,) = budget_cautions(rows(**curves, still=[(0.1, 0.3, 0.3)] * 2))
    assert "6 of 7 initialisations (+2.0 points to +12.0 points of mIoU)" in said


def test_of_errors_less_is_better():
    falling, rising = [(0.5, 0.4, 0.3)] * 2, [(0.3, 0.3, 0.4)] * 2
    (said,) = budget_cautions(rows(ABS_REL, falling=falling, rising=rising), ABS_REL)
    assert "falling (\N{MINUS SIGN}0.100 of AbsRel)" in said
    assert "rising" not in said


@pytest.mark.parametrize("values", [(0.1, 0.1, 0.1), (0.3, 0.3, 0.2)])
def test_what_stands_or_falls_is_not(values):
    assert budget_cautions(rows(one=[values] * 3)) == []


def test_without_a_point_near_half_of_the_steps_nothing_is_known():
    found = [row for row in rows(one=[(0.1, 0.2, 0.3)] * 2) if row.step != 30]
    assert budget_cautions(found) == []
    assert budget_cautions([]) == []


def test_classes_at_zero_for_all_are_told():
    scores = {"full": {"a": [0.5, 0.0, 0.004, None, 0.3], "b": [0.6, 0.0, 0.0, None, 0.0]}}
    (said,) = class_cautions(scores, ["road", "pole", "sign", "absent", "car"])
    assert "pole, sign (2 of 4 classes) stand at 0" in said
    assert class_cautions({"full": {"a": [0.5, 0.1]}}, ["road", "car"]) == []
    assert class_cautions({}, []) == []


def test_of_many_classes_at_zero_the_first_are_named():
    names = [f"c{one}" for one in range(15)]
    (said,) = class_cautions({"full": {"a": [0.0] * 15}}, names)
    assert "c11 and 3 more (15 of 15 classes)" in said
    assert "c12" not in said


def by_subset(*means, labels=16, noise=0.01, baseline=0.3):
    """Return the table of two initialisations that differ by these means, one for each subset."""
    trials = [
        {
            "init": init,
            "mode": "full",
            "seed": seed,
            "labels": labels,
            "subset": subset,
            "curve": [{"step": 60, "miou": baseline + (init == "depth") * (shift + noise * seed)}],
        }
        for init in ("random", "depth")
        for subset, shift in enumerate(means)
        for seed in (-1, 1)
    ]
    return summarise([{**one, "seed": one["seed"] + 1} for one in trials], ["random", "depth"], ["full"])


def test_one_subset_that_decides_is_told():
    (said,) = subset_cautions(by_subset(0.10, 0.11, 0.12, 0.10, -0.3))
    assert "With all 5, depth against random is not told apart; without subset 4 better." in said
    assert subset_cautions(by_subset(0.10, 0.11, 0.12, 0.10, 0.09)) == []
    assert subset_cautions(by_subset(0.1, -0.1, 0.1, -0.1)) == []
    assert subset_cautions(by_subset(0.1)) == []
    assert subset_cautions([]) == []


def test_of_few_subsets_the_trainings_decide():
    """Without one of three, two are left: over their means hardly anything could be told."""
    assert subset_cautions(by_subset(0.10, 0.11, 0.12)) == []
    (said,) = subset_cautions(by_subset(0.10, 0.11, -0.10))
    assert "without subset 2 better" in said
    (said,) = subset_cautions(by_subset(0.2, 0.0))
    assert "without subset 1 better" in said


def own_seeds(*shifts, missing=None):
    """Return the table of two initialisations of which each set has one training, with a seed of its own."""
    trials = [
        {
            "init": init,
            "mode": "full",
            "seed": 40 + subset,
            "labels": 4,
            "subset": subset,
            "curve": [{"step": 60, "miou": 0.3 + (init == "depth") * shift}],
        }
        for init in ("random", "depth")
        for subset, shift in enumerate(shifts)
        if (init, subset) != missing
    ]
    return summarise(trials, ["random", "depth"], ["full"])


def test_a_set_decides_only_where_enough_is_left_without_it():
    assert subset_cautions(own_seeds(0.08, 0.085)) == []
    assert subset_cautions(own_seeds(0.07, 0.08, 0.10)) == [], "of two trainings hardly anything is told"
    assert subset_cautions(own_seeds(0.07, 0.08, 0.10, missing=("random", 1))) == []
    (said,) = subset_cautions(own_seeds(0.10, 0.101, 0.102, -0.3))
    assert "without subset 3 better" in said


def test_more_labels_that_do_not_help_are_told():
    rising = [*by_subset(0.1, labels=4), *by_subset(0.1, labels=16, baseline=0.35)]
    assert label_cautions(rising) == []
    falling = [*rising, *by_subset(0.5, labels=64, baseline=0.34)]
    (said,) = label_cautions(falling)
    assert "more labels do not make random better (mIoU 35.0 with 16, 34.0 with 64)" in said
    assert label_cautions(by_subset(0.1)) == []


def test_of_errors_more_labels_must_make_less():
    table = [rows(ABS_REL, one=[(0.5, 0.4, end)] * 2) for end in (0.3, 0.2)]
    both = [replace(row, labels=labels) for labels, own in zip((4, 16), table, strict=True) for row in own]
    assert label_cautions(both, ABS_REL) == []
    (said,) = label_cautions([replace(row, labels=20 - row.labels) for row in both][::-1], ABS_REL)
    assert "AbsRel 0.200 with 4, 0.300 with 16" in said


def test_budgets_are_looked_at_for_each_number_of_labels():
    table = [
        *(replace(row, labels=4) for row in rows(one=[(0.1, 0.2, 0.3)] * 2)),
        *(replace(row, labels=16) for row in rows(one=[(0.1, 0.3, 0.3)] * 2)),
    ]
    (said,) = budget_cautions(table)
    assert said.startswith("Mode full, 4 labels: from step 30 to the last")


def test_trainings_that_the_last_step_ended_are_told():
    trials = [
        {
            "init": init,
            "mode": "full",
            "seed": seed,
            "curve": [{"step": 60, "miou": 0.3}],
            "trained_steps": steps,
            "converged": steps < 60,
        }
        for init, taken in {"fast": (20, 30), "slow": (60, 50)}.items()
        for seed, steps in enumerate(taken)
    ]
    table = summarise(trials, ["fast", "slow"], ["full"])
    assert [row.trained for row in table] == [(20, 30), (60, 50)]
    (said,) = limit_cautions(table)
    assert "came to the last step, 60, before validation ended them (1 of 2 of slow)" in said
    assert limit_cautions(table[:1]) == []
    assert limit_cautions(rows(one=[(0.1, 0.2, 0.3)] * 2)) == []
