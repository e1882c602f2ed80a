"""Several pre-trainings of one method: who belongs together, intervals by hand, and what is said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from comparing import write_labelled, write_pretrained
from scipy.stats import t

from geopretrain.commands.compare import compare
from geopretrain.study.inits import NamedInit
from geopretrain.study.pretrainings import compare_pretrainings, families, interval_over, over_pretrainings
from geopretrain.study.summary import summarise

CONFIG = {"method": "monodepth", "data": "video", "steps": 300, "init": "imagenet", "seed": 0, "out": "a"}


def init(name, method="monodepth", **config):
    results = {"config": {**CONFIG, "method": method, "out": name, **config}}
    return NamedInit(name, name, "run", "a run", "resnet18", method, [], name, results)


FIRST = NamedInit("imagenet", "imagenet", "imagenet", "words", None, None, [], "", {})


def test_runs_that_differ_in_their_seed_alone_belong_together():
    runs = [
        init("a"),
        init("b", seed=1, threads=2),
        init("c", seed=2, steps=600),
        init("d", "scdepth", seed=3),
    ]
    (family,) = families([FIRST, *runs])
    assert (family.name, family.inits) == ("monodepth", ("a", "b"))


@pytest.mark.parametrize(
    "runs",
    [
        [init("a"), init("b")],  # the same seed: the same pre-training, or one with other code
        [init("a"), init("b", seed=1, data="other")],
        [init("a"), replace(init("b", seed=1), options={"lr": 0.1})],
        [replace(init("a"), method=None), replace(init("b", seed=1), method=None)],
        [replace(init("a"), results={}), replace(init("b", seed=1), results={})],
    ],
)
def test_what_differs_in_more_does_not(runs):
    assert families([FIRST, *runs]) == []


def test_chains_belong_together_where_what_they_began_with_does(tmp_path):
    began = [write_pretrained(tmp_path / f"masked{seed}", seed).path for seed in (0, 1)]
    runs = [
        init(name, seed=k, init=str(place)) for k, (name, place) in enumerate(zip("ab", began, strict=True))
    ]
    (family,) = families([FIRST, *runs])
    assert family.inits == ("a", "b")
    other = init("c", seed=2, init="imagenet")
    assert families([FIRST, *runs, other]) == [family]


def test_the_first_one_is_in_no_family():
    assert families([init("a"), init("b", seed=1)]) == []


def trials(scores, labels=4):
    """Return trials of ``{init: {(set, seed): score}}``."""
    return [
        {
            **{"init": name, "mode": "full", "labels": labels, "subset": subset, "seed": seed},
            "curve": [{"step": 9, "miou": value, "pixel_accuracy": 0.5}],
        }
        for name, own in scores.items()
        for (subset, seed), value in own.items()
    ]


def compared(scores, runs):
    rows = summarise(trials(scores), list(scores), ["full"])
    return compare_pretrainings(rows, families([FIRST, *runs]))


PLACES = [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_two_pre_trainings_speak_for_themselves_alone():
    base = dict(zip(PLACES, (0.30, 0.32, 0.28, 0.31), strict=True))
    gains = {"a": (0.02, 0.03, 0.01, 0.02), "b": (0.04, 0.05, 0.03, 0.06)}
    scores = {"imagenet": base}
    scores |= {
        name: {k: base[k] + g for k, g in zip(PLACES, own, strict=True)} for name, own in gains.items()
    }
    (row,) = compared(scores, [init("a"), init("b", seed=1)])
    both = np.mean(list(gains.values()), 0)
    half = t.ppf(0.975, 3) * both.std(ddof=1) / 2
    found = row["difference"]
    assert (found["mean"], found["low"], found["high"]) == pytest.approx(
        (both.mean(), both.mean() - half, both.mean() + half)
    )
    assert row["means"] == pytest.approx([0.3225, 0.3475])
    assert (row["low"], row["high"]) == (None, None)
    assert over_pretrainings(row) is None
    assert "these are better. What another pre-training would give, 2 do not tell." in row["sentence"]
    assert "2 pre-trainings of monodepth (a, b) together reach 33.5 mIoU (32.2 and 34.8)" in row["sentence"]


def test_three_pre_trainings_speak_for_the_method():
    base = dict.fromkeys(PLACES, 0.3)
    runs = [init(name, seed=k) for k, name in enumerate("abc")]

    def of(*gains):
        scores = {
            "imagenet": base,
            **{n: dict.fromkeys(PLACES, 0.3 + g) for n, g in zip("abc", gains, strict=True)},
        }
        scores["a"][0, 0] += 0.004  # so that seeds differ
        (row,) = compared(scores, runs)
        return row

    alike = of(0.03, 0.031, 0.032)
    assert alike["low"] > 0
    assert "the method is better" in alike["sentence"]
    apart = of(0.00, 0.03, 0.06)
    assert apart["low"] < 0 < apart["high"]
    assert apart["difference"]["verdict"] == "better", "these three are, in every training"
    assert "no difference could be told" in apart["sentence"]


def test_the_interval_covers_what_it_says_where_pre_trainings_differ():
    """Some 95 % of such intervals hold the truth, as those of a bootstrap of three would not."""
    generator, inside, narrow = np.random.default_rng(0), 0, 0
    for _ in range(120):
        own = generator.normal(0, 1, 3)[:, None] + generator.normal(0, 0.3, (3, 4))
        low, high = interval_over([dict(zip(PLACES, row, strict=True)) for row in own.tolist()])
        inside += low <= 0 <= high
        wider = math.sqrt(3 / 2) * t.ppf(0.975, 2) / 1.95996
        centre = own.mean()
        narrow += centre - (centre - low) / wider <= 0 <= centre + (high - centre) / wider
    assert inside / 120 > 0.9
    assert narrow / 120 < 0.85


def test_lower_errors_are_better_and_missing_trainings_are_left_out():
    base = dict(zip(PLACES, (0.30, 0.32, 0.28, 0.31), strict=True))
    own = {key: value - 0.1 - 0.01 * k for k, (key, value) in enumerate(base.items())}
    scores = {"imagenet": base, "a": own, "b": {k: v for k, v in own.items() if k != (1, 1)}}
    (row,) = compared(scores, [init("a"), init("b", seed=1)])
    assert row["difference"]["values"] == pytest.approx([-0.1, -0.11, -0.12])
    assert row["difference"]["verdict"] == "worse"
    assert compared({"imagenet": base, "a": own, "b": {}}, [init("a"), init("b", seed=1)]) == []


def test_a_comparison_says_what_the_method_gives(tmp_path, scripted):
    labelled = write_labelled(tmp_path / "labelled", {"train": 6, "val": 2, "test": 3})
    places = [write_pretrained(tmp_path / "runs" / f"depth{seed}", seed).path for seed in (0, 1, 2)]
    options = {"labels": 4, "seeds": 3, "steps": 60, "jobs": 1, "progress": False, "pictures": 0}
    comparison = compare(
        ["random", *places], data=labelled, out=tmp_path / "cmp", device="cpu", modes="full", **options
    )
    (row,) = comparison.results["pretrainings"]
    assert row["inits"] == ["depth0", "depth1", "depth2"]
    assert row["sentence"] in comparison.table()
    page = comparison.report.read_text()
    assert "Several pre-trainings of one method" in page
    assert "over pre-trainings, too" in page
