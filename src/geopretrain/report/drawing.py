"""Plotly figures as pages hold them: data that a script draws, never code, with toggles made of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geopretrain.report.figures import GLYPHS, SYMBOLS, colour_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PANEL = 230
"""px that a panel needs beside others; a narrow screen scrolls the figure sideways, not the page."""


@dataclass(frozen=True)
class Toggle:
    """A button that shows or hides what belongs to one name.

    Attributes:
        name: of an initialisation or run, the ``legendgroup`` of its traces.
        colour: of them.
        glyph: as their marks look, so that colour is not all that tells them apart.
    """

    name: str
    colour: str
    glyph: str


@dataclass(frozen=True)
class Drawing:
    """A figure in a page.

    Attributes:
        data: the figure as JSON that can stand in a script element.
        words: what it shows, for those who do not see it.
        height: px.
        width: least px.
        toggles: of its traces.
    """

    data: str
    words: str
    height: int
    width: int
    toggles: tuple[Toggle, ...] = ()


def drawing(
    figure: Figure, words: str, names: Sequence[str] = (), *, panels: int = 1, width: int = 0
) -> Drawing:
    """Return a figure for a page.

    Args:
        figure: whose traces have a ``legendgroup``; plotly's own legend, which no key reaches, is left out.
        words: what it shows, a sentence.
        names: of what can be shown and hidden, in the order of `colour_of`; fewer than two have no toggles.
        panels: beside each other.
        width: least px of a single panel.
    """
    figure.update_layout(showlegend=False)
    colours = colour_of(names) if names else {}
    toggles = [Toggle(name, colours[name], GLYPHS[SYMBOLS[k % len(SYMBOLS)]]) for k, name in enumerate(names)]
    data = figure.to_json().replace("<", "\\u003c")  # whatever names hold, no element begins or ends in it
    width = width if panels < 2 else 70 + PANEL * panels
    return Drawing(data, words, int(figure.layout.height), width, tuple(toggles if len(toggles) > 1 else ()))
