"""Chosen labelled images against those that are drawn: what choosing is worth to each initialisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.sentences import MODE_WORDS, NO_SPREAD, UNCLEAR, interval
from geopretrain.study.statistics import (
    Key,
    difference_by_subset,
    mean,
    standard_deviation,
    subset_means,
)
from geopretrain.study.summary import difference_from_dict

CHOSEN = "chosen"
"""Subset of the trials of a list."""
CAUTION = (
    "The chosen images are one list: the interval is about the images that are drawn, and says nothing of "
    "what another choice by the same rule would give."
)
ONE_SET = " than this one set, which may be a good or a bad one: draw several (--subsets 5)"


def without_chosen(outcomes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the trials whose labelled images were drawn."""
    return [one for one in outcomes if one.get("subset") != CHOSEN]


def compare_choice(
    outcomes: Sequence[dict[str, Any]],
    inits: Sequence[str],
    modes: Sequence[str],
    measure: Measure = MIOU,
) -> list[dict[str, Any]]:
    """Return what the chosen images give against drawn ones, for each mode, number of labels and init.

    Every training with drawn images is paired with that of the same seed with the chosen ones, at the end.

    Returns:
        ``mode, init, labels, chosen, chosen_sd, drawn`` (means), ``subsets`` (drawn sets), ``beaten`` (those
        of them whose mean is worse), ``difference`` (of chosen to drawn; None with fewer than two pairs), and
        the ``sentence``. Empty without a list.
    """
    scores: dict[tuple[str, int | None, str], dict[tuple[Any, int], float]] = {}
    for one in outcomes:
        if (score := one["curve"][-1][measure.key]) is not None and math.isfinite(score):
            group = scores.setdefault((one["mode"], one.get("labels"), one["init"]), {})
            group[one.get("subset", 0), int(one["seed"])] = float(score)
    counts = sorted({labels for _, labels, _ in scores}, key=lambda labels: labels or 0)
    rows = []
    for mode in modes:
        for labels in counts:
            for init in inits:
                row = _row(scores.get((mode, labels, init), {}), measure)
                if row is not None:
                    what = {"mode": mode, "init": init, "labels": labels}
                    rows.append({**what, **row, "sentence": _sentence({**what, **row}, measure)})
    return rows


def _row(scores: Mapping[tuple[Any, int], float], measure: Measure) -> dict[str, Any] | None:
    chosen = {seed: value for (subset, seed), value in scores.items() if subset == CHOSEN}
    drawn: dict[Key, float] = {key: value for key, value in scores.items() if key[0] != CHOSEN}
    paired = {key: chosen[key[1]] for key in sorted(drawn) if key[1] in chosen}
    if not paired:
        return None
    difference = difference_by_subset(paired, drawn, lower=measure.lower)
    shifts = subset_means({key: value - drawn[key] for key, value in paired.items()})
    values = [chosen[seed] for seed in sorted(chosen)]
    return {
        "chosen": mean(values),
        "chosen_sd": standard_deviation(values) if len(values) > 1 else None,
        "drawn": mean(subset_means(drawn)),
        "subsets": len(shifts),
        "beaten": sum((shift < 0) if measure.lower else (shift > 0) for shift in shifts),
        "difference": None if difference is None else {**asdict(difference), "verdict": difference.verdict},
    }


def _sentence(row: Mapping[str, Any], measure: Measure) -> str:
    where = f"{MODE_WORDS.get(row['mode'], row['mode'])}, {measure.counted(row['labels'])}"
    sets = "the set that was drawn" if row["subsets"] == 1 else f"{row['subsets']} sets that were drawn"
    said = (
        f"{where[0].upper()}{where[1:]}: with the chosen images {row['init']} reaches "
        f"{measure.show(row['chosen'])} {measure.with_direction()} against {measure.show(row['drawn'])} with "
        f"{sets}"
    )
    beaten = f" ({row['beaten']} of {row['subsets']} are worse)" if row["subsets"] > 1 else ""
    if row["difference"] is None:
        return f"{said}{beaten}; too few common seeds for a difference."
    found = difference_from_dict(row["difference"])
    than = ONE_SET if row["subsets"] == 1 else ""
    verdict = {
        "better": f"choosing is better{than}",
        "worse": f"choosing is worse{than}",
        "unclear": UNCLEAR,
        "no spread": NO_SPREAD,
    }[found.verdict]
    return f"{said}{beaten}; {interval(found, measure)}: {verdict}."
