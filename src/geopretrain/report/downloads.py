"""What a page offers to keep: its table for LaTeX, and the numbers of every training for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from unicodedata import lookup

from geopretrain.report.page import data_url
from geopretrain.study.measures import Measure
from geopretrain.study.sentences import MODE_WORDS, ends_of, over_what, residual, spread
from geopretrain.study.summary import Row, headline_rows, residual_rows, step_of
from geopretrain.wording import counted, csv_cell

if TYPE_CHECKING:
    from geopretrain.study.comparison import Comparison

SMALL = ("alpha", "beta", "gamma", "delta", "epsilon", "theta", "mu", "rho", "sigma", "tau", "phi", "omega")
CAPITAL = ("Gamma", "Delta", "Theta", "Pi", "Sigma", "Phi", "Omega")
"""Greek letters that LaTeX knows by these names."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    **{char: rf"\{char}" for char in "&%$#_{}"},
    "[": "{[}",  # at the beginning of a line it would be an option of the end of the one before
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{INFINITY}": r"$\infty$",
    **{lookup(f"GREEK SMALL LETTER {name}"): f"$\\{name}$" for name in SMALL},
    **{lookup(f"GREEK CAPITAL LETTER {name}"): f"$\\{name}$" for name in CAPITAL},
}
PROTOCOL = (
    *(
        "scored_on",
        "score",
        "data",
        "size",
        "backbone",
        "preset",
        "steps",
        "batch_size",
        "optimizer",
        "schedule",
    ),
    *("precision", "hardware", "created", "command"),
)
"""Of the protocol, what stands in every line of the numbers."""
TEX = "application/x-tex"


def downloads(comparison: Comparison) -> list[dict[str, str]]:
    """Return what can be kept: ``name`` of the file, ``words`` of the link, all of it as its ``address``."""
    kept = (
        (
            "comparison-trainings.csv",
            "Numbers of every training (CSV)",
            trainings_csv(comparison),
            "text/csv",
        ),
        ("comparison.csv", "Table with differences (CSV)", comparison.csv(), "text/csv"),
        ("comparison.tex", "Table for LaTeX (booktabs)", latex(comparison), TEX),
    )
    return [kept_as(*one) for one in kept]


def kept_as(name: str, words: str, text: str, kind: str) -> dict[str, str]:
    """Return a link to a text that lies in the page: ``name`` of the file, ``words``, ``address``."""
    return {"name": name, "words": words, "address": data_url(text, f"{kind};charset=utf-8")}


def trainings_csv(comparison: Comparison) -> str:
    """Return a line for each training and point of its curve, with the protocol; fractions are in [0, 1]."""
    measure, text = comparison.measure, io.StringIO()
    scores = [measure.key, measure.second, *([measure.residual] if measure.residual else [])]
    protocol = _protocol(comparison.results["protocol"])
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["init", "mode", "labels", "subset", "seed", "learning_rate", "step", *scores, "seconds", *protocol]
    )
    for trial in comparison.results.get("trials", ()):
        own = [trial["init"], trial["mode"], *(trial.get(n) for n in ("labels", "subset", "seed", "lr"))]
        for point in trial["curve"]:
            numbers = [point.get(name) for name in scores]
            seconds = (
                None if trial.get("adopted") else trial.get("seconds")
            )  # its time is that of another line
            line = [*own, step_of(point), *numbers, seconds, *protocol.values()]
            writer.writerow(["" if one is None else csv_cell(one) for one in line])
    return text.getvalue()


def _protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    versions = ", ".join(f"{name} {value}" for name, value in protocol["versions"].items())
    return {**{name: protocol.get(name) for name in PROTOCOL}, "versions": versions}


def escaped(text: object) -> str:
    """Return text as LaTeX prints it, on one line."""
    printed = (char for char in " ".join(str(text).split()) if char.isprintable())
    return "".join(_SPECIAL.get(char, char) for char in printed)


def latex(comparison: Comparison) -> str:
    """Return the table of the page for LaTeX, with the package booktabs."""
    measure, protocol = comparison.measure, comparison.results["protocol"]
    heads = ["initialisation", measure.title, *(["bits/px"] if measure.residual else [])]
    heads += [measure.second_title, "difference", "95 % interval", "verdict"]
    scored = protocol.get("scored_on", "test")
    caption = (
        f"{measure.title}, mean and standard deviation over {counted(len(protocol['seeds']), 'seed')} on "
        f"{protocol['splits'][scored]} {scored} images; differences to {comparison.rows[0].init}, paired. "
        f"{protocol['score']}."
    )
    told = ("data_description", "backbone", "size", "preset", "steps", "batch_size", "command")
    return booktabs(
        caption,
        heads,
        f"l{'r' * (len(heads) - 3)}ll",
        _groups(comparison, len(heads)),
        told=[f"{name.replace('_', ' ')}: {protocol[name]}" for name in told],
    )


def booktabs(
    caption: str, heads: Sequence[str], columns: str, lines: Iterable[str], told: Iterable[str] = ()
) -> str:
    """Return a table for LaTeX.

    Args:
        caption: of it, as plain text.
        heads: of its columns.
        columns: how these are aligned, as ``tabular`` wants it.
        lines: between its heads and its end, as `tex_line` and `tex_title` make them.
        told: what stands above it as comments.
    """
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            *(f"% {' '.join(one.split())}" for one in told),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            tex_line(heads),
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def tex_line(cells: Iterable[str]) -> str:
    """Return a line of a table for LaTeX, of plain texts."""
    return rf"{' & '.join(map(escaped, cells))} \\"


def tex_title(text: str, width: int) -> Iterator[str]:
    """Give a rule and a title over ``width`` columns of a table for LaTeX."""
    yield r"\midrule"
    yield rf"\multicolumn{{{width}}}{{l}}{{{escaped(text)}}} \\"


def _groups(comparison: Comparison, width: int) -> Iterator[str]:
    """Give the lines of the table, with a title for each mode, number of labels and point."""
    measure, rows = comparison.measure, comparison.rows
    several, before = len({row.labels for row in rows}) > 1, None
    for row, bits in zip(headline_rows(rows), headline_rows(residual_rows(rows)), strict=True):
        if (group := (row.mode, row.labels, row.step)) != before:
            labels = f", {measure.counted(row.labels)}" if several else ""
            title = f"{MODE_WORDS.get(row.mode, row.mode)}{labels}, after {counted(row.step, 'step')}"
            yield from tex_title(title, width)
            before = group
        yield tex_line(_cells(row, bits, measure))


def _cells(row: Row, bits: Row, measure: Measure) -> list[str]:
    d = row.difference
    score = f"{measure.show(row.mean)} {spread(row, measure)}" if row.values else spread(row, measure)
    second = measure.show(row.second) if row.second == row.second else "\N{EN DASH}"
    ends = f"{ends_of(d, measure)}{over_what(d)}" if d is not None and d.has_interval else "\N{EN DASH}"
    difference = ["", "", ""] if d is None else [measure.show(d.mean, sign=True), ends, d.verdict]
    return [row.init, score, *([residual(bits, row)] if measure.residual else []), second, *difference]
