"""The tables of the claims' page follow from the scores of single trainings that lie beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean, stdev

import numpy as np
import pytest
from recomputing import NUMBER, RESULTS, paired, trainings
from scipy import stats

PAGE = (RESULTS / "evidence.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    begin = PAGE.index(f"## {title}")
    return PAGE[begin : PAGE.find("\n## ", begin + 1)]


def numbers(text: str) -> list[float]:
    return [float(one) for one in re.findall(NUMBER, text)]


OUT_OF_DOMAIN = [
    ("CamVid, mIoU", "driving", "full", "150", "miou", 100, 0.06),
    ("CamVid, mIoU after 50 steps", "driving", "full", "50", "miou", 100, 0.06),
    ("CamVid, bits a pixel", "driving", "full", "150", "residual_information", 1, 0.006),
    ("COCO crops, mIoU of 72 classes", "photographs", "full", "150", "miou", 100, 0.06),
    ("COCO crops, pixel accuracy", "photographs", "full", "150", "pixel_accuracy", 100, 0.06),
    ("kitchen, AbsRel, all handed over", "rooms", "full", "150", "abs_rel", 1, 6e-4),
    ("kitchen, AbsRel, encoder alone", "rooms", "encoder", "150", "abs_rel", 1, 6e-4),
    ("kitchen, RMSE in m, all handed over", "rooms", "full", "150", "rmse", 1, 6e-4),
    ("kitchen, RMSE in m, encoder alone", "rooms", "encoder", "150", "rmse", 1, 6e-4),
]


@pytest.mark.parametrize(("title", "name", "mode", "step", "key", "factor", "within"), OUT_OF_DOMAIN)
def test_out_of_domain(title, name, mode, step, key, factor, within):
    values: dict[str, dict[tuple[str, str], float]] = {}
    for line in trainings(f"evidence-out-of-domain-{name}"):
        if (line["mode"], line["step"]) == (mode, step):
            place = line["subset"], line["seed"]
            values.setdefault(line["row"], {})[place] = factor * float(line[key])
    text = section("Out of domain")
    start = text.index(f"| {title} | drives |")
    for line, row in zip(text[start:].splitlines()[:2], ("final-depth", "room-scdepth"), strict=True):
        first, other = values["imagenet"], values[row]
        assert len(first) == len(other) == {"photographs": 4}.get(name, 8)
        spreads = [of for found in (first, other) for of in (mean(found.values()), stdev(found.values()))]
        assert numbers(line) == pytest.approx([*spreads, *paired(first, other)], abs=within)
        _, low, high = paired(first, other)
        told = bool(low * high > 0) and 0.0 not in numbers(line)[-2:]  # +0.0 is no proof
        assert ("**" in line) is told, "what is told is printed in bold"


METHODS = ("depth", "scdepth", "geometric", "flow", "inpainting", "simmim", "moco")
TITLES = dict(
    zip(
        METHODS,
        ("monodepth", "scdepth", "geometric_flow", "optical_flow", "inpainting", "simmim", "moco"),
        strict=True,
    )
)


def against_start(
    values: dict[tuple[str, str, str], float], first: str = "imagenet", methods: Sequence[str] = METHODS
) -> dict[str, tuple[float, ...]]:
    """Return both pre-trainings of each method, their difference to none with its interval, and its p.

    An analysis of variance: starts and places (a set of labels and a seed) crossed, two pre-trainings nested
    in each method; the error of a method is that of its two pre-trainings or of the rest, whichever is more.
    """
    starts = [first, *(f"{name}{end}" for name in methods for end in ("", "_again"))]
    places = sorted((subset, seed) for start, subset, seed in values if start == first)
    table = np.array([[values[start, *place] for place in places] for start in starts])
    count, means = len(places), table.mean(1)
    rest = table - means[:, None] - table.mean(0) + table.mean()
    free = (len(starts) - 1) * (count - 1)
    error = (rest**2).sum() / free
    pairs = means[1:].reshape(-1, 2)
    between = max(count * ((pairs - pairs.mean(1, keepdims=True)) ** 2).sum() / len(methods), error)
    parts = between / (2 * count), error / count
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / len(methods) + parts[1] ** 2 / free)  # Satterthwaite
    freedom = free if between == error else freedom  # one estimate, taken twice
    wide, apart = sum(parts) ** 0.5, pairs.mean(1) - means[0]
    half = stats.t.ppf(0.975, freedom) * wide
    return {
        name: (*pair, one, one - half, one + half, 2 * stats.t.sf(abs(one) / wide, freedom))
        for name, pair, one in zip(methods, pairs, apart, strict=True)
    }


def told_after_holm(found: dict[str, tuple[float, ...]]) -> set[str]:
    """Return what Holm's correction leaves of those with p below 0.05."""
    told = set()
    for rank, (name, (*_, p)) in enumerate(sorted(found.items(), key=lambda one: one[1][-1])):
        if p * (len(found) - rank) >= 0.05:
            break
        told.add(name)
    return told


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


FLOW_TO_DEPTH = [
    (key, word, title, name)
    for key, word in (("abs_rel", "AbsRel"), ("a1", "d < 1.25"))
    for title, name in (("drives", "flow-to-depth"), ("kitchen", "flow-to-depth-indoors"))
]
Scores = dict[tuple[int, int], float]
"""Of trainings, by the number of samples and the seed."""


def of_rows(name: str, key: str) -> dict[str, Scores]:
    """Return the scores of each row."""
    found: dict[str, Scores] = {}
    for line in trainings(f"evidence-{name}"):
        place = int(line["labels"]), int(line["seed"])
        found.setdefault(line["row"], {})[place] = float(line[key])
    return found


def of_both(rows: dict[str, Scores], stage: str) -> Scores:
    """Return the means of both pre-trainings of a stage."""
    first, again = rows[stage], rows[f"{stage}_again"]
    return {place: (first[place] + again[place]) / 2 for place in first}


def of_count(rows: dict[str, Scores], count: int | None) -> dict[str, Scores]:
    """Return the scores with one number of samples; None: with all numbers."""
    return {
        row: {place: one for place, one in scores.items() if count in (None, place[0])}
        for row, scores in rows.items()
    }


def check_bold(line: str) -> None:
    """Check that what excludes zero is printed in bold, and nothing else."""
    for cell in line.split("|"):
        ends = numbers(cell)[-2:] if "[" in cell else [0.0, 0.0]
        assert ("**" in cell) is (ends[0] * ends[1] > 0), cell


def of_chain(name: str, key: str) -> dict[str, Scores]:
    """Return the scores of each row, and of the mean of both pre-trainings as ``both``."""
    found = of_rows(name, key)
    return {**found, "both": of_both(found, "flow")}


@pytest.mark.parametrize(("key", "word", "title", "name"), FLOW_TO_DEPTH)
def test_from_flow_to_depth(key, word, title, name):
    scores = of_chain(name, key)
    found = re.findall(
        rf"^\| {re.escape(word)}, {title}, ((?:all )?\d+|over all).*?\|(.*)$",
        section("From flow to depth"),
        re.MULTILINE,
    )
    counts = sorted({count for count, _ in scores["imagenet"]})
    assert [re.sub("all ", "", which) for which, _ in found] == [*map(str, counts), "over all"][: len(found)]
    assert len(found) == len(counts) + 1
    for count, (_, line) in zip([*counts, None], found, strict=True):
        own = of_count(scores, count)
        expected = [*paired(own["imagenet"], own["both"]), *paired(own["imagenet"], own["random"])]
        if count is not None:
            spread = {row: [mean(of.values()), stdev(of.values())] for row, of in own.items()}
            start = [*spread["imagenet"], *spread["flow"], *spread["flow_again"]]
            expected = [*start, *expected[:3], *spread["random"], *expected[3:]]
        assert numbers(line) == pytest.approx(expected, abs=6e-4)
        check_bold(line)


def of_rooms(file: str, mode: str, key: str) -> dict[str, Scores]:
    """Return the scores of 16 depth maps of the kitchen, by the start."""
    found: dict[str, Scores] = {}
    for line in trainings(file):
        if (line["mode"], line["labels"], line["step"]) == (mode, "16", "150"):
            found.setdefault(line["row"], {})[int(line["subset"]), int(line["seed"])] = float(line[key])
    return found


@pytest.mark.parametrize(
    ("mode", "said", "drives"),
    [
        ("encoder", "-0.014 m [-0.021, -0.008]", "0.013 m [0.002, 0.024]"),
        ("full", "-0.012 [-0.021, -0.004]", "0.011 m [0.002, 0.020]"),
    ],
)
def test_both_studies_of_the_kitchen_together(mode, said, drives):
    before = of_rooms("what-helps-few-depths-indoors", mode, "rmse")
    after = of_rooms("evidence-out-of-domain-rooms", mode, "rmse")
    start = {**before["imagenet"], **after["imagenet"]}
    depth = {**before["depth"], **after["room-scdepth"]}
    assert len(start) == 16
    text = section("Out of domain")
    assert said in text
    assert numbers(said) == pytest.approx(paired(start, depth), abs=6e-4)
    assert drives in text
    assert numbers(drives)[0] == pytest.approx(
        -paired(after["final-depth"], after["room-scdepth"])[0], abs=6e-4
    )


@pytest.mark.parametrize(("labels", "said"), [("4", "-0.1 and +1.6 points"), ("64", "+2.7 and +1.0 with")])
def test_frozen_against_all_layers(labels, said):
    apart = [
        of_column("frozen", labels)["imagenet", subset, "700"]
        - of_column("full", labels)["imagenet", subset, "700"]
        for subset in ("40", "41")
    ]
    assert said in section("Equal time")
    assert numbers(said) == pytest.approx(apart, abs=0.06)


@pytest.mark.parametrize(
    ("row", "said"), [("both", "+0.020 [-0.061, +0.101]"), ("random", "+0.083 [+0.029, +0.138]")]
)
def test_flow_over_the_seeds_alone(row, said):
    scores = of_chain("flow-to-depth", "abs_rel")
    assert said in section("From flow to depth")

    def of_seeds(name: str) -> dict[int, float]:
        own = scores[name]
        return {seed: mean(one for place, one in own.items() if place[1] == seed) for _, seed in own}

    assert numbers(said) == pytest.approx(paired(of_seeds("imagenet"), of_seeds(row)), abs=6e-4)


MESA = [
    (key, word, title, name)
    for key, word in (("rmse", "RMSE, m"), ("abs_rel", "AbsRel"), ("a1", "d < 1.25"))
    for title, name in (("rooms", "mesa-rooms"), ("kitchen", "mesa-kitchen"))
]
CHAIN = ("masked", "geometric", "supervised")
STEPS = (
    ("imagenet", "masked"),
    ("masked", "geometric"),
    ("geometric", "supervised"),
    ("imagenet", "supervised"),
)


def of_stages(name: str, key: str) -> dict[str, Scores]:
    """Return the scores of each row, and under the name of each stage with ``both`` the mean of its two."""
    found = of_rows(name, key)
    both = {f"both {stage}": of_both(found, stage) for stage in CHAIN}
    return {**found, **both, "both imagenet": found["imagenet"]}


@pytest.mark.parametrize(("key", "word", "title", "name"), MESA)
def test_the_chain_of_mesa(key, word, title, name):
    scores = of_stages(name, key)
    found = re.findall(
        rf"^\| {re.escape(word)}, {title}, (16 maps|all \d+|over both) \|(.*)$",
        section("Masked, geometric, supervised"),
        re.MULTILINE,
    )
    counts = sorted({count for count, _ in scores["imagenet"]})
    assert [which.split()[0 if "maps" in which else 1] for which, _ in found] == [
        "16",
        str(counts[1]),
        "both",
    ]
    for count, (_, line) in zip([*counts, None], found, strict=True):
        own = of_count(scores, count)
        expected = [one for a, b in STEPS for one in paired(own[f"both {a}"], own[f"both {b}"])]
        if count is not None:
            spread = [of(own[row].values()) for row in ("random", "imagenet") for of in (mean, stdev)]
            for stage in CHAIN:
                spread += [mean(own[row].values()) for row in (stage, f"{stage}_again")]
            expected = [*spread, *expected]
        assert numbers(line) == pytest.approx(expected, abs=6e-4)
        check_bold(line)
