"""The tables of ``docs/results`` follow from the scores of single trainings that lie beside them."""

from __future__ import annotations

import re
from collections import defaultdict
from statistics import mean, stdev, variance

import pytest
from recomputing import NUMBER, RESULTS, paired, trainings
from scipy import stats

PAGE = RESULTS / "what-helps.md"
SECTIONS = {
    "instrument": "## First round",
    "levers": "## Second round",
    "joint": "## Depth learned beside the labels",
    "shown": "## Depth as an input",
    "more": "## Four more levers",
    "video": "## More pixels",
    "all": "## All together",
    "indoors": "## The second domain",
    "final": "## The end",
    "choice": "## Which images to label",
    "control": "## Is it depth",
    "propagated": "## Labels carried",
    "few-depths": "## Metres from a few LiDAR maps",
    "few-room": "## Metres from a few depth maps of a room",
}


def scores(name: str, key: str, factor: float) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the scores at the end, by row, and by labels, set and seed."""
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    lines = trainings(f"what-helps-{name}")
    last = max(int(line["step"]) for line in lines)
    for line in lines:
        if int(line["step"]) == last:
            found[line["row"]][line["labels"], line["subset"], line["seed"]] = factor * float(line[key])
    return found


def section(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index(SECTIONS[name])
    return text[begin : text.find("\n## ", begin + 1)]


def numbers(name: str, row: str) -> list[float]:
    """Return every number in the line of the section's table that begins with ``row``."""
    titles = {"imagenet": "ImageNet", "random": "random numbers"}
    lines = re.findall(
        rf"^\| (?:{re.escape(titles.get(row, f'*{row}*'))}) \|(.*)\|$", section(name), re.MULTILINE
    )
    assert len(lines) == 1, (name, row)
    return [float(one) for one in re.findall(NUMBER, lines[0])]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (name, row)
        for name in ("levers", "joint", "shown", "more", "video", "all")
        for row in scores(name, "miou", 100)
        if row != "imagenet"
    ],
)
def test_differences_of_segmentation(name, row):
    found = scores(name, "miou", 100)
    *single, difference, low, high, _ = numbers(name, row)
    assert single == pytest.approx([found[row][place] for place in sorted(found[row])], abs=0.06)
    assert (difference, low, high) == pytest.approx(paired(found["imagenet"], found[row]), abs=0.11)


@pytest.mark.parametrize("row", ["random", "plain", "kept"])
def test_differences_of_depth(row):
    errors, lengths = scores("indoors", "abs_rel", 1), scores("indoors", "rmse", 1)
    *single, average, spread, difference, low, high, length, apart, below, above = numbers("indoors", row)
    assert single == pytest.approx(list(errors[row].values()), abs=6e-4)
    assert (average, spread) == pytest.approx((mean(single), stdev(single)), abs=1.1e-3)
    assert (difference, low, high) == pytest.approx(paired(errors["imagenet"], errors[row]), abs=6e-4)
    assert length == pytest.approx(mean(lengths[row].values()), abs=6e-4)
    assert (apart, below, above) == pytest.approx(paired(lengths["imagenet"], lengths[row]), abs=6e-4)


@pytest.mark.parametrize("row", ["imagenet", "random"])
@pytest.mark.parametrize("labels", ["4", "16", "64"])
def test_spread_over_sets_of_labels(row, labels):
    """The page was made from more digits than the file has, which are those of the page."""
    own = [value for place, value in scores("instrument", "miou", 100)[row].items() if place[0] == labels]
    line = re.search(
        rf"\| {labels} \| {', '.join(f'{value:.1f}' for value in own)} \| (.*?) \|", section("instrument")
    )
    assert line is not None
    assert len(own) == 3
    printed = [float(one) for one in re.findall(NUMBER, line[1])]
    assert printed == pytest.approx([mean(own), stdev(own)], abs=0.11)


@pytest.mark.parametrize("labels", ["4", "16", "64"])
@pytest.mark.parametrize(
    ("row", "name"),
    [("all layers", "final"), ("a decoder", "final-frozen"), ("a linear layer", "final-linear")],
)
def test_differences_on_test_images(row, name, labels):
    points, bits = (
        {init: of_labels(found, labels) for init, found in scores(name, key, factor).items()}
        for key, factor in (("miou", 100), ("residual_information", 1))
    )
    (line,) = re.findall(rf"^\| \*{row}\* \| {labels} \|(.*)\|$", section("final"), re.MULTILINE)
    *means, difference, low, high, _, apart, below, above = [float(one) for one in re.findall(NUMBER, line)]
    places = sorted(points["imagenet"])
    assert len(places) == 16
    sets = sorted({place[1] for place in places})
    expected = [
        mean(points[init][place] for place in places if place[1] == one)
        for init in ("imagenet", "depth")
        for one in sets
    ]
    assert means == pytest.approx(expected, abs=0.06)
    assert (difference, low, high) == pytest.approx(paired(points["imagenet"], points["depth"]), abs=0.06)
    assert (apart, below, above) == pytest.approx(paired(bits["imagenet"], bits["depth"]), abs=0.006)
    better = sum(points["depth"][place] > points["imagenet"][place] for place in places)
    assert f"{better} of 16" in line


def of_labels(found: dict[tuple[str, ...], float], labels: str) -> dict[tuple[str, ...], float]:
    return {place: value for place, value in found.items() if place[0] == labels}


@pytest.mark.parametrize(
    ("key", "factor", "within"), [("miou", 100, 0.06), ("residual_information", 1, 0.006)]
)
def test_differences_of_carried_labels(key, factor, within):
    found = scores("propagated", key, factor)
    title = {"miou": "mIoU", "residual_information": "bits"}[key]
    (line,) = re.findall(rf"^\| {title}\b.*\|$", section("propagated"), re.MULTILINE)
    difference, low, high = [float(one) for one in re.findall(NUMBER, line)][-3:]
    assert (difference, low, high) == pytest.approx(paired(found["alone"], found["carried"]), abs=within)


@pytest.mark.parametrize("row", ["depth", "refined"])
def test_differences_of_labels_carried_in_other_ways(row):
    printed = numbers("propagated", row)
    for key, factor, within, found in (
        ("miou", 100, 0.06, printed[:11]),
        ("residual_information", 1, 0.006, printed[11:]),
    ):
        values = scores("propagated", key, factor)
        assert found[:8] == pytest.approx([values[row][place] for place in sorted(values[row])], abs=within)
        assert found[8:] == pytest.approx(paired(values["alone"], values[row]), abs=within)


FEW = [
    *(
        ("few-depths", "few-depths", "depth", mode, labels)
        for mode in ("full", "encoder")
        for labels in ("4", "16")
    ),
    *(("few-depths", "few-depths", "again", "full", labels) for labels in ("4", "16")),
    *(("few-depths", "few-depths-as-built", "as built", "full", labels) for labels in ("4", "16")),
    *(
        ("few-room", "few-depths-indoors", "depth", mode, labels)
        for mode in ("full", "encoder")
        for labels in ("4", "16")
    ),
]


@pytest.mark.parametrize(("place", "name", "row", "mode", "labels"), FEW)
def test_differences_of_few_depths(place, name, row, mode, labels):
    own = [
        line for line in trainings(f"what-helps-{name}") if (line["mode"], line["labels"]) == (mode, labels)
    ]
    pattern = rf"^\| {row} \| {labels} \| \*{mode}\* \|(.*)\|$"
    (line,) = re.findall(pattern, section(place), re.MULTILINE)
    printed, init = [float(one) for one in re.findall(NUMBER, line)], "depth" if row == "as built" else row
    for key, found, within in (("abs_rel", printed[:7], 6e-4), ("rmse", printed[7:], 6e-3)):
        first, other = (
            {(one["seed"],): float(one[key]) for one in own if one["row"] == which}
            for which in ("imagenet", init)
        )
        assert len(first) == len(other) == 8
        spreads = [of for values in (first, other) for of in (mean(values.values()), stdev(values.values()))]
        assert found == pytest.approx([*spreads, *paired(first, other)], abs=within)


def of_sets(row: str, labels: str) -> dict[tuple[str, str], float]:
    """Return the scores by set of labelled images and seed."""
    found = {
        place[1:]: value for place, value in scores("choice", "miou", 100)[row].items() if place[0] == labels
    }
    assert len(found) == 16
    return found


def over_sets_and_seeds(apart: dict[tuple[str, str], float]) -> tuple[float, float, float]:
    """Return a mean and its interval of 95 %, the wider one of over sets and over two crossed effects."""
    sets, seeds = (sorted({place[k] for place in apart}) for k in (0, 1))
    set_means = {one: mean(apart[one, seed] for seed in seeds) for one in sets}
    seed_means = {seed: mean(apart[one, seed] for one in sets) for seed in seeds}
    a, b, centre = len(sets), len(seeds), mean(apart.values())
    squares = b * variance(set_means.values()), a * variance(seed_means.values())
    rest = [(value - set_means[one] - seed_means[seed] + centre) ** 2 for (one, seed), value in apart.items()]
    error = sum(rest) / ((a - 1) * (b - 1))
    halves = [stats.t.ppf(0.975, a - 1) * (squares[0] / (a * b)) ** 0.5]
    if squares[1] > error:
        whole = sum(squares) - error
        free = whole**2 / (
            squares[0] ** 2 / (a - 1) + squares[1] ** 2 / (b - 1) + error**2 / ((a - 1) * (b - 1))
        )
        halves.append(stats.t.ppf(0.975, free) * (whole / (a * b)) ** 0.5)
    return centre, centre - max(halves), centre + max(halves)


@pytest.mark.parametrize("by", ["imagenet", "depth"])
@pytest.mark.parametrize("labels", ["4", "16"])
@pytest.mark.parametrize("row", ["imagenet", "depth"])
def test_chosen_images_against_drawn_ones(row, labels, by):
    title, chosen_in = ({"imagenet": "ImageNet"}.get(one, one) for one in (row, by))
    (line,) = re.findall(
        rf"^\| {title} \| {labels} \| ([^|]*) \| {chosen_in} \|(.*)\|$", section("choice"), re.MULTILINE
    )
    found = of_sets(row, labels)
    drawn = {place: value for place, value in found.items() if not place[0].startswith("by_")}
    chosen = {seed: value for (one, seed), value in found.items() if one == f"by_{by}"}
    means = [mean(drawn[str(one), seed] for seed in chosen) for one in range(6)]
    apart = {place: chosen[place[1]] - value for place, value in drawn.items()}
    expected = [mean(means), stdev(means), mean(chosen.values()), *over_sets_and_seeds(apart)]
    assert [float(one) for one in re.findall(NUMBER, " ".join(line))] == pytest.approx(expected, abs=0.06)
    assert f"{sum(value < mean(chosen.values()) for value in means)} of 6" in line[1]


@pytest.mark.parametrize(
    ("labels", "words"), [("16", r"by (.*?) points with 16"), ("4", r"and by (.*?) with 4\.")]
)
def test_depth_on_the_drawn_sets(labels, words):
    first, other = of_sets("imagenet", labels), of_sets("depth", labels)
    apart = {place: other[place] - first[place] for place in first if not place[0].startswith("by_")}
    (said,) = re.findall(rf"depth is above ImageNet.*?{words}", section("choice"))
    printed = [float(one) for one in re.findall(NUMBER, said)][-3:]
    assert printed == pytest.approx(over_sets_and_seeds(apart), abs=0.06)


@pytest.mark.parametrize(
    ("labels", "said"), [("4", "{0} points of mIoU"), ("16", "with 16 labels {0}"), ("64", "with 64 {0}")]
)
def test_freezing_against_training_all_layers(labels, said):
    whole, frozen = (
        of_labels(scores(name, "miou", 100)["imagenet"], labels) for name in ("final", "final-frozen")
    )
    text = " ".join(section("final").split())
    found = re.search(
        said.format(rf"({NUMBER} \[{NUMBER}, {NUMBER}\])"), text[text.index("freezing is worth") :]
    )
    assert found is not None
    assert [float(one) for one in re.findall(NUMBER, found[1])] == pytest.approx(
        paired(whole, frozen), abs=0.06
    )


@pytest.mark.parametrize("row", ["depth", "again", "simmim"])
def test_differences_of_the_control(row):
    places: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    for line in trainings("what-helps-control"):
        places[line["row"], line["step"]][line["subset"], line["seed"]] = 100 * float(line["miou"])
    own, first = places[row, "600"], places["imagenet", "600"]
    assert numbers("control", "imagenet") == pytest.approx(
        [first[place] for place in sorted(first)], abs=0.06
    )
    *single, mean_600, low_600, high_600, _, a, b, c, d, e, f = numbers("control", row)
    assert single == pytest.approx([own[place] for place in sorted(own)], abs=0.06)
    printed = {"600": (mean_600, low_600, high_600), "300": (a, b, c), "150": (d, e, f)}
    for step, found in printed.items():
        assert found == pytest.approx(paired(places["imagenet", step], places[row, step]), abs=0.06)
    assert f"{sum(own[place] > first[place] for place in own)} of 8" in section("control")


@pytest.mark.parametrize(
    ("row", "start"), [("random numbers", "random"), ("ImageNet", "imagenet"), ("depth after it", "depth")]
)
def test_table_1_of_lao_et_al_with_and_without_defects(row, start):
    found = {(line["row"], line["mode"], line["seed"]): line for line in trainings("lao-table-1-as-released")}
    expected = [
        100 * float(found[f"{start}{released}", mode, seed][score])
        for mode in ("full", "frozen")
        for released in ("", "_released")
        for score in ("miou", "miou_without_class_0")
        for seed in ("400", "401")
    ]
    page = (
        (RESULTS.parent / "real-data.md")
        .read_text(encoding="utf-8")
        .partition("Table 1 of Lao et al. with")[2]
    )
    line = re.search(rf"^\| {row} \|(.*)$", page, re.MULTILINE)
    assert line is not None
    assert [float(value) for value in re.findall(NUMBER, line[1])] == pytest.approx(expected, abs=0.06)
