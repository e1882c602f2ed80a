"""Several pre-trainings of one method with other seeds: what the method is worth, and not one run of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from geopretrain.study.bootstrap import LEVEL, bootstrap_interval
from geopretrain.study.inits import WORDS, NamedInit
from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.sentences import MODE_WORDS, NO_SPREAD, UNCLEAR, ends_of, interval
from geopretrain.study.statistics import Key, PairedDifference, difference_by_subset, mean
from geopretrain.study.summary import Row, difference_from_dict, last_rows
from geopretrain.wording import counted

MIN_PRETRAININGS = 3
"""Of a method, from which on something is said of yet another one."""
ANY = (
    *("seed", "out", "geopretrain", "device", "threads", "devices", "num_nodes", "strategy", "channels_last"),
    *("probe", "loggers", "log_every", "validate_every", "checkpoint_every", "checkpoint_activations"),
    *("keep", "data_root"),
)
"""Options of a pre-training that may differ between those of one method."""
THESE = {"better": "these are better", "worse": "these are worse", "unclear": UNCLEAR, "no spread": NO_SPREAD}
METHOD = {"better": "the method is better", "worse": "the method is worse"}
Drawn = tuple[int, int, int]
"""Pre-training, set of labelled images, and seed of a training."""


@dataclass(frozen=True)
class Family:
    """Initialisations that differ in the seed of their pre-training alone.

    Attributes:
        name: of the method.
        inits: their names.
    """

    name: str
    inits: tuple[str, ...]


def families(inits: Sequence[NamedInit]) -> list[Family]:
    """Return what was pre-trained more than once, alike but for the seed; the first one is in none."""
    groups: dict[str, list[NamedInit]] = {}
    for one in inits[1:]:
        config = one.results.get("config")
        if one.method and isinstance(config, Mapping) and "seed" in config:
            groups.setdefault(json.dumps([_recipe(config), dict(one.options)], default=str), []).append(one)
    return [
        Family(str(group[0].method), tuple(one.name for one in group))
        for group in groups.values()
        if len({one.results["config"]["seed"] for one in group}) == len(group) > 1
    ]


def _recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a pre-training, with that of the run which it began with in the place of its path."""
    from geopretrain.runs.folder import RunFolder

    found = {name: value for name, value in config.items() if name not in ANY}
    start = str(config.get("init"))
    before = RunFolder(start)
    if start not in WORDS and before.is_ours() and before.path != Path(str(config.get("out"))):
        found["init"] = _recipe(before.config)
    return found


def compare_pretrainings(
    rows: Sequence[Row], found: Sequence[Family], measure: Measure = MIOU
) -> list[dict[str, Any]]:
    """Return what each family gives against the first initialisation at the end, by mode and labels.

    Returns:
        ``name, inits, mode, labels, mean``, ``means`` (of each pre-training), ``difference`` (over the
        trainings from these pre-trainings, their mean paired with the first initialisation; None with fewer
        than two pairs), ``low`` and ``high`` (95 % of what such pre-trainings give, see `interval_over`; None
        with fewer than three), and the ``sentence``.
    """
    ends = {(row.mode, row.labels, row.init): row for row in last_rows(rows)}
    made = []
    for mode, labels in dict.fromkeys((mode, labels) for mode, labels, _ in ends):
        first = ends[mode, labels, rows[0].init].keyed
        for family in found:
            scores = [ends[mode, labels, init].keyed for init in family.inits]
            if first and all(scores):
                row = {"mode": mode, "labels": labels, **_row(family, scores, first, measure)}
                made.append({**row, "sentence": _sentence(row, rows[0].init, measure)})
    return made


def _row(
    family: Family, scores: Sequence[Mapping[Key, float]], first: Mapping[Key, float], measure: Measure
) -> dict[str, Any]:
    common = set(first).intersection(*scores)
    together = {key: mean([own[key] for own in scores]) for key in common}
    difference = difference_by_subset(together, first, lower=measure.lower)
    ends: tuple[float | None, float | None] = (None, None)
    if len(scores) >= MIN_PRETRAININGS and len(common) > 1:
        ends = interval_over([{key: own[key] - first[key] for key in common} for own in scores])
    means = [mean(list(own.values())) for own in scores]
    return {
        "name": family.name,
        "inits": list(family.inits),
        "mean": mean(means),
        "means": means,
        "difference": None if difference is None else {**asdict(difference), "verdict": difference.verdict},
        "low": ends[0],
        "high": ends[1],
    }


def interval_over(differences: Sequence[Mapping[Key, float]]) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a mean over pre-trainings, sets of labelled images and seeds.

    A hierarchical bootstrap: pre-trainings are drawn, in each of them sets, in each of these seeds. Of few
    pre-trainings P it would be too short; its halves are those of the percentiles times
    sqrt(P / (P - 1)), by which resampling makes a variance too small, and times the quotient of Student's
    quantile with P - 1 degrees of freedom to the normal one (Davison and Hinkley 1997, 2.4 and 3.8).

    Args:
        differences: to the first initialisation, of each pre-training by set and seed.
    """
    from scipy.stats import norm, t

    drawn = {(number, *key): value for number, own in enumerate(differences) for key, value in own.items()}
    keys: list[Drawn] = sorted(drawn)
    low, high = bootstrap_interval(keys, lambda chosen: mean([drawn[key] for key in chosen]))
    count, centre = len(differences), mean(list(drawn.values()))
    quantile = 0.5 + LEVEL / 2
    wider = math.sqrt(count / (count - 1)) * float(t.ppf(quantile, count - 1) / norm.ppf(quantile))
    return centre - wider * (centre - low), centre + wider * (high - centre)


def _sentence(row: Mapping[str, Any], first: str, measure: Measure) -> str:
    labels = f", {measure.counted(row['labels'])}" if row["labels"] else ""
    where = f"{MODE_WORDS.get(row['mode'], row['mode'])}{labels}"
    each = " and ".join(measure.show(one) for one in row["means"])
    said = (
        f"{where[0].upper()}{where[1:]}: {counted(len(row['inits']), 'pre-training')} of {row['name']} "
        f"({', '.join(row['inits'])}) together reach {measure.show(row['mean'])} "
        f"{measure.with_direction()} ({each})"
    )
    if row["difference"] is None:
        return f"{said}; too few common seeds for a difference to {first}."
    return f"{said}; against {first} {_verdict(row, measure)}."


def over_pretrainings(row: Mapping[str, Any]) -> PairedDifference | None:
    """Return the difference with the interval over pre-trainings; None where there are too few."""
    if row["difference"] is None or row["low"] is None:
        return None
    found = difference_from_dict(row["difference"])
    return replace(found, low=row["low"], high=row["high"], over="seeds", by_subset=())


def _verdict(row: Mapping[str, Any], measure: Measure) -> str:
    """Say what the difference is over the trainings there are, and over other pre-trainings."""
    found, over = difference_from_dict(row["difference"]), over_pretrainings(row)
    these = f"{interval(found, measure)}: {THESE[found.verdict]}"
    if over is None:
        return f"{these}. What another pre-training would give, {len(row['inits'])} do not tell"
    words = METHOD.get(over.verdict, UNCLEAR)
    return f"{these}; over pre-trainings, sets and seeds {ends_of(over, measure)}: {words}"
