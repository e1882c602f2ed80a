"""Build ``report.html`` from a comparison: everything embedded, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.report import curves, figures
from geopretrain.report.page import embedded, write_page
from geopretrain.study.contests import contest_of
from geopretrain.study.measures import Measure
from geopretrain.study.sentences import MODE_WORDS, any_of, ending_in_words, ends_of, over_what, spread, took
from geopretrain.study.statistics import PairedDifference, mean
from geopretrain.study.summary import Row, difference_from_dict, headline_rows
from geopretrain.wording import counted

if TYPE_CHECKING:
    from geopretrain.study.comparison import Comparison

VERDICTS = {
    "better": "better",
    "worse": "worse",
    "unclear": "no difference told",
    "no spread": "the difference is the same with every seed",
}
ERRORS = (
    ("abs_rel", "AbsRel", "lower is better"),
    ("rmse", "RMSE, m", "lower is better"),
    ("a1", "\u03b4 < 1.25", "higher is better"),
)


def build_report(comparison: Comparison, path: str | Path) -> Path:
    """Write the page for ``comparison`` to ``path`` (RunFolderError where it cannot be written)."""
    from plotly.offline import get_plotlyjs

    return write_page(
        Path(path),
        "report.html.j2",
        {"percent": partial(_shown, comparison.measure), "rate": lambda value: f"{value:g}"},
        **_content(comparison),
        plotly_script=get_plotlyjs(),
    )


def _content(comparison: Comparison) -> dict[str, Any]:
    results, rows = comparison.results, comparison.rows
    inits = [one["name"] for one in results["inits"]]
    names = results["classes"]["names"]
    search, measure = results["learning_rates"], comparison.measure
    ending = results["protocol"].get("ending")
    return {
        "measure": measure,
        "words": contest_of(results.get("task", "segmentation")).words,
        "results": results,
        "protocol": results["protocol"],
        "inits": results["inits"],
        "colours": figures.colour_of(inits),
        "mode_words": MODE_WORDS,
        "created": datetime.fromisoformat(results["protocol"]["created"]).strftime("%d %B %Y, %H:%M UTC"),
        "table": _table(comparison, headline_rows(rows)),
        "whole_table": _table(comparison, rows),
        "columns": _columns(comparison),
        "counts": list(dict.fromkeys(row.labels for row in rows)),
        "counts_in_words": any_of(results["protocol"].get("label_counts") or [results["protocol"]["labels"]]),
        "steps_in_words": any_of(
            dict.fromkeys(results["protocol"].get("steps_of", {0: results["protocol"]["steps"]}).values())
        ),
        "subsets": max((row.num_subsets for row in rows), default=0),
        "ending": ending_in_words(ending) if ending else "",
        "courses": figures.to_html(
            curves.courses(results["courses"], inits, results["modes"], ending, measure)
        )
        if ending
        else "",
        "choice": _choice(results.get("choice", ()), measure),
        "label_curves": figures.to_html(curves.label_curves(rows, inits, results["modes"], measure))
        if len({row.labels for row in rows}) > 1
        else "",
        "differences": figures.to_html(figures.differences(rows, inits, measure)),
        "curves": figures.to_html(curves.learning_curves(rows, inits, results["modes"], measure)),
        "losses": figures.to_html(curves.loss_curves(results["losses"], inits, results["modes"]))
        if results.get("losses")
        else "",
        "against_second": figures.to_html(curves.score_against_second(rows, inits, results["modes"], measure))
        if len({row.step for row in rows}) > 1
        else "",
        "classes": [
            (mode, figures.to_html(figures.class_bars(results["per_class"][mode], names, inits, measure)))
            for mode in results["modes"]
            if mode in results["per_class"]
        ],
        "rates": figures.to_html(figures.rate_curves(search, inits, results["modes"], measure))
        if search
        else "",
        "tried": sorted({row["lr"] for one in search for row in one["rates"]}),
        "searches": max(
            (len(row["values"]) + row.get("diverged", 0) for one in search for row in one["rates"]), default=0
        ),
        "legend": [
            (name, _hex(colour)) for name, colour in zip(names, results["classes"]["colours"], strict=True)
        ],
        "pictures": [_embedded(entry, comparison.path) for entry in results["pictures"]],
        "confusions": {
            mode: embedded(comparison.path / name) for mode, name in results.get("confusions", {}).items()
        },
        "depth": _depth_tables(results["inits"]),
        "errors": ERRORS,
    }


def _table(comparison: Comparison, rows: list[Row]) -> list[dict[str, Any]]:
    """Group the rows by mode, labels and point; each group holds one line for each initialisation."""
    measure, expected = comparison.measure, comparison.expected
    several = len(expected) > 1
    groups: dict[tuple[str, int | None, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.mode, row.labels, row.step), []).append(row)
    return [
        {
            "mode": MODE_WORDS.get(mode, mode),
            "labels": f", {counted(labels, 'label')}" if several and labels else "",
            "step": step,
            "lines": [
                {
                    "init": row.init,
                    "mean": _shown(measure, row.mean),
                    "spread": spread(row, measure),
                    "subset_sd": _shown(measure, row.subset_sd),
                    "values": {key: measure.show(value) for key, value in _by_column(row).items()},
                    "second": _shown(measure, row.second),
                    "took": took(row) if row.trained else "",
                    "seeds": _fewer_seeds(row, expected[row.labels]),
                    "reference": row.init == comparison.rows[0].init,
                    "difference": _difference(row, measure),
                }
                for row in group
            ],
        }
        for (mode, labels, step), group in groups.items()
    ]


def _columns(comparison: Comparison) -> dict[int, str]:
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


def _choice(rows: Iterable[dict[str, Any]], measure: Measure) -> list[dict[str, Any]]:
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


def _depth_tables(inits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each run with depth errors, a table of the network against the baselines."""
    words = {"held_out": "frames kept out of pre-training", "in_sample": "frames seen in pre-training"}
    names = {"constant": "constant", "row_wise": "row-wise", "ground_ramp": "ground ramp"}
    tables = []
    for init in inits:
        for kind, result in init["depth"].items():
            lines = [("this network", result)]
            lines += [(names.get(name, name), errors) for name, errors in result["baselines"].items()]
            best = {name: _best([line[name] for _, line in lines], name) for name, _, _ in ERRORS}
            tables.append(
                {
                    "init": init["name"],
                    "kind": words.get(kind, kind),
                    "images": result["images"],
                    "protocol": result["protocol"],
                    "lines": lines,
                    "best": best,
                }
            )
    return tables


def _best(values: list[float], name: str) -> float:
    return max(values) if name.startswith("a") and name != "abs_rel" else min(values)


def _embedded(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    def data(name: str) -> str:
        return embedded(folder / name)

    return {
        "name": entry["name"],
        "image": data(entry["image"]),
        "truth": data(entry["truth"]),
        "predictions": {
            mode: {init: data(name) for init, name in files.items()}
            for mode, files in entry["predictions"].items()
        },
        "depth": {init: data(name) for init, name in entry["depth"].items()},
    }


def _hex(colour: list[int]) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in colour)


def _shown(measure: Measure, value: float | None) -> str:
    return "\u2013" if value is None or value != value else measure.show(value)
