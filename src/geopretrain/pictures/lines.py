"""Numbers of layers in their order, a line for each network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geopretrain.pictures.colouring import Picture
from geopretrain.pictures.plots import as_picture
from geopretrain.pictures.text import families, plotted

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of Okabe and Ito, which colour-blind readers can tell apart."""
MARKS = "osD^vP*X"
_ASIDE = 0.02
"""Of the way from a layer to the next, that networks are drawn beside each other."""
_LEAST = 7
"""Least width in inches of a figure with intervals."""
_WIDE = 30
"""Largest number over the smallest above which the axis is logarithmic."""


def draw_lines(
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
    *,
    across: str,
    up: str,
    bars: Mapping[str, Sequence[float]] | None = None,
) -> Picture:
    """Draw numbers of layers, from the first at the left to the last; what is not finite is left out.

    Args:
        names: of the layers, or of what else the numbers are of.
        values: of each network, one for each layer.
        across: what the layers are.
        up: what the numbers are.
        bars: half the width of the interval of each number; the axis then shows what is between them, and
            networks are drawn a little beside each other.
    """
    from matplotlib.figure import Figure

    labels = [plotted(name) for name in names]
    letters = "".join([*labels, *map(plotted, values)])
    style: dict[str, Any] = {"fontfamily": families(letters), "parse_math": False}
    figure = Figure(figsize=(min(16, max(3 + 0.32 * len(names), _LEAST if bars else 0)), 4.2), dpi=100)
    axes = figure.add_subplot()
    aside = (np.arange(len(values)) - (len(values) - 1) / 2) * (_ASIDE if bars else 0)
    for number, (name, own) in enumerate(values.items()):
        shown = np.where(np.isfinite(own), own, np.nan)
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKS[number % len(MARKS)]}
        error = None if bars is None else np.asarray(bars[name])
        across_at = np.arange(len(names)) + aside[number]
        axes.errorbar(across_at, shown, error, **look, label=plotted(name), linewidth=1.8, capsize=3)
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8, **style)
    positive = [value for own in values.values() for value in own if 0 < value < np.inf]
    if positive and max(positive) > _WIDE * min(positive):
        axes.set_yscale("log")  # 0 is not on it
    elif bars is None:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, prop={"family": families(letters), "size": 9})
    return as_picture(figure)
