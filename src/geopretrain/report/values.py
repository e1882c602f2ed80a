"""Numbers over another number as a figure of a page, a line for each kind, with their spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from geopretrain.report.figures import SYMBOLS, colour_of, plain, style
from geopretrain.wording import number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Values = Mapping[str, Mapping[float, tuple[float, float]]]
"""Of each kind, mean and standard deviation by the number that is drawn across."""


def value_curves(lines: Values, *, across: str, up: str, decimals: int) -> Figure:
    """Return a figure with a line for each kind; bars are standard deviations, none where there is none.

    Args:
        lines: what is drawn; the numbers across are above 0.
        across: what these are.
        up: what the values are.
        decimals: of a value in words.
    """
    from plotly.graph_objects import Figure, Scatter

    figure, colours = Figure(), colour_of(list(lines))
    for order, (name, values) in enumerate(lines.items()):
        places = sorted(values)
        means, spreads = zip(*(values[place] for place in places), strict=True)
        figure.add_trace(
            Scatter(
                x=places,
                y=means,
                error_y=_bars(spreads),
                mode="lines+markers",
                line={"color": colours[name], "width": 2.5},
                marker={"size": 9, "symbol": SYMBOLS[order % len(SYMBOLS)]},
                name=plain(name),
                legendgroup=name,
                customdata=[_hovered(*values[place], decimals) for place in places],
                hovertemplate="%{fullData.name} at %{x}: %{customdata}<extra></extra>",
            )
        )
    marked = sorted({place for values in lines.values() for place in values})
    ticks = {"tickvals": marked, "ticktext": [f"{place:g}" for place in marked]}
    figure.update_xaxes(title_text=plain(across), type="log", **ticks)
    figure.update_yaxes(title_text=plain(up))
    style(figure, height=380, left=60, top=10)
    return figure


def _bars(spreads: Sequence[float]) -> dict[str, Any]:
    """Return the bars of a line; one without any spread has none."""
    if all(map(math.isnan, spreads)):
        return {"visible": False}
    known = [0.0 if math.isnan(one) else one for one in spreads]
    return {"type": "data", "array": known, "thickness": 1.5, "width": 5}


def _hovered(mean: float, sd: float, decimals: int) -> str:
    spread = "" if math.isnan(sd) else f" ± {sd:.{decimals}f}"
    return f"{number(mean, f'z.{decimals}f')}{spread}"
