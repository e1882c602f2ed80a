"""What a linear probe of frozen features makes of few and of more labels; test images are not looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopretrain.advice.groups import parts_of, train_rows
from geopretrain.console import console
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.subsets import drawn_subset, spread_positions
from geopretrain.evaluation.probe import MAX_TRAIN
from geopretrain.evaluation.probe_curve import Draw, images_of, scores
from geopretrain.networks import Backbone

Rows = NDArray[np.int64]
COUNTS, MOST = (4, 16, 64), 256
"""Numbers of labels that are tried where there are so many, and the most."""
DRAWS, JUDGED = 3, 32
"""Sets of each number of labels, and images that each is judged on."""
HELD_BACK = 0.25
"""Part of the training images that is judged on where there is no val split."""


@dataclass(frozen=True)
class Point:
    """The probe's scores of one initialisation with so many labels.

    Attributes:
        init: whose features.
        labels: images that the layer is fitted on.
        miou: of each set of images, in points.
    """

    init: str
    labels: int
    miou: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the sets."""
        return float(np.mean(self.miou))


@dataclass(frozen=True)
class Probed:
    """All scores of the probe.

    Attributes:
        points: one for each initialisation and number of labels.
        judged_on: split that was judged on; parts of ``train`` are not fitted on.
        judged: images in it that were looked at, of one set.
        size: (height, width), px.
    """

    points: tuple[Point, ...]
    judged_on: str
    judged: int
    size: tuple[int, int]

    def of(self, init: str) -> list[Point]:
        """Return the points of an initialisation, by number of labels."""
        return sorted((point for point in self.points if point.init == init), key=lambda one: one.labels)

    def differences(self, init: str, other: str) -> dict[int, tuple[float, ...]]:
        """Return by how many points an initialisation is above another, set by set, by number of labels."""
        others = {point.labels: point.miou for point in self.of(other)}
        return {
            point.labels: tuple(a - b for a, b in zip(point.miou, others[point.labels], strict=True))
            for point in self.of(init)
        }

    def slope(self, init: str) -> float | None:
        """Return the points that four times the labels add at the upper end; None for one number of them."""
        points = self.of(init)
        if len(points) < 2:
            return None
        last, before = points[-1], points[-2]
        return (last.mean - before.mean) / float(np.log2(last.labels / before.labels) / 2)


def probe(data: LabelledSet, networks: Mapping[str, Backbone], wanted: int, seed: int) -> Probed | None:
    """Fit the probe on few and on more labels and judge it on images that it is not fitted on.

    Args:
        data: labelled images.
        networks: by the name of their initialisation, in evaluation mode.
        wanted: number of labels that is among those tried.
        seed: fixes which images.

    Returns:
        None where there are too few labelled images: one training image, or no other to judge on.
    """
    draws = _draws(data, wanted, seed)
    if not draws:
        return None
    found: dict[tuple[str, int], list[float]] = {}
    measured = draws[0].fitted[:MAX_TRAIN]
    total = images_of(draws, measured) * len(networks)
    with console.progress("linear probe", total, unit="images") as line:
        for name, network in networks.items():
            for own in scores(data, network, draws, measured, line):
                for count, miou in own.items():
                    found.setdefault((name, count), []).append(100 * miou)
    points = tuple(Point(name, count, tuple(miou)) for (name, count), miou in found.items())
    split = "val" if len(data.splits(LABELS).get("val", ())) else "train"
    return Probed(points, split, len(draws[0].judged), data.size)


def _draws(data: LabelledSet, wanted: int, seed: int) -> list[Draw]:
    """Return several sets of images; many, and all there are, are fitted on once only."""
    parts = [one for one in (_parted(data, seed + number) for number in range(DRAWS)) if one is not None]
    if not parts:
        return []
    most = min(MOST, *(len(fitted) for fitted, _ in parts))
    counts = sorted({count for count in (*COUNTS, wanted, most) if count <= most})
    same = all(np.array_equal(judged, parts[0][1]) for _, judged in parts)
    few = [n for n in counts if n <= COUNTS[-1] and not (same and n == len(parts[0][0]))]
    found = []
    for number, (fitted, judged) in enumerate(parts):
        if own := tuple(counts if number == 0 else few):
            order = drawn_subset(data, fitted, own[-1], seed + number, "sequence")
            found.append(Draw(fitted[order], judged, own))
    return found


def _parted(data: LabelledSet, seed: int) -> tuple[Rows, Rows] | None:
    """Return the images that may be fitted on and some to judge on; None where none are left for that.

    Without a val split whole parts of the training images are held back, other ones for each seed.
    """
    train, val = train_rows(data, LABELS), data.splits(LABELS).get("val", np.zeros(0, np.int64))
    if len(val):
        judged = _labelled(data, _some(val))
        return (train, judged) if len(judged) else None
    parts = np.array(parts_of(data.names(train)))
    order = np.random.default_rng([seed, 2]).permutation(np.unique(parts))
    held: list[str] = []
    while not held or np.isin(parts, held).mean() < HELD_BACK:
        held.append(str(order[len(held)]))
    back = np.isin(parts, held)
    judged = _labelled(data, _some(train[back]))
    return None if back.all() or not len(judged) else (train[~back], judged)


def _labelled(data: LabelledSet, rows: Rows) -> Rows:
    """Return the images with labelled pixels: others say nothing of a prediction."""
    return rows[data.class_pixels(rows)[:, :-1].any(1)]


def _some(rows: Rows) -> Rows:
    return rows[spread_positions(len(rows), JUDGED)]


def in_words(probed: Probed) -> list[str]:
    """Return the scores as a table and sentences."""
    names = list(dict.fromkeys(point.init for point in probed.points))
    counts = sorted({point.labels for point in probed.points})
    width = max(6, *map(len, names))
    lines = [f"{'labels':{width}}" + "".join(f"{count:>16}" for count in counts)]
    for name in names:
        cells = "".join(f"{_cell(point):>16}" for point in probed.of(name))
        lines.append(f"{name:{width}}{cells}")
    where = (
        f"{probed.judged} images of the val split"
        if probed.judged_on == "val"
        else f"about {probed.judged} training images, other parts of them each time, that are held back"
    )
    several = (
        "the mean of three sets (lowest to highest)"
        if any(len(p.miou) > 1 for p in probed.points)
        else "one set"
    )
    return [
        *lines,
        f"mIoU in points of a linear layer on frozen features, {several}; judged on {where}.",
    ]


def _cell(point: Point) -> str:
    if len(point.miou) == 1:
        return f"{point.mean:.1f}"
    return f"{point.mean:.1f} ({min(point.miou):.0f}-{max(point.miou):.0f})"
