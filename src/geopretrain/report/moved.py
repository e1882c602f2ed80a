"""What features are worth and how far weights have moved (``analyse features``), as a part of a page."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.errors import RunFolderError
from geopretrain.records import Real, Text, as_type, damaged, read_json
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.report.figures import SYMBOLS, colour_of, plain, style
from geopretrain.report.maps import length_of_names
from geopretrain.report.probed import LabelTable, label_table
from geopretrain.report.texts import kept_as
from geopretrain.study.inits import short_names
from geopretrain.study.probes import LabelProbes
from geopretrain.wording import number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NUMBERS, TABLE, MOVED, BY_LABELS = "features.json", "features.csv", "moved.csv", "labels.csv"
COLUMNS = ("rank_me", "linear_miou", "knn_miou", "moved")
"""Numbers of an initialisation, in the order of the table."""
_ADVICE = "Look at them again: geopretrain analyse features ... --overwrite."
_LAYER, _HEIGHT = 14, 330
"""Least px of a layer beside others, and px of the figure without the names of layers."""
Distances = Mapping[str, Mapping[str, float | None]]
"""How far each layer has moved, by initialisation and layer; None where it cannot be told."""


@dataclass(frozen=True)
class Shape:
    """What ``features.json`` holds."""

    protocol: Text
    inits: dict[Text, dict[Text, Real | None]]
    labels: LabelProbes | None = None


@dataclass(frozen=True)
class FeatureTable:
    """An analysis of features in a page.

    Attributes:
        title: of what, by short names.
        place: its folder.
        networks: short names, and the whole places of those that have one.
        protocol: how it was made.
        rows: name of each initialisation, and its numbers in words.
        sentences: how far weights have moved, one for each initialisation.
        drawing: the same layer by layer; None where nothing can have moved.
        downloads: the numbers.
        labels: probes by the number of labels; None without.
    """

    title: str
    place: str
    networks: Mapping[str, str]
    protocol: str
    rows: Sequence[tuple[str, Sequence[str]]]
    sentences: Sequence[str]
    drawing: Drawing | None
    downloads: Sequence[Mapping[str, str]]
    labels: LabelTable | None = None


def read_features(folder: Path, place: str) -> FeatureTable:
    """Return the analysis in a folder, which is called ``place``.

    Raises:
        RunFolderError: its numbers are damaged.
    """
    file = folder / NUMBERS
    content = read_json(file, dict[str, Any], error=RunFolderError, advice=_ADVICE)
    found: Shape = as_type(Shape, content, file, error=RunFolderError, advice=_ADVICE)
    if not found.inits:
        raise damaged(file, "inits", "one initialisation or more", error=RunFolderError, advice=_ADVICE)
    if found.labels is not None and set(found.labels.inits) != set(found.inits):
        expected = "probes of the same initialisations"
        raise damaged(file, "labels", expected, error=RunFolderError, advice=_ADVICE)
    names = short_names(list(found.inits))
    first, *_ = names.values()
    moved = {names.get(init, init): own for init, own in _distances(folder / MOVED).items()}
    title = ", ".join(names.values())
    whole = {names[init]: row.get("moved") for init, row in found.inits.items()}
    return FeatureTable(
        title,
        place,
        {name: one for one, name in names.items() if name != one},
        found.protocol,
        [(names[init], [_shown(key, row.get(key)) for key in COLUMNS]) for init, row in found.inits.items()],
        [_sentence(init, own, whole.get(init), first) for init, own in moved.items()],
        _drawn(moved, first) if moved else None,
        _downloads(folder),
        label_table(found.labels, names) if found.labels is not None else None,
    )


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return number(value if key == "rank_me" else 100 * value, "z.1f")


def _distances(file: Path) -> Distances:
    """Return what is in ``moved.csv``, nothing where there is none."""
    if not file.is_file():
        return {}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            head, *rows = list(csv.reader(lines))
        layers = [row[0] for row in rows]
        return {
            init: dict(zip(layers, [_finite(row[column]) for row in rows], strict=True))
            for column, init in enumerate(head[1:], 1)
        }
    except (csv.Error, ValueError, IndexError) as error:
        expected = "a table of numbers with a line for each layer"
        raise damaged(file, "it", expected, error=RunFolderError, advice=_ADVICE) from error


def _finite(cell: str) -> float | None:
    return float(cell) if cell and math.isfinite(float(cell)) else None


def _sentence(init: str, own: Mapping[str, float | None], whole: float | None, first: str) -> str:
    """Say how far an initialisation is from the first one, and which layer of it is farthest."""
    known = {layer: value for layer, value in own.items() if value is not None}
    if not known:
        return f"{init}: how far it is from {first} cannot be told."
    far = max(known, key=lambda layer: known[layer])
    together = "" if whole is None else f"all weights together {number(100 * whole, 'z.1f')} %, "
    most = number(100 * known[far], "z.1f")
    return f"{init} has moved from {first}: {together}most of all {far}, {most} %."


def _drawn(moved: Distances, first: str) -> Drawing:
    layers = list(next(iter(moved.values())))
    words = f"How far each layer has moved from {first}, relative to its size, a line for each initialisation"
    lines = {first: dict.fromkeys(layers, 0.0), **moved}  # so that each has the colour it has elsewhere
    return drawing(_figure(lines, layers), words, list(lines), width=70 + _LAYER * len(layers))


def _figure(moved: Distances, layers: Sequence[str]) -> Figure:
    from plotly.graph_objects import Figure, Scatter

    figure, colours = Figure(), colour_of(list(moved))
    for order, (init, own) in enumerate(moved.items()):
        far = [None if value is None else round(100 * value, 4) for value in own.values()]
        figure.add_trace(
            Scatter(
                x=[plain(layer) for layer in own],
                y=far,
                mode="lines+markers",
                line={"color": colours[init], "width": 1.5},
                marker={"size": 7, "symbol": SYMBOLS[order % len(SYMBOLS)]},
                name=plain(init),
                legendgroup=init,
                hovertemplate="%{fullData.name}, %{x}: %{y:.2f} %<extra></extra>",
            )
        )
    style(figure, height=_HEIGHT + length_of_names(layers), left=60, top=10)
    figure.update_xaxes(type="category", automargin=True, tickangle=90, tickfont_size=11, dtick=1)
    figure.update_yaxes(title_text="moved, % of its size", rangemode="tozero")
    return figure


def _downloads(folder: Path) -> list[dict[str, str]]:
    words = {
        TABLE: "Numbers of these features (CSV)",
        MOVED: "How far each layer has moved (CSV)",
        BY_LABELS: "Every probe by its number of labels (CSV)",
    }
    return [
        kept_as(f"{folder.name}-{name}", said, (folder / name).read_text(encoding="utf-8"), "text/csv")
        for name, said in words.items()
        if (folder / name).is_file()
    ]
