"""Matrices of numbers from 0 to 1 as pictures: how alike layers are."""

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

_WITH_NUMBERS, _WITH_NAMES = 14, 60
"""Largest number of rows or columns whose cells hold numbers, and that are named one by one."""
_LONGEST = 34


def draw_heat_map(
    values: ArrayLike, rows: Sequence[str], columns: Sequence[str], *, across: str, up: str, label: str
) -> Picture:
    """Draw a matrix with its first row at the bottom, as the papers draw CKA; what is not a number is grey.

    Args:
        values: ``R C``, drawn from 0 (dark) to 1 (bright); what is outside has the colour of the end.
        rows: names of the ``R`` rows.
        columns: names of the ``C`` columns.
        across: what the columns are of.
        up: what the rows are of.
        label: what the numbers are.
    """
    from matplotlib.figure import Figure

    values = np.asarray(values, np.float64)
    cell = max(0.42 if max(values.shape) <= _WITH_NUMBERS else 0.16, 3 / max(values.shape))
    cell = min(cell, 14 / max(values.shape))
    height, width = (max(2.2, cell * length) for length in values.shape)
    figure = Figure(figsize=(width + 2.6, height + 1.8), dpi=100)
    axes = figure.add_subplot()
    axes.set_facecolor("0.7")
    drawn = axes.imshow(values, cmap="magma", vmin=0, vmax=1, origin="lower")
    _name(axes, "x", columns, across)
    _name(axes, "y", rows, up)
    figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03, label=label)
    if max(values.shape) <= _WITH_NUMBERS:
        _write_numbers(axes, values)
    return as_picture(figure)


def _name(axes: Axes, axis: str, names: Sequence[str], title: str) -> None:
    """Name rows or columns, or number some of them where they are many."""
    shown = [plotted(name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}") for name in names]
    style: dict[str, Any] = {"fontfamily": families("".join(shown)), "parse_math": False, "fontsize": 8}
    if axis == "x":
        style["rotation"] = 90
    if len(names) <= _WITH_NAMES:
        getattr(axes, f"set_{axis}ticks")(range(len(names)), shown, **style)
    heading = plotted(title if len(names) <= _WITH_NAMES else f"{title}: layers by number")
    getattr(axes, f"set_{axis}label")(heading, fontfamily=families(heading), parse_math=False)


def _write_numbers(axes: Axes, values: np.ndarray) -> None:
    for row, column in np.argwhere(np.isfinite(values)):
        value = values[row, column]
        colour = "black" if value > 0.6 else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
