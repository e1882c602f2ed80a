"""The tables of the claims' page follow from the scores of single trainings that lie beside them."""

from __future__ import annotations

import re
from statistics import mean, stdev

import pytest
from recomputing import paired, trainings
from variance import numbers, section

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
