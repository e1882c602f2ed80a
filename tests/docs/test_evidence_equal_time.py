"""The tables of equal time on the claims' page follow from the scores of single trainings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean, stdev

import pytest
from recomputing import trainings
from variance import METHODS, TITLES, against_start, numbers, section, told_after_holm


def of_column(mode: str, labels: str, step: str = "150") -> dict[tuple[str, str, str], float]:
    return {
        (line["row"], line["subset"], line["seed"]): 100 * float(line["miou"])
        for line in trainings("evidence-equal-time")
        if (line["mode"], line["labels"], line["step"]) == (mode, labels, step)
    }


COLUMNS = [(mode, labels) for mode in ("full", "frozen", "linear") for labels in ("4", "64")]


@pytest.mark.parametrize("method", METHODS)
def test_equal_time(method):
    (line,) = re.findall(rf"^\| `{TITLES[method]}` \|(.*)\|$", section("Equal time"), re.MULTILINE)
    cells = line.split("|")
    assert len(cells) == len(COLUMNS)
    for cell, column in zip(cells, COLUMNS, strict=True):
        found = against_start(of_column(*column))
        assert numbers(cell) == pytest.approx(found[method][:-1], abs=0.06)
        assert ("**" in cell) is (method in told_after_holm(found))


@pytest.mark.parametrize(
    ("title", "start"), [("nothing (`imagenet`)", "imagenet"), ("random numbers", "random")]
)
def test_equal_time_without_pre_training(title, start):
    (line,) = re.findall(rf"^\| {re.escape(title)}, both sets \|(.*)\|$", section("Equal time"), re.MULTILINE)
    for cell, column in zip(line.split("|"), COLUMNS, strict=True):
        own = {place: value for place, value in of_column(*column).items() if place[0] == start}
        assert numbers(cell) == pytest.approx([own[place] for place in sorted(own)], abs=0.06)


def test_equal_time_where_a_range_is_said():
    text = section("Equal time")
    for labels, said in (("4", "4 labels: -1.8 to +1.7"), ("64", "64: -3.5 to +0.6")):
        apart = [one[2] for one in against_start(of_column("full", labels, "50")).values()]
        assert said in text
        assert numbers(said) == pytest.approx([min(apart), max(apart)], abs=0.06)


@pytest.mark.parametrize(
    ("mode", "labels", "said"),
    [
        ("frozen", "64", "3.3 to 6.1 points below"),
        ("frozen", "4", "0.9 to 5.4, told"),
        ("linear", "64", "4.9 to 19.4 points less"),
        ("linear", "4", "5.9 to 14.6 (4"),
    ],
)
def test_equal_time_of_a_frozen_encoder(mode, labels, said):
    lost = [-one[2] for one in against_start(of_column(mode, labels)).values()]
    assert said in section("Equal time")
    assert numbers(said) == pytest.approx([min(lost), max(lost)], abs=0.06)


FLOW_AGAINST_DEPTH = {
    ("full", "4"): "+2.1 [-0.7, +4.9]",
    ("full", "64"): "-0.1 [-3.8, +3.5]",
    ("frozen", "4"): "-0.5 [-2.2, +1.2]",
    ("frozen", "64"): "+0.9 [-0.8, +2.6]",
}


@pytest.mark.parametrize(("column", "said"), FLOW_AGAINST_DEPTH.items())
def test_flow_against_depth(column, said):
    assert said in section("Equal time")
    found = against_start(of_column(*column))
    apart = found["flow"][2] - found["depth"][2]
    assert numbers(said)[0] == pytest.approx(apart, abs=0.06)


Column = tuple[str, str]
"""How is trained, and the number of labels."""
Scored = Callable[..., dict[tuple[str, str, str], float]]
RESNET18 = section("Without ImageNet")
WITHOUT = [("full", "16"), ("frozen", "64"), ("probe", "4"), ("probe", "16"), ("probe", "64")]


def of_network(name: str, mode: str, labels: str, step: str = "200") -> dict[tuple[str, str, str], float]:
    """Return the scores of ResNet-18 in one column, in percent; probes have no step."""
    return {
        (line["row"], line["subset"], line["seed"]): 100 * float(line["miou"])
        for line in trainings(f"evidence-{name}-resnet18")
        if (line["mode"], line["labels"]) == (mode, labels) and line["step"] in (step, "")
    }


of_resnet18, of_alive = partial(of_network, "equal-time"), partial(of_network, "depth")


def check_row(text: str, title: str, row: str, columns: Sequence[Column], of: Scored, rows: Sequence[str]):
    """Check a row against random numbers: both trainings, difference, interval, and what is bold."""
    (line,) = re.findall(rf"^\| `{title}` \|(.*)\|$", text, re.MULTILINE)
    *cells, every = line.split("|")
    for cell, column in zip(cells, columns, strict=True):
        found = against_start(of(*column), "random", rows)
        assert numbers(cell) == pytest.approx(found[row][:-1], abs=0.06)
        assert ("**" in cell) is (row in told_after_holm(found))
    own = {name: value for (name, *_), value in of("probe", "367").items()}
    assert numbers(every) == pytest.approx([own[row], own[f"{row}_again"]], abs=0.06)


def check_start(text: str, title: str, start: str, columns: Sequence[Column], of: Scored):
    """Check a row of what was not trained for the table: the mean of each set, or of all sets of a probe."""
    (line,) = re.findall(rf"^\| {re.escape(title)} \|(.*)\|$", text, re.MULTILINE)
    for cell, (mode, labels) in zip(line.split("|"), [*columns, ("probe", "367")], strict=True):
        sets: dict[str, list[float]] = {}
        for (row, subset, _), value in sorted(of(mode, labels).items()):
            if row == start:
                sets.setdefault(subset, []).append(value)
        means = [mean(values) for values in sets.values()]
        several = [mean(means), stdev(means)] if mode == "probe" and len(means) > 1 else means
        assert numbers(cell) == pytest.approx(several, abs=0.06)


STARTS = [
    ("nothing (`random`)", "random"),
    ("`tf_efficientnet_lite0`, ImageNet", "lite0_imagenet"),
    ("`tf_efficientnet_lite0`, random numbers", "lite0_random"),
]


@pytest.mark.parametrize("method", METHODS)
def test_equal_time_without_imagenet(method):
    check_row(RESNET18, TITLES[method], method, WITHOUT, of_resnet18, METHODS)


@pytest.mark.parametrize(("title", "start"), STARTS)
def test_what_the_others_are_set_against_without_imagenet(title, start):
    check_start(RESNET18, title, start, WITHOUT, of_resnet18)


ALIVE = section("Depth that lives")
LONG = ("depth", "depth_long", "inpainting", "inpainting_long")
ALIVE_COLUMNS = [("full", "16"), ("full", "64"), ("probe", "4"), ("probe", "16"), ("probe", "64")]


@pytest.mark.parametrize("row", LONG)
def test_depth_that_lives(row):
    check_row(ALIVE, row, row, ALIVE_COLUMNS, of_alive, LONG)


@pytest.mark.parametrize(("title", "start"), STARTS)
def test_what_stands_beside_depth_that_lives(title, start):
    check_start(ALIVE, title, start, ALIVE_COLUMNS, of_alive)


@pytest.mark.parametrize(
    ("labels", "step", "row", "said"),
    [
        ("16", "100", "depth_long", "16 labels +1.9 [-0.3, +4.0]"),
        ("64", "100", "depth_long", "64 labels **+2.6 [+0.7, +4.5]**"),
        ("16", "100", "inpainting_long", "16 labels **+4.3 [+2.1, +6.4]**"),
        ("64", "100", "inpainting_long", "64 labels **+4.1 [+2.2, +6.0]**"),
    ],
)
def test_half_way_of_depth_that_lives(labels, step, row, said):
    found = against_start(of_alive("full", labels, step), "random", LONG)
    assert said in ALIVE
    assert numbers(said) == pytest.approx(found[row][2:5], abs=0.06)
    assert ("**" in said) is (row in told_after_holm(found))


@pytest.mark.parametrize(
    ("row", "other", "said"),
    [
        ("inpainting", "depth", "2.0 [0.3, 3.8]"),
        ("inpainting_long", "depth_long", "3.3 [1.6, 5.0]"),
        ("depth_long", "depth", "+2.1 [+0.4, +3.9]"),
        ("inpainting_long", "inpainting", "+3.4 [+1.7, +5.1]"),
    ],
)
def test_rows_of_depth_that_lives_against_each_other(row, other, said):
    found = against_start(of_alive("full", "16"), "random", LONG)
    apart = found[row][2] - found[other][2]
    half = (found[row][4] - found[row][3]) / 2 * (2 / 3) ** 0.5  # pre-trainings vary less than the rest here
    assert said in ALIVE
    assert numbers(said) == pytest.approx([apart, apart - half, apart + half], abs=0.06)


def test_sets_alone_say_the_same_of_depth_that_lives():
    sets: dict[tuple[str, str, str], list[float]] = {}
    for (row, subset, _), value in of_alive("full", "16").items():
        sets.setdefault((row, subset, ""), []).append(value)
    found = against_start({key: mean(values) for key, values in sets.items()}, "random", LONG)
    for row, said in (("depth_long", "+2.8 [+1.0, +4.6]"), ("inpainting", "+2.7 [+0.9, +4.5]")):
        assert said in ALIVE
        assert numbers(said) == pytest.approx(found[row][2:5], abs=0.06)


@pytest.mark.parametrize(("labels", "said"), [("4", "-0.1 and +1.6 points"), ("64", "+2.7 and +1.0 with")])
def test_frozen_against_all_layers(labels, said):
    apart = [
        of_column("frozen", labels)["imagenet", subset, "700"]
        - of_column("full", labels)["imagenet", subset, "700"]
        for subset in ("40", "41")
    ]
    assert said in section("Equal time")
    assert numbers(said) == pytest.approx(apart, abs=0.06)
