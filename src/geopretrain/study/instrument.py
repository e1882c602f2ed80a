"""Whether a comparison can tell what it is asked: is its budget long enough, do all of its classes count,
does one set of labelled images decide, are more labels worth more?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.statistics import MIN_SUBSETS, Key, difference_by_subset, mean, of_every_set
from geopretrain.study.summary import Row, last_rows
from geopretrain.wording import counted

STILL_MOVES = 0.05
"""Improvement over the second half of the steps, relative to the score at the end, that is no end yet."""
NAMED = 4
"""Initialisations that are named one by one."""
CLASSES_NAMED = 12
"""Classes that are named one by one."""
AT_ZERO = 0.005
"""Score of a class below which nothing of it is found."""
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "unclear": "not told apart",
    "no spread": "the same in every training",
    "too few": "of too few trainings",
}
Names = Sequence[str]


def budget_cautions(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """Return a sentence for each mode in which trainings still improve at the end of their steps.

    An initialisation does where each of its seeds has become better since half of the steps, by 5 % of the
    score together; without a point of the curve near half of them nothing is known.
    """
    said = []
    for mode, labels in dict.fromkeys((row.mode, row.labels) for row in rows):
        own = [row for row in rows if (row.mode, row.labels) == (mode, labels)]
        last = max(row.step for row in own)
        half = min((row.step for row in own), key=lambda step: abs(step - last / 2))
        if not last / 4 <= half <= 3 * last / 4:
            continue
        at = {(row.init, row.step): row for row in own}
        gains = {init: _gain(at[init, half], at[init, last], measure) for init, step in at if step == last}
        if moving := {init: gain for init, gain in gains.items() if gain is not None}:
            said.append(
                f"Mode {mode}{_with_labels(rows, labels, measure)}: from step {half} to the last, "
                f"{last}, every training of "
                f"{_moving(moving, len(gains), measure)} became "
                "better. Such scores measure how fast something fits as much as what it is worth: the budget "
                "is too short to rank them. More --steps tell what they end at."
            )
    return said


def _moving(gains: Mapping[str, float], among: int, measure: Measure) -> str:
    """Name the initialisations that go on, each with its gain; many of them by the least and the largest."""
    if len(gains) <= NAMED:
        return ", ".join(f"{init} ({measure.shift_of(gain)})" for init, gain in gains.items())
    least, largest = sorted(gains.values(), key=abs)[:: len(gains) - 1]
    return f"{len(gains)} of {among} initialisations ({measure.shift(least)} to {measure.shift_of(largest)})"


def _gain(half: Row, last: Row, measure: Measure) -> float | None:
    """Return the mean change between two points where it goes on, None where it does not."""
    before, after = half.keyed, last.keyed
    changes = [after[key] - before[key] for key in after if key in before]
    better = [change < 0 if measure.lower else change > 0 for change in changes]
    if not changes or not all(better):
        return None
    change = mean(changes)
    return change if abs(change) > STILL_MOVES * abs(last.mean) else None


def limit_cautions(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """Return a sentence for each mode in which trainings came to the last step while validation rose."""
    said = []
    for mode, labels in dict.fromkeys((row.mode, row.labels) for row in rows):
        own = [row for row in rows if (row.mode, row.labels) == (mode, labels) and row.at_limit]
        if own:
            which = ", ".join(f"{row.at_limit} of {len(row.values)} of {row.init}" for row in own)
            said.append(
                f"Mode {mode}{_with_labels(rows, labels, measure)}: trainings came to the last step, "
                f"{own[0].step}, before validation ended them ({which}): the budget is too short to rank "
                "them. More --steps let them end by themselves."
            )
    return said


def _with_labels(rows: Sequence[Row], labels: int | None, measure: Measure) -> str:
    """Return the number of labels as a part of a sentence, where there are several."""
    return f", {measure.counted(labels)}" if len({row.labels for row in rows}) > 1 else ""


def subset_cautions(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """Return a sentence for each difference at the end whose verdict hangs on one set of labelled images.

    That is one whose verdict is another where this set is left out. Where fewer than 3 would be left, both
    verdicts are those of intervals over all trainings: one over two sets is too wide to tell anything. So is
    one over two trainings, and then nothing is said.
    """
    first = rows[0].init if rows else ""
    last = last_rows(rows)
    baselines = {(row.mode, row.labels): row for row in last if row.init == first}
    said = []
    for row in last:
        baseline = baselines[row.mode, row.labels]
        if row.difference is None or not _may_lack_one(row.keyed.keys() & baseline.keyed.keys()):
            continue
        verdict, others = _without_each(row, baseline, measure)
        if deciding := {subset: other for subset, other in others.items() if other != verdict}:
            told = ", ".join(f"without subset {k} {VERDICTS[other]}" for k, other in deciding.items())
            said.append(
                f"Mode {row.mode}{_with_labels(rows, row.labels, measure)}: one set of {measure.images} "
                f"decides. With all {row.num_subsets}, {row.init} against {first} is {VERDICTS[verdict]}; "
                f"{told}. More --subsets tell."
            )
    return said


def _may_lack_one(pairs: Collection[Key]) -> bool:
    """Return whether enough pairs are left without any set: of two sets with a seed each nothing is told."""
    sets = Counter(subset for subset, _ in pairs)
    most = max(sets.values(), default=0)
    return len(sets) > 1 and len(pairs) - most >= (2 if most > 1 else MIN_SUBSETS)


def _without_each(row: Row, baseline: Row, measure: Measure) -> tuple[str, dict[int, str]]:
    """Return the verdict over all sets of labelled images, and that without each of them."""
    over_subsets = row.num_subsets > MIN_SUBSETS

    def verdict(left_out: int | None) -> str:
        own, other = ({k: v for k, v in one.keyed.items() if k[0] != left_out} for one in (row, baseline))
        found = difference_by_subset(own, other, lower=measure.lower, over_subsets=over_subsets)
        return "too few" if found is None else found.verdict

    return verdict(None), {subset: verdict(subset) for subset in sorted(set(row.subsets))}


def label_cautions(rows: Sequence[Row], measure: Measure = MIOU) -> list[str]:
    """Return a sentence for each mode in which more labels do not make the first initialisation better.

    Or in which it cannot be told whether the most of them do.
    """
    first = rows[0].init if rows else ""
    said = []
    for mode in dict.fromkeys(row.mode for row in rows):
        own = [row for row in last_rows(rows) if (row.mode, row.init) == (mode, first) and row.values]
        falls = [
            f"{measure.show(fewer.mean)} with {fewer.labels}, {measure.show(more.mean)} with {more.labels}"
            for fewer, more in pairwise(own)
            if not (more.mean < fewer.mean if measure.lower else more.mean > fewer.mean)
        ]
        if falls:
            said.append(
                f"Mode {mode}: more {measure.learned}s do not make {first} better ({measure.name} "
                f"{'; '.join(falls)}). What is measured then is no value of {measure.learned}s, but how fast "
                "something fits or which images were drawn: more --subsets, more --steps and a larger "
                "--size would help."
            )
        elif len(own) > 1:
            said += _untold_gain(own[0], own[-1], measure)
    return said


def labels_are_told_to_help(
    fewest: Mapping[Key, float], most: Mapping[Key, float], *, lower: bool = False
) -> bool:
    """Return whether the interval of what the most labels give more than the fewest excludes zero.

    Args:
        fewest: scores of each set and seed; the one set of all labels has seeds only.
        most: the same.
        lower: whether less is better.
    """
    less, more = of_every_set({0: fewest, 1: most}).values()
    found = difference_by_subset(more, less, lower=lower)
    return found is not None and found.verdict in ("better", "no spread")


def _untold_gain(fewest: Row, most: Row, measure: Measure) -> list[str]:
    """Return a sentence where chance may be what the most labels give more than the fewest."""
    if labels_are_told_to_help(fewest.keyed, most.keyed, lower=measure.lower):
        return []
    of = f"{measure.show(fewest.mean)} with {fewest.labels}, {measure.show(most.mean)} with {most.labels}"
    return [
        f"Mode {most.mode}: whether more {measure.learned}s make {most.init} better could not be told "
        f"({measure.name} {of}), so what is saved in {measure.learned}s is not said: more --seeds would tell."
    ]


def collapse_cautions(outcomes: Sequence[Mapping[str, Any]], measure: Measure = MIOU) -> list[str]:
    """Return a sentence on trainings after which one class is predicted everywhere; [] without such.

    Args:
        outcomes: numbers of trainings, with their ``confusion`` where classes are told apart.
        measure: the score.
    """
    from geopretrain.metrics.segmentation import COLLAPSED, predicted_everywhere

    trained, collapsed = Counter[str](), Counter[str]()
    for one in outcomes:
        if "confusion" in one and not one.get("adopted"):
            which = f"{one['init']}, {one['mode']}, {measure.counted(one['labels'])}"
            trained[which] += 1
            collapsed[which] += predicted_everywhere(one["confusion"]) is not None
    found = [f"{which}: {count} of {trained[which]}" for which, count in collapsed.items() if count]
    if not found:
        return []
    return [
        f"After {counted(collapsed.total(), 'training')} one class is predicted everywhere "
        f"({_some(found, '; ')}): {COLLAPSED} Their scores say that, and little of the features."
    ]


def class_cautions(
    per_class: Mapping[str, Mapping[str, Sequence[float | None]]], names: Names, measure: Measure = MIOU
) -> list[str]:
    """Return a sentence for each mode in which classes stand at 0 whatever the initialisation.

    Args:
        per_class: mean score of each class at the end, by mode and initialisation.
        names: of the classes.
        measure: the score.
    """
    said = []
    for mode, scores in per_class.items():
        columns = list(zip(names, *scores.values(), strict=True)) if names else []
        known = [(name, [one for one in values if one is not None]) for name, *values in columns]
        known = [(name, values) for name, values in known if values]
        silent = [name for name, values in known if max(values) < AT_ZERO]
        if silent:
            said.append(
                f"Mode {mode}: {_some(silent)} ({len(silent)} of {len(known)} classes) stand at 0 "
                f"whatever the initialisation: {measure.name} is decided by the others. A larger "
                "--size, more --labels or more --steps may bring them to life."
            )
    return said


def _some(names: Names, between: str = ", ") -> str:
    """Write names, of many the first."""
    left = len(names) - CLASSES_NAMED
    return between.join(names[:CLASSES_NAMED]) + (f" and {left} more" if left > 0 else "")
