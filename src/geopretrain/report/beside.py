"""A paper's numbers beside those of a comparison, as files to keep: for a spreadsheet and for LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from geopretrain.report.texts import TEX, booktabs, kept_as, table_csv, tex_line
from geopretrain.study.measures import Measure
from geopretrain.wording import number

if TYPE_CHECKING:
    from geopretrain.study.comparison import Comparison

HEADS = ("words", "init", "mode", "labels", "number", "paper", "ours", "sd", "difference", "source")
NOTHING = "\N{EN DASH}"


def beside_downloads(comparison: Comparison, name: str) -> list[dict[str, str]]:
    """Return links to the paper's numbers beside ours; none where the paper prints none.

    Args:
        comparison: with these numbers in it.
        name: that the files begin with.
    """
    printed = comparison.results.get("printed") or {}
    if not (lines := printed.get("lines")):
        return []
    source = ", ".join(str(printed[key]) for key in ("paper", "item") if printed.get(key))
    tex = _latex(lines, source, comparison.measure)
    return [
        kept_as(f"{name}-paper.csv", "Paper, ours, difference (CSV)", _csv(lines, source), "text/csv"),
        kept_as(f"{name}-paper.tex", "Paper, ours, difference for LaTeX (booktabs)", tex, TEX),
    ]


def _csv(lines: Sequence[Mapping[str, Any]], source: str) -> str:
    """Return a line for each number of the paper; all are in its unit."""
    rows = []
    for one in lines:
        own = {**one, "difference": apart(one), "source": source}
        rows.append([own.get(head) for head in HEADS])
    return table_csv(HEADS, rows)


def apart(line: Mapping[str, Any]) -> float | None:
    """Return how far ours is from the paper's number; None without ours."""
    return None if line["ours"] is None else round(line["ours"] - line["paper"], 6)


def _latex(lines: Sequence[Mapping[str, Any]], source: str, measure: Measure) -> str:
    caption = f"Numbers of the paper ({source}) beside ours, mean and standard deviation over the trainings."
    heads = ["row", "number", "paper", "ours", "difference"]
    return booktabs(caption, heads, "llrrr", [tex_line(_cells(one, measure)) for one in lines])


def _cells(line: Mapping[str, Any], measure: Measure) -> list[str]:
    form, difference = f"z.{measure.decimals}f", apart(line)
    sd = "" if line["sd"] is None else f" \N{PLUS-MINUS SIGN} {number(line['sd'], form)}"
    ours = NOTHING if difference is None else f"{number(line['ours'], form)}{sd}"
    told = NOTHING if difference is None else number(difference, f"+{form}")
    return [
        str(line["words"]),
        line.get("number") or measure.title,
        number(line["paper"], "g"),
        ours,
        told,
    ]
