"""Fit linear probes by the number of labels: several sets of labelled images, the same ones for each init."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from geopretrain.console import console
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.subsets import drawn_subset, spread_positions
from geopretrain.evaluation.probe import MAX_TRAIN
from geopretrain.evaluation.probe_curve import RIDGES, Draw, images_of, scores
from geopretrain.networks import Backbone
from geopretrain.study.draws import Drawing, drawn_by, drawn_from, label_counts
from geopretrain.study.probes import Probe

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
        train, judged = drawn_from(data, LABELS), data.splits(LABELS)[asked.evaluate_on]
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
