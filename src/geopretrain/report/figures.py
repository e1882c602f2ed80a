"""Plotly figures of a comparison: differences with intervals, IoU of each class, rates; see `curves`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.sentences import MODE_WORDS
from geopretrain.study.summary import Row, headline_rows
from geopretrain.wording import counted

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; grey for what the others are held to.
REFERENCE_COLOUR = "#7a7f87"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GRID = "#22262c", "#e6e8eb"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
GLYPHS = {
    "circle": "●",
    "diamond": "◆",
    "square": "■",
    "triangle-up": "▲",
    "cross": "✚",
    "x": "✖",
    "star": "★",
}
"""Marks of plotly, and the letters that look like them."""
SYMBOLS = tuple(GLYPHS)


def plain(name: object) -> str:
    """Return a name as plotly shows it letter by letter: what looks like a tag would be one to it."""
    return html.escape(str(name), quote=False)


def colour_of(inits: Sequence[str]) -> dict[str, str]:
    """Return the colour of each initialisation, the same in every figure and picture caption."""
    rest = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(inits[1:])}
    return {inits[0]: REFERENCE_COLOUR, **rest}


def differences(rows: Sequence[Row], inits: Sequence[str], measure: Measure = MIOU) -> Figure:
    """Difference to the first initialisation with its interval, by mode, after few and all steps."""
    from plotly.graph_objects import Figure, Scatter

    shown = [row for row in headline_rows(rows) if row.difference is not None]
    several = len({row.labels for row in rows}) > 1
    figure, scale = Figure(), measure.scale
    colours = colour_of(inits)
    for number, init in enumerate(inits[1:], 1):
        own = [row for row in shown if row.init == init]
        ends = [row.difference for row in own if row.difference is not None]
        figure.add_trace(
            Scatter(
                x=[scale * d.mean for d in ends],
                y=[_label(row, len(inits) > 2, several, measure) for row in own],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [scale * (d.high - d.mean) for d in ends],
                    "arrayminus": [scale * (d.mean - d.low) for d in ends],
                    "thickness": 2.5,
                    "width": 7,
                    "color": colours[init],
                },
                mode="markers",
                marker={"size": 12, "color": colours[init], "symbol": SYMBOLS[number % len(SYMBOLS)]},
                name=plain(init),
                legendgroup=init,
                customdata=[measure.show(d.mean, sign=True) for d in ends],
                hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            )
        )
        pairs = [
            (value, _label(row, len(inits) > 2, several, measure))
            for row in own
            if row.difference
            for value in row.difference.values
        ]
        figure.add_trace(_seed_dots(pairs, init, colours[init], measure))
    figure.add_vline(x=0, line={"color": INK, "width": 1.5})
    style(figure, height=80 + 46 * max(1, len(shown)), left=10, top=10)
    figure.update_yaxes(
        type="category", autorange="reversed", automargin=True, showgrid=False, ticksuffix="  "
    )
    figure.update_xaxes(title_text=f"difference to {plain(inits[0])}, {measure.difference_title}")
    figure.update_xaxes(zeroline=False)
    return figure


def _seed_dots(pairs: Sequence[tuple[float, str]], init: str, colour: str, measure: Measure) -> Any:
    """Show the difference of every training as a small hollow dot."""
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[measure.scale * value for value, _ in pairs],
        y=[label for _, label in pairs],
        mode="markers",
        marker={"size": 6, "color": "rgba(0,0,0,0)", "line": {"color": colour, "width": 1}},
        customdata=[measure.show(value, sign=True) for value, _ in pairs],
        legendgroup=init,
        hovertemplate="one seed: %{customdata}<extra></extra>",
    )


def _label(row: Row, with_init: bool, with_labels: bool, measure: Measure) -> str:
    words = MODE_WORDS.get(row.mode, row.mode)
    labels = f"{measure.counted(row.labels)}, " if with_labels else ""
    init = f"{plain(row.init)}: " if with_init else ""
    return f"{init}{words},<br>{labels}after {counted(row.step, 'step')}"


def class_bars(
    per_class: dict[str, list[float | None]],
    names: Sequence[str],
    inits: Sequence[str],
    measure: Measure = MIOU,
) -> Figure:
    """Score of each class at the end in one mode, classes sorted by the first initialisation."""
    from plotly.graph_objects import Bar, Figure

    first = next(iter(per_class.values()))
    order = sorted(range(len(names)), key=lambda k: -1.0 if (value := first[k]) is None else value)
    colours = colour_of(inits)
    figure = Figure()
    for init in reversed([one for one in inits if one in per_class]):
        values = [per_class[init][k] for k in order]
        figure.add_trace(
            Bar(
                y=[plain(names[k]) for k in order],
                x=[None if value is None else 100 * value for value in values],
                orientation="h",
                name=plain(init),
                legendgroup=init,
                marker={"color": colours[init]},
                hovertemplate="%{fullData.name}, %{y}: %{x:.1f} %<extra></extra>",
            )
        )
    style(figure, height=60 + (8 + 13 * len(per_class)) * len(names), left=10, top=10)
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.05)
    figure.update_yaxes(type="category", automargin=True, showgrid=False, ticksuffix=" ")
    figure.update_xaxes(title_text=f"{measure.name.removeprefix('m')}, %", range=[0, 100])
    return figure


def rate_curves(
    search: Sequence[dict[str, Any]], inits: Sequence[str], modes: Sequence[str], measure: Measure = MIOU
) -> Figure:
    """Validation score at each learning rate that was tried; the chosen one is ringed."""
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    several = len({one.get("labels") for one in search}) > 1
    present = list(
        dict.fromkeys(
            (one["mode"], one.get("labels"))
            for one in sorted(search, key=lambda one: (modes.index(one["mode"]), one.get("labels") or 0))
        )
    )
    titles = [
        MODE_WORDS.get(mode, mode) + (f", {measure.counted(labels)}" if several else "")
        for mode, labels in present
    ]
    figure = make_subplots(
        1, max(1, len(present)), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04
    )
    colours, unit = colour_of(inits), " %" * measure.percent
    for one in search:
        column = present.index((one["mode"], one.get("labels"))) + 1
        rates = [row["lr"] for row in one["rates"]]
        means = [
            None if row.get("diverged") or not row["values"] else measure.scale * row["mean"]
            for row in one["rates"]
        ]
        ring = [16 if rate == one["chosen"] else 8 for rate in rates]
        figure.add_trace(
            Scatter(
                x=rates,
                y=means,
                mode="lines+markers",
                name=plain(one["init"]),
                legendgroup=one["init"],
                line={"color": colours[one["init"]], "width": 2},
                marker={"size": ring, "symbol": ["circle-open-dot" if s == 16 else "circle" for s in ring]},
                hovertemplate=f"%{{fullData.name}}, lr %{{x}}: %{{y:.{measure.decimals}f}}{unit}"
                "<extra></extra>",
            ),
            1,
            column,
        )
        figure.update_xaxes(title_text="learning rate", type="log", dtick=1, row=1, col=column)
    figure.update_yaxes(title_text=axis("validation", measure), row=1, col=1)
    style(figure, height=330, left=60)
    return figure


def axis(split: str, measure: Measure) -> str:
    """Return the title of an axis of scores."""
    return f"{split} {measure.title}{' (lower is better)' * measure.lower}"


def style(figure: Figure, height: int, left: int, top: int = 40) -> None:
    """Give a figure the look of all of them; ``top`` px are for titles of panels."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": left, "r": 16, "t": top, "b": 50},
        font={"family": FONT, "size": 14, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"family": FONT}},
    )
    figure.update_xaxes(gridcolor=GRID, linecolor=INK, fixedrange=True)
    figure.update_yaxes(gridcolor=GRID, fixedrange=True)
    figure.update_xaxes(title_font_size=14)
    figure.update_yaxes(title_font_size=14)
    figure.update_annotations(font={"size": 15, "color": INK})
