"""Numbers over another number, a line for each kind, with their spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geopretrain.pictures.colouring import Picture
from geopretrain.pictures.lines import COLOURS, MARKS
from geopretrain.pictures.plots import as_picture
from geopretrain.pictures.text import families, plotted


def draw_values(lines: Mapping[str, Mapping[float, tuple[float, float]]], *, across: str, up: str) -> Picture:
    """Draw a line for each kind; where a standard deviation is not a number, no bar is drawn.

    Args:
        lines: of each kind, mean and standard deviation by the number that is drawn across (above 0).
        across: what that number is.
        up: what the values are.
    """
    from matplotlib.figure import Figure

    letters = "".join([across, up, *map(plotted, lines)])
    style: dict[str, Any] = {"fontfamily": families(letters), "parse_math": False}
    figure = Figure(figsize=(6.4, 4.2), dpi=100)
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(lines.items()):
        places = sorted(values)
        means, spreads = zip(*(values[place] for place in places), strict=True)
        axes.errorbar(
            places,
            means,
            yerr=spreads,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKS[number % len(MARKS)],
            label=plotted(name),
            capsize=3,
        )
    marked = sorted({place for values in lines.values() for place in values})
    axes.set_xscale("log")
    axes.set_xticks(marked, [f"{place:g}" for place in marked], **style)
    axes.minorticks_off()
    axes.set_xlabel(plotted(across), **style)
    axes.set_ylabel(plotted(up), **style)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, prop={"family": families(letters), "size": 9})
    return as_picture(figure)
