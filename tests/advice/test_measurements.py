"""The table of measurements, and what follows from rows of it."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
import yaml

from geopretrain import cli
from geopretrain.advice.measurements import TABLE, Case, Effect, Study, distance, nearest, studies
from geopretrain.advice.rules import answer
from geopretrain.config.parsing import parse
from geopretrain.errors import DataError
from geopretrain.tasks.registry import PRETEXTS

CAMVID = Case("segmentation", 16, "related", "tf_efficientnet_lite0")
ROW = {
    "data": "my video and my labels",
    "task": "segmentation",
    "unit": "points of mIoU",
    "domain": "same",
    "labels": 64,
    "backbone": "resnet18",
    "size": [96, 128],
    "protocol": "40 test images",
    "where": "my notes",
    "effects": [
        {
            "added": "monodepth",
            "to": "imagenet",
            "trained": "full",
            "effect": 3.0,
            "interval": [1.5, 4.5],
            "trainings": 8,
        }
    ],
}


def study(*effects, **values):
    base = Study("d", "segmentation", "points of mIoU", 16, "resnet18", (96, 128), "p", "w", list(effects))
    return replace(base, **{"domain": "same", **values})


def effect(value, interval=None, **values):
    given = {"added": "monodepth", "to": "imagenet", "trained": "full", "trainings": 5, **values}
    return Effect(effect=value, interval=interval, **given)


HERE = Case("segmentation", 16, "same", "resnet18")


def test_every_row_of_ours_can_be_repeated_and_has_its_place():
    found = studies()
    assert len(found) >= 10
    for one in found:
        assert one.where.startswith("docs/")
        assert one.effects
        for each in one.effects:
            assert each.added == "imagenet" or each.added in PRETEXTS
            assert each.to in ("imagenet", "random") or each.to in PRETEXTS
            assert bool(each.pretrain) is (each.added != "imagenet"), "what was added says how"
            words = [*shlex.split(each.pretrain), "--data", "v", "--out", "o"]
            if each.pretrain:
                options = cli.COMMANDS["pretrain"].options_class()
                assert options(**parse("pretrain", options, words)).method == each.added


def test_the_pages_that_rows_name_have_their_numbers():
    """A number is on the page, as it is written there or as the difference of two that are."""
    for one in studies():
        page = (TABLE.parents[3] / one.where.partition(",")[0]).read_text(encoding="utf-8")
        for each in one.effects:
            if each.interval is not None and one.task == "segmentation" and each.added != "imagenet":
                low, high = (f"{end:.1f}" for end in each.interval)
                written = (f"[{low}, {high}]", f"[{float(low):+.1f}, {float(high):+.1f}]")
                assert any(text in page for text in written), each


def test_today_nothing_is_shown_to_add_to_imagenet_and_imagenet_is_worth_much():
    table = studies()
    found = answer(table, CAMVID, "imagenet")
    assert found.verdict == "not shown"
    assert found.near
    assert found.expected[0] < 0 < found.expected[1]
    assert found.far == ()
    worth = answer(table, CAMVID, "random", imagenet=True)
    assert worth.verdict == "adds"
    assert worth.expected[0] > 5


@pytest.mark.parametrize(
    ("case", "far"),
    [
        (Case("segmentation", 16, "same", "resnet18"), ["resnet18 here", "of the labels' own here"]),
        (Case("segmentation", 1, "related", "tf_efficientnet_lite0"), ["4 labels there, 1 here"]),
        (Case("segmentation", 41, "other", "tf_efficientnet_lite0"), []),
    ],
)
def test_what_differs_from_the_case_is_said(case, far):
    found = answer(studies(), case, "imagenet")
    assert all(any(words in one for one in found.far) for words in far), found.far


def test_a_task_that_nobody_measured_is_not_measured():
    found = answer(studies(), Case("detection", 16, "same", "resnet18"), "imagenet")
    assert (found.verdict, found.best, found.expected, found.nearest) == ("not measured", None, None, ())
    assert not found.near


def test_a_row_of_ones_own_changes_the_answer(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump([ROW]))
    case = Case("segmentation", 64, "same", "resnet18")
    assert answer(studies(), case, "imagenet").verdict == "not shown"
    found = answer(studies(file), case, "imagenet")
    assert (found.verdict, found.tried, found.near, found.far) == ("adds", 1, True, ())
    assert found.expected == pytest.approx((1.5, 4.5))


def test_the_nearest_study_is_by_labels_domain_and_backbone():
    assert distance(study(), HERE, with_video=True) == 0
    assert distance(study(labels=64), HERE, with_video=True) == 1
    assert distance(study(labels=4), HERE, with_video=True) == 1
    assert distance(study(domain="other"), HERE, with_video=True) == 2
    assert distance(study(domain="other"), HERE, with_video=False) == 0
    far = replace(HERE, domain="other")
    assert distance(study(domain="related"), far, with_video=True) == 2, "gains need not reach so far"
    turns = replace(HERE, camera="turns")
    assert distance(study(camera="moves"), turns, with_video=True) == 1
    assert distance(study(camera="moves"), turns, with_video=False) == 0
    assert distance(study(camera="turns"), turns, with_video=True) == 0
    assert (
        distance(study(camera="turns"), HERE, with_video=True)
        == distance(study(), turns, with_video=True)
        == 0
    )
    assert distance(study(backbone="resnet50"), HERE, with_video=True) == 0.5
    assert distance(study(backbone="resnet18.a1_in1k"), HERE, with_video=True) == 0
    assert distance(study(), replace(HERE, domain="unknown"), with_video=True) == 0
    near, far = study(effect(1.0, (0.5, 1.5))), study(effect(9.0, (8.0, 10.0)), labels=256)
    assert [one.study for one in nearest([far, near], HERE, "imagenet")] == [near]


def test_the_best_of_many_is_not_believed_as_one_alone_is():
    lucky = effect(2.0, (0.1, 3.9))
    others = [effect(0.0, (-2.0, 2.0), added=name) for name in ("simmim", "moco", "dino", "scdepth")]
    assert answer([study(lucky)], HERE, "imagenet").verdict == "adds"
    among = answer([study(lucky, *others)], HERE, "imagenet")
    assert among.verdict == "not shown"
    assert among.best.effect is lucky
    assert among.expected[0] < 0.1
    assert among.expected[1] > 3.9
    sure = effect(5.0, (4.5, 5.5))
    assert answer([study(sure, *others)], HERE, "imagenet").verdict == "adds"


def test_what_costs_is_said_to_cost():
    found = answer([study(effect(-2.0, (-3.0, -1.0)))], HERE, "imagenet")
    assert found.verdict == "costs"


def test_two_trainings_or_no_interval_decide_nothing():
    few = answer([study(effect(9.0, (8.0, 10.0), trainings=2))], HERE, "imagenet")
    none = answer([study(effect(9.0))], HERE, "imagenet")
    assert few.verdict == none.verdict == "not measured"
    assert none.best.effect.effect == 9.0


def test_full_training_decides_where_it_was_measured():
    frozen, full = effect(4.0, (3.0, 5.0), trained="frozen"), effect(0.0, (-1.0, 1.0))
    assert answer([study(frozen, full)], HERE, "imagenet").verdict == "not shown"
    assert answer([study(frozen)], HERE, "imagenet").verdict == "adds"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": 0}, "[0].labels"),
        ({"labels": "16"}, "[0].labels"),
        ({"domain": "near"}, "[0].domain"),
        ({"task": "flow"}, "[0].task"),
        ({"size": [96]}, "[0].size"),
        ({"effects": [{**ROW["effects"][0], "effect": float("nan")}]}, "effects[0].effect"),
        ({"effects": [{**ROW["effects"][0], "interval": [4.0, 5.0]}]}, "must lie inside its interval"),
        ({"effects": [{"added": "monodepth"}]}, "is missing"),
        ({"effects": "none"}, "[0].effects"),
    ],
)
def test_a_damaged_table_is_refused_in_a_sentence(tmp_path, change, sentence):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump([{**ROW, **change}]))
    with pytest.raises(DataError) as error:
        studies(file)
    assert sentence in str(error.value)
    assert "docs/advise.md" in str(error.value)


@pytest.mark.parametrize("text", ["", "a: [", "3", "!!python/object:os.system {}", "- - -"])
def test_what_is_no_table_is_refused_too(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=r"mine\.yaml"):
        studies(file)
