from __future__ import annotations

from dataclasses import replace

import pytest

from geopretrain.study.learning_rate import choose_rates, rate_cautions, seeds_for_search
from geopretrain.study.measures import ABS_REL, BOX_MAP, MIOU
from geopretrain.study.sentences import cautions, headline, sentences
from geopretrain.study.summary import (
    few_point,
    first_and_best,
    per_class,
    row_as_dict,
    row_from_dict,
    summarise,
)


def trial(init, seed, values, mode="full"):
    curve = [
        {"step": 10 * (k + 1), "miou": value, "pixel_accuracy": 0.5 + value} for k, value in enumerate(values)
    ]
    return {"init": init, "mode": mode, "seed": seed, "curve": curve, "iou": [values[-1], float("nan")]}


def table(random, depth, mode="full"):
    trials = [trial("random", k, v, mode) for k, v in enumerate(random)]
    trials += [trial("depth", k, v, mode) for k, v in enumerate(depth)]
    return summarise(trials, ["random", "depth"], [mode])


def test_rows_by_hand():
    rows = table([(0.1, 0.2), (0.3, 0.4)], [(0.2, 0.3), (0.4, 0.5)])
    assert [(row.init, row.step) for row in rows] == [
        *(("random", 10), ("depth", 10), ("random", 20), ("depth", 20))
    ]
    assert rows[1].mean == pytest.approx(0.3)
    assert rows[1].sd == pytest.approx(0.02**0.5)
    assert rows[1].second == pytest.approx(0.8)
    assert rows[1].difference.values == pytest.approx((0.1, 0.1))
    assert [row_from_dict(row_as_dict(row)) for row in rows] == rows


def test_differences_use_only_seeds_both_have():
    trials = [trial("random", k, (0.1 * k,)) for k in (0, 1, 2)] + [
        trial("depth", k, (0.3 + k,)) for k in (1, 2, 9)
    ]
    row = summarise(trials, ["random", "depth"], ["full"])[-1]
    assert row.seeds == (1, 2, 9)
    assert row.difference.values == pytest.approx((1.2, 2.1))
    alone = summarise([trial("random", 0, (0.1,)), trial("depth", 1, (0.2,))], ["random", "depth"], ["full"])
    assert alone[-1].difference is None


def test_the_first_and_the_best_of_the_others_at_the_end():
    scores = {"random": [0.2, 0.9], "a": [0.9, 0.3], "b": [0.1, 0.4], "c": [0.5, float("nan")]}
    trials = [trial(init, seed, values) for init, values in scores.items() for seed in (0, 1)]
    rows = summarise(trials, list(scores), ["full", "frozen"])
    assert first_and_best(rows, "full") == ["random", "b"]
    assert first_and_best(rows, "full", replace(MIOU, lower=True)) == ["random", "a"]
    assert first_and_best(rows, "frozen") == []
    assert first_and_best([], "full") == []


def test_per_class_leaves_absent_classes_out():
    assert per_class([trial("a", 0, (0.2,)), trial("a", 1, (0.4,))])["full"]["a"] == [
        pytest.approx(0.3),
        None,
    ]


def test_the_early_point_is_nearest_to_a_third():
    assert few_point([50, 100, 150, 200, 250, 300]) == 100
    assert few_point([10, 20]) == 10


@pytest.mark.parametrize(
    ("early", "late", "expected"),
    [
        (0.1, 0.1, "depth is better than random, early and at the end"),
        (0.1, 0.0, "depth starts better than random, but at the end no difference could be told"),
        (-0.1, 0.1, "depth starts worse than random but ends better"),
        (0.0, 0.0, "no difference could be told between depth and random, neither early nor at the end"),
        (0.0, -0.1, "depth ends worse than random"),
    ],
)
def test_headline_says_what_the_intervals_support(early, late, expected):
    noise = (0.01, -0.01, 0.0)
    random = [(0.2, 0.2, 0.4)] * 3
    depth = [(0.2 + early + n, 0.2, 0.4 + late + n) for n in noise]
    rows = table(random, depth)
    assert expected in headline(rows, 16)
    assert headline(rows, 16).startswith("With 16 labelled images and all layers trained, ")


def test_headline_of_many_initialisations_groups_them():
    noise = (0.01, -0.01, 0.0)
    shifts = {"a": 0.0, "b": 0.1, "c": -0.1, "d": 0.05, "e": 0.0, "f": 0.1}
    trials = [
        trial(name, seed, (0.3 + shift * (1 + n), 0.4 + shift + (n if name != "a" else 0.0)))
        for name, shift in shifts.items()
        for seed, n in enumerate(noise)
    ]
    said = headline(summarise([*trials, trial("g", 9, (0.1, 0.1))], [*shifts, "g"], ["full"]), 16)
    assert said == (
        "With 16 labelled images and all layers trained, at the end: "
        "better than a are b (+10.0 points), d (+5.0 points), f (+10.0 points); "
        "worse than a is c (\N{MINUS SIGN}10.0 points); "
        "no difference could be told between a and e (+0.0 points); too few common seeds has g. "
        "In brackets: the difference of mIoU."
    )


def test_rates_that_chance_may_have_chosen_are_a_caution():
    def searched(rates, noise, gap=0.1):
        return choose_rates(
            [
                {"init": init, "mode": "full", "lr": lr, "seed": k, "miou": 0.5 - (gap + n) * (lr != best)}
                for init, best in rates.items()
                for lr in (1e-3, 3e-3, 1e-2)
                for k, n in enumerate(noise)
            ]
        )

    (said,) = rate_cautions(searched({"a": 1e-3, "b": 3e-3}, [0.0]))
    assert "mode full differ (0.001: a; 0.003: b), and the search cannot tell them apart" in said
    assert "a (50.0 at 0.001, 40.0 at 0.003), b (50.0 at 0.003, 40.0 at 0.001)" in said, "one training each"
    assert not rate_cautions(searched({"a": 1e-3, "b": 3e-3}, [0.01, -0.01, 0.0])), "far apart"
    (said,) = rate_cautions(searched({"a": 1e-3, "b": 3e-3}, [0.15, -0.15, 0.05]))
    assert "a (50.0 at 0.001" in said, "three trainings that scatter"
    assert not rate_cautions(searched({"a": 1e-3, "b": 1e-3}, [0.0])), "they do not differ"


def test_sentences_hold_numbers_and_verdicts():
    rows = table([(0.2, 0.300), (0.2, 0.310), (0.2, 0.290)], [(0.2, 0.310), (0.2, 0.300), (0.2, 0.302)])
    # differences 1.0, -1.0, 1.2: sd 1.217, and t(0.975, 2) / sqrt(3) = 2.484
    text = sentences(rows)[-1]
    assert "depth reaches 30.4 ± 0.5 mIoU against 30.0 ± 1.0 for random (3 seeds)" in text
    assert "+0.4 points (95 % interval \N{MINUS SIGN}2.6 to +3.4): no difference could be told." in text
    assert any("Only 3 seeds" in caution for caution in cautions(rows))
    assert MIOU.show(-0.012, sign=True) == "\N{MINUS SIGN}1.2"


def test_rates_are_chosen_by_mean_and_ends_of_the_grid_are_told():
    trials = [
        {"init": "a", "mode": "full", "lr": lr, "seed": seed, "miou": miou}
        for lr, scores in {1e-4: (0.5, 0.1), 5e-4: (0.4, 0.4), 1e-3: (0.3, None)}.items()
        for seed, miou in enumerate(scores)
    ]
    (row,) = choose_rates(trials)
    assert row["chosen"] == 5e-4
    assert row["at_end"] is None
    assert choose_rates(trials[:4])[0]["at_end"] == "highest"


def test_seeds_of_the_search_are_others():
    assert not set(seeds_for_search([0, 1000], 2)) & {0, 1000}


def test_version_0_1_counted_iterations():
    old_trial = trial("random", 0, [0.2])
    old_trial["curve"] = [{"iteration": 10, "miou": 0.2, "pixel_accuracy": 0.7}]
    (row,) = summarise([old_trial], ["random"], ["full"])
    assert row.step == 10
    new = row_as_dict(row)
    old = {"iteration" if name == "step" else name: value for name, value in new.items()}
    assert row_from_dict(old) == row_from_dict(new)


def test_what_version_0_2_called_pixel_accuracy_is_read():
    (row,) = summarise([trial("random", 0, [0.2])], ["random"], ["full"])
    old = {"pixel_accuracy" if name == "second" else name: value for name, value in row_as_dict(row).items()}
    assert row_from_dict(old) == row


def depth_trials(errors):
    """Return trials of two initialisations, AbsRel of each seed."""
    return [
        {"init": i, "mode": "full", "seed": s, "curve": [{"step": 10, "abs_rel": e, "rmse": 10 * e}]}
        for i, values in errors.items()
        for s, e in enumerate(values)
    ]


def test_less_is_better_where_errors_are_compared():
    trials = depth_trials({"random": [0.30, 0.32, 0.31], "depth": [0.20, 0.23, 0.21]})
    rows = summarise(trials, ["random", "depth"], ["full"], ABS_REL)
    assert rows[1].difference.verdict == "better"
    assert rows[1].difference.mean < 0
    assert rows[1].second == pytest.approx(2.1333, abs=1e-3)
    assert row_from_dict(row_as_dict(rows[1])).difference.verdict == "better"
    said = headline(rows, 16, ABS_REL)
    assert (
        "depth is better than random (\N{MINUS SIGN}0.097 of AbsRel, lower is better, 95 % interval" in said
    )
    (sentence,) = sentences(rows, ABS_REL)
    assert "depth reaches 0.213 \N{PLUS-MINUS SIGN} 0.015 AbsRel (lower is better) against 0.310" in sentence
    assert sentence.endswith("depth is better.")
    worse = summarise(trials, ["depth", "random"], ["full"], ABS_REL)
    assert worse[1].difference.verdict == "worse"
    assert "random is worse than depth" in headline(worse, 16, ABS_REL)


def test_the_rate_with_the_least_error_is_chosen_and_undefined_errors_are_no_good_ones():
    trials = [
        {"init": "a", "mode": "full", "lr": lr, "seed": seed, "abs_rel": error}
        for lr, errors in {1e-4: (0.5, 0.4), 5e-4: (0.2, 0.2), 1e-3: (0.1, None)}.items()
        for seed, error in enumerate(errors)
    ]
    (row,) = choose_rates(trials, ABS_REL)
    assert row["chosen"] == 5e-4


def test_scores_of_detection_are_percent_and_points_of_map():
    trials = [
        {
            "init": i,
            "mode": "full",
            "seed": s,
            "curve": [{"step": 9, "box_map": v, "box_map_50": 2 * v}],
            "box_ap": [v, None],
        }
        for i, values in {"random": (0.10, 0.12), "depth": (0.15, 0.16)}.items()
        for s, v in enumerate(values)
    ]
    rows = summarise(trials, ["random", "depth"], ["full"], BOX_MAP)
    assert "points of mAP" in headline(rows, None, BOX_MAP)
    assert per_class(trials, BOX_MAP)["full"]["depth"] == [pytest.approx(0.155), None]
    assert per_class(depth_trials({"a": [0.1]}), ABS_REL) == {}
