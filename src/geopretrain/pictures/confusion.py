"""Confusion matrices as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from geopretrain.pictures.colouring import Picture
from geopretrain.pictures.plots import as_picture
from geopretrain.pictures.text import families, plotted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WITH_NUMBERS = 30
"""Largest number of classes whose cells hold numbers."""


def draw_confusion(counts: ArrayLike, names: Sequence[str], *, what: str = "pixels") -> Picture:
    """Draw a confusion matrix: of each true class (a row), the percentage that was taken for which class.

    Rows of classes that do not occur are grey.

    Args:
        counts: ``K K``, by true class (rows) and predicted class (columns).
        names: of the ``K`` classes.
        what: is counted.
    """
    from matplotlib.figure import Figure

    counts = np.asarray(counts, np.float64)
    totals = counts.sum(1, keepdims=True)
    percent = np.divide(100 * counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    cell = 0.42 if len(names) <= _WITH_NUMBERS else max(0.12, 12 / len(names))
    labels = [plotted(name if len(name) <= 24 else f"{name[:23]}…") for name in names]
    style: dict[str, Any] = {"fontfamily": families("".join(labels)), "parse_math": False}
    side = max(2.5, cell * len(names))
    figure = Figure(figsize=(side / 0.7, side / 0.7), dpi=100)
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    drawn = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    letters = 9 if cell >= 0.3 else max(4, 60 * cell)
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=letters, **style)
    axes.set_yticks(range(len(labels)), labels, fontsize=letters, **style)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.03, label=f"% of the {what} of the true class")
    if len(names) <= _WITH_NUMBERS:
        _write_numbers(axes, percent)
    return as_picture(figure)


def _write_numbers(axes: Axes, percent: np.ndarray) -> None:
    """Write what rounds to at least 1 into the cells, white on dark ones."""
    for row, column in np.argwhere(np.nan_to_num(percent) >= 0.5):
        value = percent[row, column]
        colour = "white" if value > 60 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
