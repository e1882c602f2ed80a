"""Scores of linear probes by the number of labels, and what follows from them; pages need no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from geopretrain.pictures.colouring import Picture
from geopretrain.pictures.lines import draw_lines
from geopretrain.study.efficiency import label_savings
from geopretrain.study.measures import MIOU
from geopretrain.study.power import power_cautions
from geopretrain.study.statistics import interval_of_mean
from geopretrain.study.summary import Row, summarise

MODE = "a linear probe"
_WIDE = 28
"""Letters of a column in words."""


@dataclass(frozen=True)
class Probe:
    """The score of a probe.

    Attributes:
        init: whose features.
        labels: images that it is fitted on.
        subset: seed that these were drawn with.
        miou: in [0, 1].
    """

    init: str
    labels: int
    subset: int
    miou: float


@dataclass(frozen=True)
class LabelProbes:
    """Probes of initialisations on the same images.

    Attributes:
        probes: all of them; the initialisation of the first one is what others are compared with.
        scored_on: split.
        protocol: what the numbers mean.
    """

    probes: list[Probe]
    scored_on: str
    protocol: str

    @property
    def inits(self) -> list[str]:
        """Names of the initialisations, in their order."""
        return list(dict.fromkeys(probe.init for probe in self.probes))

    @property
    def counts(self) -> list[int]:
        """Numbers of labels, ascending."""
        return sorted({probe.labels for probe in self.probes})

    def rows(self, names: Mapping[str, str] | None = None) -> list[Row]:
        """Return means and paired differences by initialisation and number of labels, as of a comparison.

        Args:
            names: what initialisations are called; None: as they are.
        """
        named = names or {init: init for init in self.inits}
        trials = [
            {
                "init": named[one.init],
                "mode": MODE,
                "seed": 0,
                "labels": one.labels,
                "subset": one.subset,
                "curve": [{"step": 0, MIOU.key: one.miou}],
            }
            for one in self.probes
        ]
        return summarise(trials, [named[init] for init in self.inits], [MODE])

    def sentences(self, names: Mapping[str, str] | None = None) -> list[str]:
        """Return what the numbers support, and how much could have been told."""
        rows = self.rows(names)
        return [*(one.sentence for one in label_savings(rows)), *power_cautions(rows)]

    def text(self) -> str:
        """Return the table in words, with what follows from it."""
        rows, counts = self.rows(), self.counts
        width = max(6, *map(len, self.inits))
        lines = [f"{'labels':{width}}" + "".join(f"{count:>{_WIDE}}" for count in counts)]
        for init in self.inits:
            own = {row.labels: row for row in rows if row.init == init}
            lines.append(f"{init:{width}}" + "".join(f"{cell(own.get(n)):>{_WIDE}}" for n in counts))
        beside = f"; in brackets the difference to {self.inits[0]}, 95 % interval" * (len(self.inits) > 1)
        said = f"mIoU, %{beside}. {self.protocol}."
        return "\n".join([*lines, said, *self.sentences()])

    def picture(self) -> Picture:
        """Draw the scores over the number of labels, bars being 95 % intervals of the mean."""
        rows, counts = self.rows(), self.counts
        values: dict[str, list[float]] = {}
        bars: dict[str, list[float]] = {}
        for init in self.inits:
            own = {row.labels: row for row in rows if row.init == init}
            there = [own.get(count) for count in counts]
            values[init] = [math.nan if row is None else 100 * row.mean for row in there]
            bars[init] = [_half(row) for row in there]
        up = f"mIoU of a linear probe, %, {self.scored_on} images"
        return draw_lines([str(n) for n in counts], values, across="labelled images", up=up, bars=bars)


def cell(row: Row | None) -> str:
    """Write ``21.3 (+0.9 [+0.1, +1.7])``, without what is not known."""
    if row is None or not row.values:
        return "-"
    score, difference = MIOU.show(row.mean), row.difference
    if difference is None:
        return score
    shift = MIOU.show(difference.mean, sign=True)
    ends = [MIOU.show(end, sign=True) for end in (difference.low, difference.high)]
    return f"{score} ({shift} [{', '.join(ends)}])" if difference.has_interval else f"{score} ({shift})"


def _half(row: Row | None) -> float:
    """Return half the width of the interval of a mean, in points; 0 of a single value."""
    found = None if row is None else interval_of_mean(row.keyed)
    return 0.0 if found is None else 50 * (found[1] - found[0])
