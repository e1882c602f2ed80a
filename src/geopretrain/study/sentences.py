"""What the numbers support, in words; also when that is "no difference could be told"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from geopretrain.study.measures import MIOU, RESIDUAL, Measure
from geopretrain.study.statistics import MIN_SUBSETS, PairedDifference, mean
from geopretrain.study.summary import Row, headline_rows, last_steps
from geopretrain.wording import counted

MODE_WORDS = {
    "full": "all layers trained",
    "encoder": "a new decoder, all layers trained",
    "frozen": "the encoder frozen",
}
UNCLEAR = "no difference could be told"
NO_SPREAD = "the difference is the same with every seed, so there is no interval"
NOT_MEASURED = "not measured"
MAX_SENTENCES = 4
"""Of a headline; of more initialisations it says which were better and which worse."""


def score(row: Row, measure: Measure = MIOU) -> str:
    """Write the scores of a row: ``31.2 ± 0.4``, or why there is no such thing."""
    return f"{measure.show(row.mean)} {spread(row, measure)}" if row.values else spread(row, measure)


def spread(row: Row, measure: Measure = MIOU) -> str:
    """Write the spread of the seeds (of sets with a seed each, of these), or why there is none."""
    if not row.values:
        return "no result"
    if len(row.values) == 1:
        return "(one seed, no spread)"
    return f"\N{PLUS-MINUS SIGN} {measure.show(row.shown_sd)}"


def residual(bits: Row, row: Row) -> str:
    """Write the residual information of a row: ``0.612 ± 0.014``, ``not measured``, a dash without trainings.

    Args:
        bits: of `residual_rows`.
        row: the same with its scores.
    """
    if not bits.values:
        return NOT_MEASURED if row.values else "\N{EN DASH}"
    return score(bits, RESIDUAL) if len(bits.values) > 1 else RESIDUAL.show(bits.mean)


def interval(difference: PairedDifference, measure: Measure = MIOU) -> str:
    """Write ``+0.7 points (95 % interval -2.9 to +4.3)``."""
    if not difference.has_interval:
        return f"{measure.shift(difference.mean)} with every seed"
    ends = ends_of(difference, measure)
    over = over_what(difference)
    text = f"{measure.shift(difference.mean)} ({difference.level:.0%} interval{over} {ends})"
    return text.replace("%", " %")


def over_what(difference: PairedDifference) -> str:
    """Say what an interval is over, where there are several sets of labelled images."""
    count = len(difference.by_subset)
    if difference.over == "subsets":
        return f" over {count} subsets"
    return f" over all trainings of {count} subsets" if difference.over == "pairs" else ""


def ends_of(difference: PairedDifference, measure: Measure) -> str:
    """Write ``-2.9 to +4.3``."""
    return f"{measure.show(difference.low, sign=True)} to {measure.show(difference.high, sign=True)}"


def row_sentence(
    row: Row, baseline: Row, last: int, measure: Measure = MIOU, *, several: bool = False
) -> str:
    """Say what one row shows against the first initialisation; of how many labels, where ``several``."""
    with_labels = f", {measure.counted(row.labels)}" if row.labels and several else ""
    where = f"{MODE_WORDS.get(row.mode, row.mode)}{with_labels}, {_when(row, last)}"
    values = (
        f"{row.init} reaches {score(row, measure)} {measure.with_direction()} against "
        f"{score(baseline, measure)} for {baseline.init} "
        f"({_trainings(row)})"
    )
    missing = [one.init for one in (row, baseline) if not one.values]
    if missing:
        return f"{where[0].upper()}{where[1:]}: no training of {' and '.join(missing)} ended with a score."
    if row.difference is None:
        return f"{where[0].upper()}{where[1:]}: {values}; too few common seeds for a difference."
    verdict = {
        "better": f"{row.init} is better",
        "worse": f"{row.init} is worse",
        "unclear": UNCLEAR,
        "no spread": NO_SPREAD,
    }[row.difference.verdict]
    return f"{where[0].upper()}{where[1:]}: {values}; {interval(row.difference, measure)}: {verdict}."


def _trainings(row: Row) -> str:
    if row.num_subsets < 2:
        return counted(len(row.values), "seed")
    return f"{counted(len(row.values), 'training')} of {row.num_subsets} subsets"


def took(row: Row) -> str:
    """Write the steps that trainings took which validation ended: ``240 (180-300)``."""
    least, most = min(row.trained, default=0), max(row.trained, default=0)
    average = round(mean(row.trained)) if row.trained else 0
    return str(average) if least == most else f"{average} ({least}-{most})"


def ending_in_words(ending: Mapping[str, Any], measure: Measure = MIOU) -> str:
    """Say what ended the trainings, and on which images that was decided."""
    every = any_of(dict.fromkeys(ending["validate_every"].values()))
    of = {
        "val": f"{ending['images']} images of the val split",
        "train": f"{ending['images']} training images that are not learned from",
    }.get(ending["split"], "held-out samples of the data")
    if not ending["images"]:
        of = "held-out samples of the data"
    return (
        f"Each training ended when {ending['monitor']} was no better in "
        f"{counted(ending['patience'], 'validation')} in a row, one every {every} steps, and its best "
        f"weights were scored. Validated was on {of}, which are not scored and not counted among the "
        f"{measure.learned}s."
    )


def any_of(numbers: Iterable[int]) -> str:
    """Return ``4, 16 or 64``."""
    *before, last = map(str, numbers)
    return f"{', '.join(before)} or {last}" if before else last


def _when(row: Row, last: int) -> str:
    step = row.step
    if row.trained:
        return f"ended by validation after at most {last} steps"
    if step == last:
        return f"after all {last} steps" if last > 1 else "after the only step"
    return f"after {step} of {last} steps"


def sentences(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """One sentence for each initialisation but the first, each mode, after few steps and at the end."""
    several = len({row.labels for row in rows}) > 1
    return [
        row_sentence(row, baseline, last, measure, several=several) for row, baseline, last in _claims(rows)
    ]


Claim = tuple[Row, Row, int]
"""A row, that of the first initialisation beside it, and the last step."""


def _claims(rows: Sequence[Row]) -> list[Claim]:
    first, last = rows[0].init if rows else "", last_steps(rows)
    at = {(row.mode, row.labels, row.init, row.step): row for row in rows}
    claims = []
    for row in headline_rows(rows):
        baseline = at.get((row.mode, row.labels, first, row.step))
        if row.init != first and baseline is not None:
            claims.append((row, baseline, last[row.labels]))
    return claims


def headline(rows: Sequence[Row], labels: int | None, measure: Measure = MIOU) -> str:
    """Say what came out: a sentence for each mode and each initialisation but the first, or the groups.

    Args:
        rows: of the table.
        labels: how many there are, where all rows are of the same; None: all.
        measure: the score.
    """
    claims = _claims(rows)
    first = f"With {labels or 'all'} {measure.images}"
    if claims and len(counts := list(dict.fromkeys(row.labels for row, _, _ in claims))) > 1:
        return _of_several_counts(counts, claims, measure)
    if not claims:
        return f"{first}: there is nothing to compare."
    pairs = list(dict.fromkeys((row.mode, row.init) for row, _, _ in claims))
    if len(pairs) > MAX_SENTENCES:
        return _grouped(first, claims, measure)
    parts = [_headline_of([c for c in claims if (c[0].mode, c[0].init) == pair], measure) for pair in pairs]
    opening = f"{first} and {parts[0][0]}, {parts[0][1]}"
    return " ".join([opening, *(f"With {mode}, {text}" for mode, text in parts[1:])])


def _of_several_counts(counts: Sequence[int | None], claims: Sequence[Claim], measure: Measure) -> str:
    """Say for each number of labels which initialisations were better and worse at the end."""
    said = [
        _groups(f"With {measure.counted(labels)}", [c for c in claims if c[0].labels == labels], measure)
        for labels in counts
    ]
    return " ".join([*said, _brackets(measure)])


def _grouped(first: str, claims: Sequence[Claim], measure: Measure) -> str:
    """Say which initialisations were better and worse than the first one at the end, mode by mode."""
    return f"{_groups(first, claims, measure)} {_brackets(measure)}"


def _brackets(measure: Measure) -> str:
    less = ", lower is better" if measure.lower else ""
    return f"In brackets: the difference of {measure.name}{less}."


def _groups(first: str, claims: Sequence[Claim], measure: Measure) -> str:
    at_end = {(row.mode, row.init): row for row, _, _ in claims}  # the last step of each comes last
    said: list[str] = []
    for mode in dict.fromkeys(mode for mode, _ in at_end):
        rows = [row for (its_mode, _), row in at_end.items() if its_mode == mode]
        groups = [text for verdict in _GROUPS if (text := _group(verdict, rows, claims[0][1].init, measure))]
        opening = f"{first} and" if not said else "With"
        said.append(f"{opening} {MODE_WORDS.get(mode, mode)}, at the end: {'; '.join(groups)}.")
    return " ".join(said)


_GROUPS = {
    "better": "better than {other} {are} {names}",
    "worse": "worse than {other} {are} {names}",
    "unclear": UNCLEAR + " between {other} and {names}",
    "no spread": "without an interval {are} {names}",
    None: "too few common seeds {have} {names}",
}


def _group(verdict: str | None, rows: Sequence[Row], other: str, measure: Measure) -> str:
    """Return a part of `_grouped`: the initialisations of one verdict, '' where there are none."""
    these = [row for row in rows if (row.difference.verdict if row.difference else None) == verdict]
    if not these:
        return ""
    names = [
        f"{row.init} ({measure.shift(row.difference.mean)})" if row.difference else row.init for row in these
    ]
    are, have = ("is", "has") if len(names) == 1 else ("are", "have")
    return _GROUPS[verdict].format(other=other, are=are, have=have, names=", ".join(names))


# What happened early and at the end.
_COURSES = {
    ("better", "better"): "{init} is better than {other}, early and at the end",
    ("better", "unclear"): "{init} starts better than {other}, but at the end no difference could be told",
    ("better", "worse"): "{init} starts better than {other} but ends worse",
    ("unclear", "better"): "{init} ends better than {other}, though early no difference could be told",
    ("unclear", "unclear"): f"{UNCLEAR} between {{init}} and {{other}}, neither early nor at the end",
    ("unclear", "worse"): "{init} ends worse than {other}, though early no difference could be told",
    ("worse", "better"): "{init} starts worse than {other} but ends better",
    ("worse", "unclear"): "{init} starts worse than {other}, but at the end no difference could be told",
    ("worse", "worse"): "{init} is worse than {other}, early and at the end",
}
_ONE_POINT = {
    "better": "{init} is better than {other}",
    "worse": "{init} is worse than {other}",
    "unclear": f"{UNCLEAR} between {{init}} and {{other}}",
}


def _headline_of(claims: Sequence[Claim], measure: Measure) -> tuple[str, str]:
    """Return the mode in words and what happened in it to one initialisation."""
    row, baseline, _ = claims[-1]
    mode = MODE_WORDS.get(row.mode, row.mode)
    if row.difference is None:
        return mode, f"{row.init} and {baseline.init} have too few common seeds to be compared."
    if not row.difference.has_interval:
        return mode, _without_spread(row, baseline, measure)
    early = claims[0][0].difference
    course = (
        _COURSES[early.verdict, row.difference.verdict]
        if len(claims) > 1 and early is not None and early.has_interval
        else _ONE_POINT[row.difference.verdict]
    )
    ends = ends_of(row.difference, measure)
    less = ", lower is better" if measure.lower else ""
    over = over_what(row.difference)
    amount = f"{measure.shift_of(row.difference.mean)}{less}, 95 % interval{over} {ends}"
    return mode, f"{course.format(init=row.init, other=baseline.init)} ({amount})."


def _without_spread(row: Row, baseline: Row, measure: Measure) -> str:
    assert row.difference is not None  # the caller has looked
    what = (
        f"{row.init} and {baseline.init} score the same with every seed"
        if not round(row.difference.mean, 9)
        else f"{row.init} and {baseline.init} differ by {interval(row.difference, measure)}"
    )
    return f"{what}: {NO_SPREAD}."


def _what_varies(rows: Sequence[Row], measure: Measure) -> str:
    """Say what the intervals are about, and what they are not."""
    subsets = max((row.num_subsets for row in rows), default=0)
    seeds = "The seeds vary the new layers, the order of the images and their flips"
    if subsets < 2:
        return (
            f"{seeds}. The {measure.images}, the scored images and each pre-training are one draw: the "
            f"intervals say nothing about other {measure.learned}s or another pre-training."
        )
    fixed = "The scored images and each pre-training are one draw, of which the intervals say nothing."
    own = all(row.num_subsets in (1, len(row.values)) for row in rows)
    which = "a seed of its own" if own else "every seed"
    drawn = f"{seeds}; {subsets} sets of {measure.images} were drawn, each with {which}"
    if own:
        return (
            f"{drawn}. Intervals are over these, each drawn by chance, so that they hold for other "
            f"{measure.learned}s, too. {fixed}"
        )
    if subsets < MIN_SUBSETS:
        return (
            f"{drawn}. They are too few for an interval over them, so it is over all trainings and says "
            f"nothing about other {measure.learned}s; {MIN_SUBSETS} sets and more tell. {fixed}"
        )
    return (
        f"{drawn}. Intervals are over these sets and the seeds, both drawn by chance, so that they hold for "
        f"other {measure.learned}s, too. {fixed}"
    )


def cautions(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """What a reader must know before believing the intervals."""
    compared = [row for row in rows if row.difference is not None and row.difference.has_interval]
    seeds = max((len(set(row.seeds)) for row in rows), default=0)
    most = {
        labels: max(len(row.values) for row in rows if row.labels == labels) for labels in last_steps(rows)
    }
    said = [_what_varies(rows, measure)]
    if len(compared) > 1:
        said.append(
            f"{len(compared)} differences are shown, each with its own 95 % interval; by chance alone about "
            "one in twenty such intervals misses zero although nothing differs."
        )
    if any(row.mode == "frozen" and row.init == "random" for row in rows):
        said.append(
            "A frozen random encoder has random features; only the statistics of its normalisation layers "
            "were measured on the labelled training images before it was frozen."
        )
    if seeds < 5:
        count = f"{seeds} {'seed' if seeds == 1 else 'seeds'}"
        said.append(f"Only {count}: the intervals are wide, and 5 or more are advisable.")
    if any(row.difference is not None and not row.difference.has_interval for row in rows):
        said.append(
            "Where a difference is the same with every seed, it has no spread: how far chance goes "
            "is unknown, and no interval is given."
        )
    fewer = sorted({row.init for row in rows if len(row.values) < most[row.labels]})
    if fewer:
        said.append(
            f"Not every training of {', '.join(fewer)} ended with a score: means and spreads are over those "
            "that did, and which trainings fail is no accident."
        )
    return said
