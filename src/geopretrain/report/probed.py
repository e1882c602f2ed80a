"""Linear probes by the number of labels (``analyse features --labels``), as a part of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geopretrain.report.curves import label_curves
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.study.probes import MODE, LabelProbes, cell


@dataclass(frozen=True)
class LabelTable:
    """Probes in a page.

    Attributes:
        counts: numbers of labels.
        rows: name of each initialisation, and its scores in words, one for each number of labels.
        first: what the others are compared with.
        sentences: what follows.
        drawing: the scores over the numbers of labels; None with one number.
        protocol: how they were made.
    """

    counts: Sequence[int]
    rows: Sequence[tuple[str, Sequence[str]]]
    first: str
    sentences: Sequence[str]
    drawing: Drawing | None
    protocol: str


def label_table(probes: LabelProbes, names: Mapping[str, str]) -> LabelTable:
    """Return probes as a part of a page.

    Args:
        probes: with one initialisation or more.
        names: short names of the initialisations.
    """
    rows, counts = probes.rows(names), probes.counts
    inits = [names[init] for init in probes.inits]
    found = {(row.init, row.labels): row for row in rows}
    drawn = None
    if len(counts) > 1:
        words = "mIoU of a linear probe over the number of labelled images, a line for each initialisation"
        drawn = drawing(label_curves(rows, inits, [MODE], scored_on=probes.scored_on), words, inits)
    return LabelTable(
        counts,
        [(init, [cell(found.get((init, count))) for count in counts]) for init in inits],
        inits[0],
        probes.sentences(names),
        drawn,
        probes.protocol,
    )
