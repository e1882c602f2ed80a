"""Texts that a page offers to keep: links that hold them whole, tables for LaTeX and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unicodedata import lookup

from geopretrain.report.page import data_url
from geopretrain.wording import csv_cell

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
TEX = "application/x-tex"


def kept_as(name: str, words: str, text: str, kind: str) -> dict[str, str]:
    """Return a link to a text that lies in the page: ``name`` of the file, ``words``, ``address``."""
    return {"name": name, "words": words, "address": data_url(text, f"{kind};charset=utf-8")}


def file_stem(name: str) -> str:
    """Return what files to keep begin with: a name or place without folders, ``mesa-table-1``."""
    stem = Path(name).stem if name.endswith((".yaml", ".yml")) else name.replace("/", "-")
    return stem if stem not in ("", ".") else "comparison"


def table_csv(heads: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table for a spreadsheet; None is an empty cell, and no text becomes a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([["" if one is None else csv_cell(one) for one in row] for row in rows])
    return text.getvalue()


def escaped(text: object) -> str:
    """Return text as LaTeX prints it, on one line."""
    printed = (char for char in " ".join(str(text).split()) if char.isprintable())
    return "".join(_SPECIAL.get(char, char) for char in printed)


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
