"""How alike layers are (``analyse cka``), as figures of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.errors import RunFolderError
from geopretrain.records import Real, Text, as_type, damaged, read_json
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.report.figures import plain, style
from geopretrain.study.inits import short_names
from geopretrain.wording import number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NUMBERS = "cka.json"
_ADVICE = "Measure it again: geopretrain analyse cka ... --overwrite."
_LEAST, _ROW, _COLUMN = 320, 20, 14
"""px of a map, and least px of each of its layers."""
_FONT, _BESIDE = 11, 130
"""px of the letters of layers, and of what stands beside a map and their names: titles and the scale."""


@dataclass(frozen=True)
class Shape:
    """What ``cka.json`` holds."""

    first: Text
    second: Text
    protocol: Text
    layers_of_first: list[Text]
    layers_of_second: list[Text]
    cka: list[list[Real | None]]
    standard_error: list[list[Real | None]]


@dataclass(frozen=True)
class LayerMap:
    """A map in a page.

    Attributes:
        title: of what, by short names.
        networks: short names, and the whole places of those that have one.
        protocol: how it was measured.
        place: its folder.
        drawing: of it.
    """

    title: str
    networks: Mapping[str, str]
    protocol: str
    place: str
    drawing: Drawing


def read_map(folder: Path, place: str) -> LayerMap:
    """Return the map in a folder, which is called ``place``.

    Raises:
        RunFolderError: its numbers are damaged.
    """
    file = folder / NUMBERS
    found: Shape = as_type(
        Shape,
        read_json(file, dict[str, Any], error=RunFolderError, advice=_ADVICE),
        file,
        error=RunFolderError,
        advice=_ADVICE,
    )
    for field, expected in _contradictions(found):
        raise damaged(file, field, expected, error=RunFolderError, advice=_ADVICE)
    names = short_names([found.first, found.second])
    title = " and ".join(dict.fromkeys(names.values()))
    words = f"Map of how alike layers of {title} see the same images (CKA, 0 to 1)"
    figure = heat_map(found, names)
    networks = {name: whole for whole, name in names.items() if name != whole}
    width = length_of_names(found.layers_of_first) + _COLUMN * len(found.layers_of_second) + _BESIDE
    return LayerMap(title, networks, found.protocol, place, drawing(figure, words, width=width))


def _contradictions(found: Shape) -> Iterator[tuple[str, str]]:
    rows, columns = len(found.layers_of_first), len(found.layers_of_second)
    for name, table in (("cka", found.cka), ("standard_error", found.standard_error)):
        if len(table) != rows or any(len(row) != columns for row in table):
            yield name, f"a table of {rows} x {columns} numbers"


def heat_map(found: Shape, names: Mapping[str, str]) -> Figure:
    """Return the figure: a row for each layer of the first network, the first one at the bottom.

    Args:
        found: its numbers.
        names: of the two networks, by their places.
    """
    from plotly.graph_objects import Figure, Heatmap

    across, up = ([plain(one) for one in each] for each in (found.layers_of_second, found.layers_of_first))
    shown = Heatmap(
        x=across,
        y=up,
        z=[[None if one is None else round(one, 3) for one in row] for row in found.cka],
        customdata=[
            [_hovered(*both) for both in zip(*rows, strict=True)]
            for rows in zip(found.cka, found.standard_error, strict=True)
        ],
        zmin=0,
        zmax=1,
        colorscale="Inferno",
        colorbar={"title": {"text": "CKA"}, "thickness": 14},
        hovertemplate="%{y}, %{x}: %{customdata}<extra></extra>",
    )
    figure = Figure(shown)
    style(figure, height=80 + max(_LEAST, _ROW * len(up)) + length_of_names(across), left=10, top=10)
    axis = {"type": "category", "automargin": True, "showgrid": False, "tickfont_size": _FONT, "dtick": 1}
    figure.update_xaxes(**axis, title_text=plain(names[found.second]), tickangle=90)
    figure.update_yaxes(**axis, title_text=plain(names[found.first]))
    return figure


def length_of_names(layers: Sequence[str]) -> int:
    """Return how long the longest name of a layer is, px."""
    return round(0.6 * _FONT * max(map(len, layers), default=0))


def _hovered(value: float | None, error: float | None) -> str:
    """Return a number with its standard error, which one batch of images does not tell."""
    if value is None:
        return "no number"
    return number(value, "z.3f") + ("" if error is None else f" (standard error {error:.3f})")
