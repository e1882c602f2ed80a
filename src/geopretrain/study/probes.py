"""Linear probes by the number of labels: several sets of labelled images, the same ones for each init."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from geopretrain.console import console
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.subsets import drawn_subset, spread_positions
from geopretrain.evaluation.probe import MAX_TRAIN
from geopretrain.evaluation.probe_curve import RIDGES, Draw, images_of, scores
from geopretrain.networks import Backbone
from geopretrain.pictures.colouring import Picture
from geopretrain.pictures.lines import draw_lines
from geopretrain.study.draws import Drawing, drawn_by, drawn_from, label_counts
from geopretrain.study.efficiency import label_savings
from geopretrain.study.measures import MIOU
from geopretrain.study.power import power_cautions
from geopretrain.study.statistics import interval_of_mean
from geopretrain.study.summary import Row, summarise

MODE = "a linear probe"
_WIDE = 28
"""Letters of a column in words."""
PROTOCOL = (
    "Linear probe: ridge regression from all levels of the frozen backbone at stride 8 to the classes, its "
    "penalty of {ridges} chosen for each number of labels on the labelled images themselves, batch-norm "
    "statistics measured on {measured} training images without their labels; mIoU from one confusion matrix "
    "over {judged} images of '{split}' at {height}x{width} px (h x w); {sets} drawn by {by} from seed {seed}"
)


class Asked(Drawing, Protocol):
    """Options that say which labelled images are fitted on, and which are judged on."""

    @property
    def evaluate_on(self) -> str:
        """Split that is judged on."""


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
        rows, counts = self.rows(), sorted({probe.labels for probe in self.probes})
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
        rows, counts = self.rows(), sorted({probe.labels for probe in self.probes})
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


class LabelDraws:
    """Sets of labelled images, and those that probes are judged on.

    Args:
        data: labelled images.
        asked: which.

    Attributes:
        draws: of each set, with the seed that it is drawn with; what all labels are is in the first.
        measured: images that the statistics of batch normalisation are measured on.

    Raises:
        ConfigError: there are fewer labels.
    """

    def __init__(self, data: LabelledSet, asked: Asked) -> None:
        train, judged = drawn_from(data, LABELS), data.splits(LABELS).get(asked.evaluate_on, np.zeros(0, int))
        self.data, self.asked, self.judged = data, asked, judged
        counts, first = label_counts(asked, len(train)), asked.subset_seed
        self.draws: dict[int, Draw] = {}
        for seed in range(first, first + asked.subsets):
            if own := tuple(count for count in counts if seed == first or count < len(train)):
                order = drawn_subset(data, train, own[-1], seed, drawn_by(asked))
                self.draws[seed] = Draw(train[order], judged, own)
        self.measured = train[spread_positions(len(train), MAX_TRAIN)]

    @property
    def fitted(self) -> np.ndarray:
        """Images that some probe is fitted on."""
        return np.unique(np.concatenate([draw.fitted for draw in self.draws.values()]))

    @property
    def protocol(self) -> str:
        """What the numbers mean."""
        height, width = self.data.size
        return PROTOCOL.format(
            ridges=", ".join(f"{ridge:g}" for ridge in RIDGES),
            measured=len(self.measured),
            judged=len(self.judged),
            split=self.asked.evaluate_on,
            height=height,
            width=width,
            sets=f"{self.asked.subsets} sets of labelled images" if self.asked.subsets > 1 else "one set",
            by=drawn_by(self.asked),
            seed=self.asked.subset_seed,
        )

    def score(self, init: str, backbone: Backbone) -> list[Probe]:
        """Fit and judge all probes of an initialisation, whose backbone stays as it is."""
        draws = list(self.draws.values())
        with console.progress(init, images_of(draws, self.measured), unit="images") as line:
            found = scores(self.data, backbone, draws, self.measured, line)
        return [
            Probe(init, count, seed, miou)
            for seed, own in zip(self.draws, found, strict=True)
            for count, miou in own.items()
        ]
