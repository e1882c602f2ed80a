"""Curves of a comparison: scores over the steps and over the number of labels, courses of trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from geopretrain.report.figures import SYMBOLS, axis, colour_of, plain, style
from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.sentences import MODE_WORDS
from geopretrain.study.statistics import interval_of_mean
from geopretrain.study.summary import Row, last_rows
from geopretrain.wording import number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter


def learning_curves(
    rows: Sequence[Row],
    inits: Sequence[str],
    modes: Sequence[str],
    measure: Measure = MIOU,
    scored_on: str = "test",
) -> Figure:
    """Mean score over the steps, a panel for each mode and number of labels; bands: a standard deviation."""
    from plotly.graph_objects import Scatter

    figure, panels = _panels({(row.mode, row.labels) for row in rows}, modes, measure)
    colours, unit = colour_of(inits), " %" * measure.percent
    for (mode, labels), (line_of_panels, column) in panels.items():
        for order, init in enumerate(inits):
            own = [
                row for row in rows if (row.mode, row.labels, row.init) == (mode, labels, init) and row.values
            ]
            if not own:
                continue
            x = [row.step for row in own]
            spread = [row.shown_sd if len(row.values) > 1 else 0.0 for row in own]
            low, high = (
                [measure.scale * (row.mean + s * sd) for row, sd in zip(own, spread, strict=True)]
                for s in (-1, 1)
            )
            band = _band(x, low, high, init, colours[init])
            line = Scatter(
                x=x,
                y=[measure.scale * row.mean for row in own],
                mode="lines+markers",
                line={"color": colours[init], "width": 2.5},
                marker={"size": 8, "symbol": SYMBOLS[order % len(SYMBOLS)]},
                name=plain(init),
                legendgroup=init,
                hovertemplate=f"%{{fullData.name}}: %{{y:.{measure.decimals}f}}{unit} after %{{x}}"
                "<extra></extra>",
            )
            figure.add_trace(band, line_of_panels, column)
            figure.add_trace(line, line_of_panels, column)
        figure.update_xaxes(title_text="steps", rangemode="tozero", row=line_of_panels, col=column)
    lines = max((place[0] for place in panels.values()), default=1)
    for line_of_panels in range(1, lines + 1):
        figure.update_yaxes(title_text=axis(scored_on, measure), row=line_of_panels, col=1)
    style(figure, height=380 if lines == 1 else 60 + 320 * lines, left=60)
    return figure


def courses(
    trainings: Sequence[Mapping[str, Any]],
    inits: Sequence[str],
    modes: Sequence[str],
    ending: Mapping[str, Any],
    measure: Measure = MIOU,
) -> Figure:
    """Validation of every training over its steps, marked where the weights that were scored are from.

    Args:
        trainings: ``init``, ``mode``, ``labels``, ``validation`` (steps, values) and ``kept_step`` of each.
        inits: names.
        modes: that were compared.
        ending: what ended them.
        measure: the score.
    """
    from plotly.graph_objects import Scatter

    figure, panels = _panels({(one["mode"], one["labels"]) for one in trainings}, modes, measure)
    colours, name = colour_of(inits), ending["monitor"].partition("/")[2]
    scale = measure.scale if name == measure.key else 1.0
    for one in trainings:
        line, column = panels[one["mode"], one["labels"]]
        kept = {"color": colours[one["init"]], "symbol": SYMBOLS[inits.index(one["init"]) % len(SYMBOLS)]}
        figure.add_trace(
            Scatter(
                x=[step for step, _ in one["validation"]],
                y=[None if value is None else scale * value for _, value in one["validation"]],
                mode="lines+markers",
                line={"color": colours[one["init"]], "width": 1},
                marker={**kept, "size": [9 * (step == one["kept_step"]) for step, _ in one["validation"]]},
                opacity=0.6,
                name=plain(one["init"]),
                legendgroup=one["init"],
                hovertemplate=f"%{{fullData.name}}: %{{y:.{measure.decimals}f}} after %{{x}}<extra></extra>",
            ),
            line,
            column,
        )
        figure.update_xaxes(title_text="steps", rangemode="tozero", row=line, col=column)
    lines = max((place[0] for place in panels.values()), default=1)
    title = axis("validation", measure) if name == measure.key else f"validation {name}"
    for line in range(1, lines + 1):
        figure.update_yaxes(title_text=title, row=line, col=1)
    style(figure, height=380 if lines == 1 else 60 + 320 * lines, left=60)
    return figure


Panel = tuple[str, int | None]


def _panels(
    there: Iterable[Panel], modes: Sequence[str], measure: Measure
) -> tuple[Figure, dict[Panel, tuple[int, int]]]:
    """Return a figure with a panel for each mode, and with several numbers of labels a line of them each."""
    from plotly.subplots import make_subplots

    there = set(there)
    present = [mode for mode in modes if mode in {mode for mode, _ in there}]
    counts = sorted({labels for _, labels in there}, key=lambda labels: labels or 0)
    names = [MODE_WORDS.get(mode, mode) for mode in present]
    if len(counts) < 2:
        places = {(mode, labels): (1, k) for labels in counts for k, mode in enumerate(present, 1)}
        titles, shape = names, (1, max(1, len(present)))
    else:
        places = {
            (mode, n): (line, k) for line, mode in enumerate(present, 1) for k, n in enumerate(counts, 1)
        }
        titles = [f"{name}, {measure.counted(n)}" for name in names for n in counts]
        shape = (max(1, len(present)), len(counts))
    figure = make_subplots(*shape, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04)
    return figure, places


def label_curves(
    rows: Sequence[Row],
    inits: Sequence[str],
    modes: Sequence[str],
    measure: Measure = MIOU,
    scored_on: str = "test",
) -> Figure:
    """Score at the end against the number of labels, a panel for each mode; bars: 95 % of the mean."""
    from plotly.subplots import make_subplots

    last = [row for row in last_rows(rows) if row.labels and row.values]
    present = [mode for mode in modes if any(row.mode == mode for row in last)]
    titles = [MODE_WORDS.get(mode, mode) for mode in present]
    figure = make_subplots(
        1, max(1, len(present)), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04
    )
    colours, counts = colour_of(inits), sorted({row.labels for row in last if row.labels})
    for column, mode in enumerate(present, 1):
        for order, init in enumerate(inits):
            own = [row for row in last if (row.mode, row.init) == (mode, init)]
            aside = 1.04 ** (order - (len(inits) - 1) / 2)  # so that intervals do not hide each other
            line = _line_over_labels(own, measure, aside)
            line.update(
                line={"color": colours[init], "width": 2.5},
                marker={"size": 9, "symbol": SYMBOLS[order % len(SYMBOLS)]},
                name=plain(init),
                legendgroup=init,
            )
            figure.add_trace(line, 1, column)
        figure.update_xaxes(
            title_text=measure.images,
            type="log",
            tickvals=counts,
            ticktext=[str(count) for count in counts],
            row=1,
            col=column,
        )
    figure.update_yaxes(title_text=axis(scored_on, measure), row=1, col=1)
    style(figure, height=380, left=60)
    return figure


def _line_over_labels(rows: Sequence[Row], measure: Measure, aside: float) -> Scatter:
    """Return the scores of one initialisation over its numbers of labels, which are drawn ``aside`` times."""
    from plotly.graph_objects import Scatter

    ends = [interval_of_mean(row.keyed) or (row.mean, row.mean, "seeds") for row in rows]
    above = [measure.scale * (end[1] - row.mean) for end, row in zip(ends, rows, strict=True)]
    below = [measure.scale * (row.mean - end[0]) for end, row in zip(ends, rows, strict=True)]
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
    return Scatter(
        x=[(row.labels or 1) * aside for row in rows],
        y=[measure.scale * row.mean for row in rows],
        error_y={**bars, "thickness": 1.5, "width": 5},
        mode="lines+markers",
        customdata=[row.labels for row in rows],
        hovertemplate=f"%{{fullData.name}}, %{{customdata}} {measure.learned}s: "
        f"%{{y:.{measure.decimals}f}}<extra></extra>",
    )


def _transparent(colour: str) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def _band(x: list[int], low: list[float], high: list[float], init: str, colour: str) -> Scatter:
    """Return what lies between two lines, shown and hidden with the initialisation."""
    from plotly.graph_objects import Scatter

    return Scatter(
        x=x + x[::-1],
        y=high + low[::-1],
        mode="lines",
        fill="toself",
        fillcolor=_transparent(colour),
        line={"width": 0},
        hoverinfo="skip",
        legendgroup=init,
    )


def loss_curves(
    losses: Sequence[Mapping[str, Any]], inits: Sequence[str], modes: Sequence[str], measure: Measure = MIOU
) -> Figure:
    """Training loss over the steps, a panel for each mode and number of labels; bands: a standard deviation.

    Args:
        losses: as `geopretrain.study.losses.mean_losses` returns them.
        inits: names.
        modes: that were compared.
    """
    from plotly.graph_objects import Scatter

    figure, panels = _panels({(one["mode"], one.get("labels")) for one in losses}, modes, measure)
    colours = colour_of(inits)
    for one in losses:
        line, column = panels[one["mode"], one.get("labels")]
        x, means, init = one["steps"], one["means"], one["init"]
        sds = [sd or 0.0 for sd in one["sds"]]
        low, high = ([m + sign * sd for m, sd in zip(means, sds, strict=True)] for sign in (-1, 1))
        band = _band(x, low, high, init, colours[init])
        curve = Scatter(
            x=x,
            y=means,
            mode="lines" if len(x) > 1 else "markers",
            line={"color": colours[init], "width": 2},
            name=plain(init),
            legendgroup=init,
            customdata=[number(mean, "z.3f") for mean in means],
            hovertemplate="%{fullData.name}: %{customdata} at %{x}<extra></extra>",
        )
        figure.add_trace(band, line, column)
        figure.add_trace(curve, line, column)
    _finish(figure, panels, x_title="steps", y_title="training loss")
    return figure


def score_against_second(
    rows: Sequence[Row], inits: Sequence[str], modes: Sequence[str], measure: Measure = MIOU
) -> Figure:
    """The score against the second one at every point of the curves, a line for each initialisation.

    At equal scores the one that lies further right has more of the second (Lao et al., supplement, figure 3).
    """
    from plotly.graph_objects import Scatter

    figure, panels = _panels({(row.mode, row.labels) for row in rows}, modes, measure)
    colours = colour_of(inits)
    for (mode, labels), place in panels.items():
        for order, init in enumerate(inits):
            own = [r for r in rows if (r.mode, r.labels, r.init) == (mode, labels, init) and r.values]
            trace = Scatter(
                x=[measure.scale * row.second for row in own],
                y=[measure.scale * row.mean for row in own],
                mode="lines+markers",
                line={"color": colours[init], "width": 1.5},
                marker={"size": 8, "symbol": SYMBOLS[order % len(SYMBOLS)]},
                name=plain(init),
                legendgroup=init,
                customdata=[row.step for row in own],
                hovertemplate="%{fullData.name} after %{customdata}: "
                f"{measure.name} %{{y:.{measure.decimals}f}}, "
                f"{measure.second_name} %{{x:.{measure.decimals}f}}<extra></extra>",
            )
            figure.add_trace(trace, *place)
    _finish(figure, panels, x_title=measure.second_title, y_title=measure.title)
    return figure


def _finish(figure: Figure, panels: Mapping[Panel, tuple[int, int]], *, x_title: str, y_title: str) -> None:
    """Name the axes of panels and give them their size."""
    lines = max((place[0] for place in panels.values()), default=1)
    figure.update_xaxes(title_text=x_title)
    for line in range(1, lines + 1):
        figure.update_yaxes(title_text=y_title, row=line, col=1)
    style(figure, height=380 if lines == 1 else 60 + 320 * lines, left=60)
