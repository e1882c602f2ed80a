"""Tables of a page about a comparison: every number in words, grouped by what was trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from geopretrain.report import figures
from geopretrain.study.measures import RESIDUAL, Measure
from geopretrain.study.pretrainings import over_pretrainings
from geopretrain.study.sentences import (
    MODE_WORDS,
    ending_in_words,
    ends_of,
    over_what,
    residual,
    spread,
    took,
)
from geopretrain.study.statistics import PairedDifference, mean
from geopretrain.study.summary import Row, difference_from_dict, last_rows, residual_rows
from geopretrain.wording import counted

if TYPE_CHECKING:
    from geopretrain.study.comparison import Comparison

VERDICTS = {
    "better": "better",
    "worse": "worse",
    "unclear": "no difference told",
    "no spread": "the difference is the same with every seed",
}


def frame(comparison: Comparison) -> dict[str, Any]:
    """Return what a table of scores is about: its measure, colours of initialisations, and its columns."""
    results, rows = comparison.results, comparison.rows
    ending = results["protocol"].get("ending")
    return {
        "measure": comparison.measure,
        "colours": figures.colour_of([one["name"] for one in results["inits"]]),
        "subsets": max((row.num_subsets for row in rows), default=0),
        "ending": ending_in_words(ending, comparison.measure) if ending else "",
        "columns": columns(comparison),
    }


def residual_table(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the groups of the table of residual information at the end; [] where none was measured."""
    rows = last_rows(residual_rows(comparison.rows))
    if not any(row.values for row in rows):
        return []
    return table(comparison, rows, rows, RESIDUAL)


def table(
    comparison: Comparison, rows: list[Row], residuals: list[Row], measure: Measure
) -> list[dict[str, Any]]:
    """Group the rows by mode, labels and point; each group holds one line for each initialisation."""
    expected = comparison.expected
    several = len(expected) > 1
    groups: dict[tuple[str, int | None, int], list[tuple[Row, Row]]] = {}
    for row, bits in zip(rows, residuals, strict=True):
        groups.setdefault((row.mode, row.labels, row.step), []).append((row, bits))
    return [
        {
            "mode": MODE_WORDS.get(mode, mode),
            "labels": f", {measure.counted(labels)}" if several and labels else "",
            "step": step,
            "lines": [
                {
                    "init": row.init,
                    "mean": shown(measure, row.mean),
                    "spread": spread(row, measure),
                    "subset_sd": shown(measure, row.subset_sd),
                    "values": {key: measure.show(value) for key, value in _by_column(row).items()},
                    "second": shown(measure, row.second),
                    "residual": residual(bits, row),
                    "took": took(row) if row.trained else "",
                    "seeds": _fewer_seeds(row, expected[row.labels]),
                    "reference": row.init == comparison.rows[0].init,
                    "difference": _difference(row, measure),
                }
                for row, bits in group
            ],
        }
        for (mode, labels, step), group in groups.items()
    ]


def columns(comparison: Comparison) -> dict[int, str]:
    """Return the columns of the table of all numbers: seeds, or sets of labelled images if several."""
    rows = comparison.rows
    if max((row.num_subsets for row in rows), default=0) > 1:
        return {subset: f"subset {subset}" for subset in sorted({k for row in rows for k in row.subsets})}
    seeds = {*comparison.results["protocol"]["seeds"], *(seed for row in rows for seed in row.seeds)}
    return {seed: f"seed {seed}" for seed in sorted(seeds)}


def _by_column(row: Row) -> dict[int, float]:
    if row.num_subsets < 2:
        return dict(zip(row.seeds, row.values, strict=True))
    return {k: mean([v for (subset, _), v in row.keyed.items() if subset == k]) for k in set(row.subsets)}


def _fewer_seeds(row: Row, expected: int) -> str:
    what = "seeds" if row.num_subsets < 2 else "trainings"
    return f"{len(row.seeds)} of {expected} {what}" if len(row.seeds) < expected else ""


def _difference(row: Row, measure: Measure) -> dict[str, str] | None:
    return None if row.difference is None else _difference_in_words(row.difference, measure)


def _difference_in_words(d: PairedDifference, measure: Measure) -> dict[str, str]:
    return {
        "mean": measure.show(d.mean, sign=True),
        "interval": f"{ends_of(d, measure)}{over_what(d)}" if d.has_interval else "none",
        "verdict": d.verdict.replace(" ", "-"),
        "words": VERDICTS[d.verdict],
    }


def choice_table(rows: Iterable[dict[str, Any]], measure: Measure) -> list[dict[str, Any]]:
    """Return the lines of the table of chosen images against drawn ones."""
    return [
        {
            "init": row["init"],
            "mode": MODE_WORDS.get(row["mode"], row["mode"]),
            "labels": row["labels"],
            "chosen": measure.show(row["chosen"]),
            "spread": ""
            if row["chosen_sd"] is None
            else f"\N{PLUS-MINUS SIGN} {measure.show(row['chosen_sd'])}",
            "drawn": measure.show(row["drawn"]),
            "beaten": f"{row['beaten']} of {row['subsets']}",
            "difference": None
            if row["difference"] is None
            else _difference_in_words(difference_from_dict(row["difference"]), measure),
        }
        for row in rows
    ]


def pretraining_table(rows: Iterable[dict[str, Any]], measure: Measure) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of the table of several pre-trainings of one method, by mode and labels in words."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found = None if row["difference"] is None else difference_from_dict(row["difference"])
        over = over_pretrainings(row)
        labels = f", {counted(row['labels'], 'label')}" if row["labels"] else ""
        line = {
            "name": row["name"],
            "inits": ", ".join(row["inits"]),
            "each": ", ".join(measure.show(one) for one in row["means"]),
            "mean": measure.show(row["mean"]),
            "difference": None if found is None else _difference_in_words(found, measure),
            "over": None if over is None else _difference_in_words(over, measure),
        }
        groups.setdefault(MODE_WORDS.get(row["mode"], row["mode"]) + labels, []).append(line)
    return groups


def shown(measure: Measure, value: float | None) -> str:
    """Write a score, a dash where there is none."""
    return "\u2013" if value is None or value != value else measure.show(value)
