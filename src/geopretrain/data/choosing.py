"""Choosing samples that are far apart, and hard, from features: which frames are worth a label.

The greedy k-centre (Gonzalez, *Clustering to minimize the maximum intercluster distance*, 1985), as Sener
and Savarese, *Active Learning for Convolutional Neural Networks: A Core-Set Approach*, ICLR 2018, choose
images to label. Hoyer et al., *Three Ways to Improve Semantic Segmentation with Self-Supervised Depth
Estimation*, CVPR 2021, section 3.3, do so in the features of a depth network, and let frames count more whose
depth is hard to learn.

Our choice: the first sample is the one nearest to the mean of all, hardness counts by its rank, and what is
hard is told by the loss of the run itself, where Hoyer et al. train a second network for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopretrain.errors import ConfigError

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Choice:
    """One sample that was chosen.

    Attributes:
        position: among the candidates.
        distance: to the nearest one chosen before it, in unit features: 0 the same, 2 opposite; of the first
            one to the mean.
        hardness: rank of its loss among the candidates, from 0 (easiest) to 1; None where it is not known.
    """

    position: int
    distance: float
    hardness: float | None


def ranks(values: Numbers) -> NDArray[np.float64]:
    """Return the rank of each value from 0 to 1; equal values share one, NaN is in the middle."""
    found = np.full(len(values), 0.5)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) > 1:
        _, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
        means = np.cumsum(counts) - (counts + 1) / 2
        found[known] = means[place] / (len(known) - 1)
    return found


def far_apart(
    features: Numbers, count: int, losses: Numbers | None = None, difficulty: float = 1.0
) -> list[Choice]:
    """Choose ``count`` samples, each the farthest from those before it.

    Args:
        features: ``N D``, one row for each candidate; their length does not count.
        count: to choose.
        losses: ``N``, the higher the harder; NaN where it is not known.
        difficulty: a distance counts 1 + difficulty times as much for the hardest candidate as it does for
            the easiest.

    Raises:
        ConfigError: there are fewer candidates.
    """
    if not 1 <= count <= len(features):
        raise ConfigError(f"{count} of {len(features)} frames cannot be chosen. Ask for fewer with --labels.")
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    hardness = None if losses is None else ranks(losses)
    weights = np.ones(len(unit)) if hardness is None else 1 + difficulty * hardness
    from_mean = np.linalg.norm(unit - unit.mean(0), axis=1)
    position, distance = int(from_mean.argmin()), float(from_mean.min())
    nearest, chosen = np.full(len(unit), np.inf), []
    while True:
        chosen.append(Choice(position, distance, None if hardness is None else float(hardness[position])))
        if len(chosen) == count:
            return chosen
        nearest = np.minimum(nearest, np.linalg.norm(unit - unit[position], axis=1))
        nearest[position] = -1.0  # never twice, not even where all are the same
        position = int((nearest * weights).argmax())
        distance = float(nearest[position])
