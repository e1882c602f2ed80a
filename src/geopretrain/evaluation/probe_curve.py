"""The linear probe with few and with more labels: all of them from one pass over the images.

Pixels of one image resemble each other, so that few images have fewer pixels that count than there are
features, and a fixed penalty would measure how a layer learns them by heart. Here it is chosen for each
number of labels on the labelled images themselves: two halves of them, each judged by the layer of the other.
Statistics of batch normalisation, which need no labels, are measured on the same images for all.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopretrain.console import ProgressLine
from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.evaluation.probe import RIDGE, Sums, classes_by, features_of
from geopretrain.metrics.segmentation import SegmentationScore
from geopretrain.networks import Backbone
from geopretrain.networks.batch_norm import recalibrate_batch_norm

RIDGES = (RIDGE, 1e-2, 1e-1, 1.0)
"""Penalties among which one is chosen."""
BATCH = 8
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Draw:
    """Images that a layer is fitted on, and those that it is judged on.

    Attributes:
        fitted: in the order in which they are labelled: so many labels are the first of them.
        judged: others.
        counts: numbers of labels, ascending, none above the number of ``fitted``.
    """

    fitted: Rows
    judged: Rows
    counts: tuple[int, ...]


def images_of(draws: Sequence[Draw], measured: Rows) -> int:
    """Return how many images `scores` looks at."""
    judged = sum(len(draws[numbers[0]].judged) for numbers in _judged_alike(draws))
    return len(measured) + sum(draw.counts[-1] for draw in draws) + judged


@torch.no_grad()
def scores(
    data: LabelledSet, backbone: Backbone, draws: Sequence[Draw], measured: Rows, line: ProgressLine
) -> list[dict[int, float]]:
    """Return for each draw the mIoU in [0, 1] of each number of labels; the backbone stays as it is.

    Args:
        data: labelled images.
        backbone: whose frozen features are read.
        draws: which images; those that several are judged on are looked at once.
        measured: images that the statistics of batch normalisation are measured on.
        line: counts the images that are done.
    """
    backbone = copy.deepcopy(backbone).eval()
    device = next(backbone.parameters()).device
    of_norms = (as_float(batch.images).to(device) for batch in _batches(data, measured, line))
    recalibrate_batch_norm(backbone, of_norms)
    backbone.eval()
    layers = [_layers(data, backbone, draw, line) for draw in draws]
    found: dict[int, dict[int, float]] = {}
    for numbers in _judged_alike(draws):
        own, judged = [layers[number] for number in numbers], draws[numbers[0]].judged
        found.update(zip(numbers, _judge(data, backbone, judged, own, line), strict=True))
    return [found[number] for number in range(len(draws))]


def _judged_alike(draws: Sequence[Draw]) -> list[list[int]]:
    """Return the numbers of the draws, those together that are judged on the same images."""
    groups: dict[bytes, list[int]] = {}
    for number, draw in enumerate(draws):
        groups.setdefault(draw.judged.tobytes(), []).append(number)
    return list(groups.values())


def _judge(
    data: LabelledSet,
    backbone: Backbone,
    judged: Rows,
    layers: Sequence[dict[int, Tensor]],
    line: ProgressLine,
) -> list[dict[int, float]]:
    """Return the mIoU of the layers of several draws on the same images."""
    device = next(backbone.parameters()).device
    found = [{count: SegmentationScore(data.num_classes, ignore=IGNORE) for count in own} for own in layers]
    for batch in _batches(data, judged, line):
        labels, features = batch.required("labels"), features_of(backbone, batch)
        for own, score in zip(layers, found, strict=True):
            for count, layer in own.items():
                score[count].update(classes_by(layer.to(device), features, labels.shape[-2:]), labels)
    return [{count: float(one.compute()["miou"]) for count, one in own.items()} for own in found]


def _layers(data: LabelledSet, backbone: Backbone, draw: Draw, line: ProgressLine) -> dict[int, Tensor]:
    """Return the layer of each number of labels."""
    width = sum(backbone.channels) + 1
    halves = [Sums(width, data.num_classes) for _ in range(2)]
    found = {}
    for before, count in pairwise((0, *draw.counts)):
        for batch in _batches(data, draw.fitted[before:count], line):
            features, labels = features_of(backbone, batch), batch.required("labels")
            for half, sums in enumerate(halves[: len(labels)]):
                sums.add(features[half::2], labels[half::2])
        found[count] = (halves[0] + halves[1]).layer(ridge_of(halves) if count > 1 else RIDGE)
    return found


def ridge_of(halves: Sequence[Sums]) -> float:
    """Return the penalty with which the layers of two halves have the least error, each on the other half."""
    one, other = halves
    losses = [other.loss_of(one.layer(ridge)) + one.loss_of(other.layer(ridge)) for ridge in RIDGES]
    return RIDGES[int(np.argmin(losses))]


def _batches(data: LabelledSet, rows: Rows, line: ProgressLine) -> Iterator[LabelledBatch]:
    for first in range(0, len(rows), BATCH):
        part = rows[first : first + BATCH]
        yield data.read(part, LABELS)
        line.advance(len(part))
