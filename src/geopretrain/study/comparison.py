"""A finished comparison: its numbers, its table, its sentences, and the files it leaves."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopretrain.errors import RunFolderError
from geopretrain.files import write_json, write_text
from geopretrain.records import Object, as_type, damaged, read_json
from geopretrain.schema import as_path
from geopretrain.study.measures import Measure
from geopretrain.study.sentences import NO_SPREAD, ending_in_words, over_what, score, took
from geopretrain.study.sentences import residual as residual_in_words
from geopretrain.study.shapes import Results, contradictions
from geopretrain.study.statistics import PairedDifference
from geopretrain.study.summary import Row, headline_rows, residual_rows, row_from_dict
from geopretrain.wording import csv_cell


def columns(measure: Measure) -> list[str]:
    """Return the heads of the columns of ``comparison.csv``."""
    scores = [f"{measure.key}_mean", f"{measure.key}_sd", f"{measure.second}_mean"]
    differences = [f"difference_{name}" for name in ("mean", "low", "high")]
    rest = ["verdict", f"{measure.key}_per_seed", "difference_per_seed"]
    sets = ["labels", "subsets", f"{measure.key}_sd_of_subsets", "interval_over", "pooled_low", "pooled_high"]
    sets += ["steps_per_seed", "at_limit"]
    sets += [f"{measure.residual}_mean", f"{measure.residual}_per_seed"] if measure.residual else []
    return ["mode", "init", "step", "seeds", *scores, *differences, *rest, *sets]


@dataclass(frozen=True)
class Comparison:
    """The outcome of ``compare``.

    Attributes:
        path: folder with ``comparison.json``, ``comparison.csv``, ``report.html`` and the trials.
        results: everything, in plain values; scores that are fractions are in [0, 1].
    """

    path: Path
    results: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Comparison:
        """Read a comparison from its folder; RunFolderError where there is none."""
        path = as_path(path)
        file = path / "comparison.json"
        if not file.is_file():
            raise RunFolderError(f"'{path}' holds no finished comparison: it has no comparison.json.")
        content = read_json(file, Object, error=RunFolderError, advice=_ADVICE)
        results = _of_today(content)
        read: Results = as_type(Results, results, file, error=RunFolderError, advice=_ADVICE)
        for field, expected in contradictions(read):
            raise damaged(file, field, expected, error=RunFolderError, advice=_ADVICE)
        return cls(path, results)

    @property
    def sentence(self) -> str:
        """What came out, in one or two sentences."""
        return str(self.results["headline"])

    @property
    def measure(self) -> Measure:
        """The score that is compared."""
        return Measure.of(self.results)

    @property
    def rows(self) -> list[Row]:
        """The lines of the table."""
        return [row_from_dict(row) for row in self.results["summary"]]

    @property
    def expected(self) -> dict[int | None, int]:
        """How many trainings each row of a number of labels is to have."""
        protocol, sets = self.results["protocol"], dict[int | None, int]()
        for row in self.rows:
            sets[row.labels] = max(1, row.num_subsets, sets.get(row.labels, 1))
        seeds, own = len(protocol["seeds"]), protocol.get("seed_per_set", False)
        return {labels: seeds if own else seeds * count for labels, count in sets.items()}

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    def save(self) -> None:
        """Write ``comparison.json`` and ``comparison.csv`` atomically."""
        write_json(self.path / "comparison.json", without_nan(self.results))
        write_text(self.path / "comparison.csv", self.csv())

    def csv(self) -> str:
        """One line for each mode, point of the curve and initialisation; fractions are in [0, 1]."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns(self.measure))
        for row, residual in zip(self.rows, residual_rows(self.rows), strict=True):
            d = row.difference
            bits = [_number(residual.mean), " ".join(_number(one) or "nan" for one in row.residuals)]
            writer.writerow(
                [csv_cell(row.mode), csv_cell(row.init), row.step, " ".join(map(str, row.seeds))]
                + [_number(value) for value in (row.mean, row.sd, row.second)]
                + (["", "", "", ""] if d is None else [_number(d.mean), *_ends(d), d.verdict])
                + [" ".join(map(_number, row.values)), "" if d is None else " ".join(map(_number, d.values))]
                + [row.labels or "", " ".join(map(str, row.subsets)), _number(row.subset_sd)]
                + [
                    "" if d is None else d.over,
                    *map(_number, d.pooled if d and d.pooled else (math.nan, math.nan)),
                ]
                + [" ".join(map(str, row.trained)), row.at_limit if row.trained else ""]
                + (bits if self.measure.residual else [])
            )
        return text.getvalue()

    def table(self, every_point: bool = False) -> str:
        """Return the table as text: scores (fractions in percent), differences with their 95 % interval."""
        rows, expected = self.rows, self.expected
        with_labels = len({row.labels for row in rows}) > 1
        with_subsets = any(row.num_subsets > 1 for row in rows)
        head = self.measure.title.replace(",", "")
        subsets = f" {'of subsets':>10}" * with_subsets
        labels = f" {f'{self.measure.learned}s':>7}" * with_labels
        steps = f" {'steps it took':>16}" if any(row.trained for row in rows) else ""
        steps += f" {'residual bits/px':>16}" if self.measure.residual else ""
        shown = list if every_point else headline_rows
        lines = [
            f"{'mode':8}{labels} {'steps':>10} {'init':16} {head:>13}{subsets}{steps}   "
            "difference to the first"
        ]
        lines += [
            _line(row, residual, expected[row.labels], self.measure, with_labels, with_subsets)
            for row, residual in zip(*map(shown, (rows, residual_rows(rows))), strict=True)
        ]
        lines += [
            one["sentence"] for part in ("choice", "pretrainings") for one in self.results.get(part, ())
        ]
        lines += [one["sentence"] for one in self.results.get("efficiency", ()) if "needed" in one]
        if ending := self.results["protocol"].get("ending"):
            lines.append(ending_in_words(ending, self.measure))
        return "\n".join(lines)


_ADVICE = "Repeat the command of the comparison: completed trainings are kept, and the file is written again."


def _of_today(results: dict[str, Any]) -> dict[str, Any]:
    """Return results of any version in the words of today, unchecked; those of version 0.1 were others."""
    protocol = results.get("protocol")
    if isinstance(protocol, dict) and "iterations" in protocol:
        protocol["steps"] = protocol.pop("iterations")
    if "cells" in results:
        results["trials"] = results.pop("cells")
    for failure in _objects(results.get("failures")):
        if "cell" in failure:
            failure["trial"] = failure.pop("cell")
    for init in _objects(results.get("inits")):
        init["depth"] = depth_of(init.get("depth"))
    return results


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def depth_of(depth: Any) -> Any:
    """Return the depth errors in a run's results in the words of today: baselines were ``guesses`` once."""
    if not isinstance(depth, dict):
        return depth
    return {
        kind: {"baselines": result.get("guesses", {})} | {n: v for n, v in result.items() if n != "guesses"}
        if isinstance(result, dict)
        else result
        for kind, result in depth.items()
    }


def _line(
    row: Row, residual: Row, trainings: int, measure: Measure, with_labels: bool, with_subsets: bool
) -> str:
    d = row.difference
    text = ""
    if d is not None and not d.has_interval:
        text = f"{measure.show(d.mean, sign=True)} {NO_SPREAD}"
    elif d is not None:
        ends = f"[{measure.show(d.low, sign=True)}, {measure.show(d.high, sign=True)}]"
        text = f"{measure.show(d.mean, sign=True)} {ends}{over_what(d)} {d.verdict}"
    if len(row.seeds) < trainings:
        text = f"{text} ({len(row.seeds)} of {trainings} {'trainings' if with_subsets else 'seeds'})".strip()
    labels = f" {row.labels:>7}" if with_labels else ""
    sd = "" if math.isnan(row.subset_sd) else f"\N{PLUS-MINUS SIGN} {measure.show(row.subset_sd)}"
    subsets = f" {sd:>10}" if with_subsets else ""
    subsets += f" {took(row):>16}" if row.trained else ""
    subsets += f" {residual_in_words(residual, row):>16}" if measure.residual else ""
    return (
        f"{row.mode:8}{labels} {row.step:>10} {row.init:16} {score(row, measure):>13}{subsets}   {text}"
    ).rstrip()


def _ends(difference: PairedDifference) -> list[str]:
    ends = (difference.low, difference.high) if difference.has_interval else ()
    return [_number(end) for end in ends] or ["", ""]


def _number(value: float) -> str:
    return "" if not math.isfinite(value) else f"{value:z.6f}"


def without_nan(value: Any) -> Any:
    """Return ``value`` with every NaN replaced by None, which JSON knows."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
