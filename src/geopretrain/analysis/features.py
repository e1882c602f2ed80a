"""What the features of a backbone are worth without training it: dimensions, a linear layer, neighbours."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.analysis.knn import knn_scores
from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.evaluation.probe import LinearProbe, features_of, side_by_side
from geopretrain.metrics.embeddings import rank_me
from geopretrain.metrics.segmentation import SegmentationScore
from geopretrain.networks import Backbone
from geopretrain.networks.batch_norm import recalibrate_batch_norm

MAX_KNOWN = 20_000
"""Positions, at most, that neighbours are looked for among."""
MAX_RANKED = 4096
KNN_PROTOCOL = (
    "k nearest of {known} positions of the same images by cosine similarity, k = 20, weighted with "
    "temperature 0.07, features of all levels side by side at stride 8"
)


class FeatureProbes:
    """Probes of any backbone on the same labelled images.

    Args:
        data: labelled images.
    """

    def __init__(self, data: LabelledSet) -> None:
        self.linear = LinearProbe(data)
        self.data = data

    @property
    def protocol(self) -> str:
        """What the numbers mean."""
        return f"{self.linear.protocol}; {KNN_PROTOCOL.format(known=f'at most {MAX_KNOWN}')}"

    @torch.no_grad()
    def score(self, backbone: Backbone) -> dict[str, float]:
        """Return ``rank_me``, ``linear_miou`` and ``knn_miou`` (in [0, 1]); the backbone stays as it is.

        RankMe is of the last level over positions of the judged images, at most 4096 of them.
        """
        linear = self.linear.score(backbone)["probe_miou"]
        settled = self._settled(backbone)
        known, labels = self._known(settled)
        score = SegmentationScore(self.data.num_classes, ignore=IGNORE)
        last: list[Tensor] = []
        for batch in self._batches(self.linear.judged):
            images, true = as_float(batch.images).to(settled.mean.device), batch.required("labels")
            levels = settled(images)
            features = side_by_side(levels, images).float()
            votes = knn_scores(_rows(features), known, labels, self.data.num_classes)
            maps = votes.reshape(len(features), *features.shape[-2:], -1).permute(0, 3, 1, 2)
            large = functional.interpolate(maps, true.shape[-2:], mode="bilinear")
            score.update(large.argmax(1).cpu(), true)
            last.append(_rows(levels[-1].float()))
        ranked = torch.cat(last)
        ranked = ranked[:: max(1, len(ranked) // MAX_RANKED)][:MAX_RANKED]
        return {
            "rank_me": rank_me(ranked),
            "linear_miou": float(linear),
            "knn_miou": float(score.compute()["miou"]),
        }

    def _settled(self, backbone: Backbone) -> Backbone:
        """Return a copy with batch-norm statistics of the images that are fitted on, as the linear one."""
        copied = copy.deepcopy(backbone).eval()
        device = copied.mean.device
        images = (as_float(batch.images).to(device) for batch in self._batches(self.linear.fitted))
        recalibrate_batch_norm(copied, images)
        return copied.eval()

    def _known(self, backbone: Backbone) -> tuple[Tensor, Tensor]:
        """Return features and classes of labelled positions, evenly spread over the images."""
        features, labels = [], []
        for batch in self._batches(self.linear.fitted):
            found = features_of(backbone, batch).float()
            near = functional.interpolate(
                batch.required("labels")[:, None].float(), found.shape[-2:], mode="nearest-exact"
            )
            rows, classes = _rows(found), near.long().flatten().to(found.device)
            features.append(rows[classes != IGNORE])
            labels.append(classes[classes != IGNORE])
        together, classes = torch.cat(features), torch.cat(labels)
        chosen = torch.from_numpy(
            np.linspace(0, len(classes) - 1, min(MAX_KNOWN, len(classes))).round().astype(np.int64)
        ).to(together.device)
        return together[chosen], classes[chosen]

    def _batches(self, positions: np.ndarray) -> Iterator[LabelledBatch]:
        for first in range(0, len(positions), self.linear.batch_size):
            yield self.data.read(positions[first : first + self.linear.batch_size], LABELS)


def _rows(features: Tensor) -> Tensor:
    """Return maps ``B D h w`` as rows ``B*h*w D``."""
    return features.flatten(2).transpose(1, 2).reshape(-1, features.shape[1])
