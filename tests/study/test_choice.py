"""Chosen images against drawn ones, paired by seed with each set that was drawn."""

from __future__ import annotations

import math

import pytest

from geopretrain.study.choice import compare_choice, without_chosen
from geopretrain.study.measures import ABS_REL


def trials(chosen, *drawn, init="depth", labels=16, key="miou"):
    """Return trials with these scores by seed, of the chosen images and of sets that were drawn."""
    sets = {"chosen": chosen, **dict(enumerate(drawn))}
    return [
        {
            "init": init,
            "mode": "full",
            "seed": seed,
            "labels": labels,
            "subset": subset,
            "curve": [{"step": 9, key: value}],
        }
        for subset, values in sets.items()
        for seed, value in enumerate(values)
    ]


def test_by_hand():
    found = trials([0.5, 0.6], [0.4, 0.5], [0.3, 0.4], [0.5, 0.6])
    (row,) = compare_choice(found, ["depth"], ["full"])
    assert (row["labels"], row["subsets"], row["beaten"]) == (16, 3, 2)
    assert row["chosen"] == pytest.approx(0.55)
    assert row["drawn"] == pytest.approx(0.45)
    assert row["difference"]["by_subset"] == pytest.approx((0.1, 0.2, 0.0))
    half = 4.3026527 * 0.1 / math.sqrt(3)
    assert (row["difference"]["low"], row["difference"]["high"]) == pytest.approx((0.1 - half, 0.1 + half))
    assert row["difference"]["verdict"] == "unclear"
    assert row["sentence"].startswith(
        "All layers trained, 16 labels: with the chosen images depth reaches 55.0 mIoU against 45.0 with 3 "
        "sets that were drawn (2 of 3 are worse); +10.0 points (95 % interval over 3 subsets"
    )
    assert row["sentence"].endswith("no difference could be told.")
    assert len(without_chosen(found)) == 6


def test_one_set_is_paired_by_seed():
    (row,) = compare_choice(trials([0.5, 0.6, 0.7], [0.4, 0.5, 0.61]), ["depth"], ["full"])
    assert row["difference"]["over"] == "seeds"
    assert row["difference"]["verdict"] == "better"
    assert "with the set that was drawn; +9.7 points" in row["sentence"]
    assert "choosing is better than this one set, which may be" in row["sentence"]


def test_of_errors_less_is_better():
    (row,) = compare_choice(
        trials([0.2, 0.21], [0.3, 0.32], [0.1, 0.12], key="abs_rel"), ["depth"], ["full"], ABS_REL
    )
    assert row["beaten"] == 1


def test_without_a_list_or_common_seeds_there_is_nothing():
    assert compare_choice(trials([], [0.4, 0.5]), ["depth"], ["full"]) == []
    assert compare_choice([], ["depth"], ["full"]) == []
    (row,) = compare_choice(trials([0.5], [0.4, 0.5]), ["depth"], ["full"])
    assert row["difference"] is None
    assert row["chosen_sd"] is None
    assert "too few common seeds" in row["sentence"]
    assert compare_choice(trials([0.5, None], [0.4, 0.5]), ["depth"], ["full"])[0]["difference"] is None
