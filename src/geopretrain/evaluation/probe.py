"""A linear probe: how well do frozen features tell classes, in seconds and without choices to tune.

One linear layer from the features of every level of the backbone, side by side at one eighth of the image's
size, to the classes. It is fitted by least squares (ridge regression onto one-hot classes), which has one
solution: no learning rate, no steps, no random numbers. Its scores are enlarged bilinearly and judged at the
size of the labels. Statistics of batch normalisation are measured on the images it is fitted on: those that a
network is built with (mean 0, variance 1) scale the features of an untrained one badly, and any training
looks good beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.census import check_labels
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.subsets import spread_positions
from geopretrain.metrics.segmentation import SegmentationScore
from geopretrain.networks import Backbone
from geopretrain.networks.batch_norm import recalibrate_batch_norm

MAX_TRAIN, MAX_JUDGED = 64, 32
"""Images that the layer is fitted on, and others that it is judged on, evenly spread over their split."""
STRIDE = 8
RIDGE = 1e-3
"""Penalty on the layer, relative to the mean square of each feature."""
PROTOCOL = (
    "linear probe: ridge regression from all levels of the frozen backbone at stride 8 to the classes, "
    "batch-norm statistics measured on the images it is fitted on; mIoU from one confusion matrix over "
    "{judged} images of '{split}' at {height}x{width} px (h x w), fitted on {fitted} of 'train'"
)


class Sums:
    """What the least-squares layer of some pixels is made of, whatever the penalty.

    Args:
        width: number of features, the constant included.
        classes: number of classes.
    """

    def __init__(self, width: int, classes: int) -> None:
        self.square = torch.zeros(width, width, dtype=torch.float64)
        self.product = torch.zeros(width, classes, dtype=torch.float64)

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Count pixels: features ``B D H/8 W/8`` and the labels of the images ``B H W``."""
        near = _nearest(labels, features.shape[-2:]).flatten()
        rows = functional.pad(features.permute(0, 2, 3, 1).flatten(0, 2), (0, 1), value=1.0).cpu()
        rows, near = rows[near != IGNORE], near[near != IGNORE]
        classes = functional.one_hot(near, self.product.shape[1]).to(rows.dtype)
        self.square += rows.T @ rows
        self.product += rows.T @ classes

    def __add__(self, other: Sums) -> Sums:
        both = Sums(*self.product.shape)
        both.square, both.product = self.square + other.square, self.product + other.product
        return both

    def layer(self, ridge: float = RIDGE) -> Tensor:
        """Return the layer ``D+1 K`` with a penalty, its last row being the bias."""
        penalty = ridge * torch.diag(self.square.diagonal().clamp(min=1e-12))
        return torch.linalg.solve(self.square + penalty, self.product)

    def loss_of(self, layer: Tensor) -> float:
        """Return the squared error of a layer on these pixels, but for a constant."""
        return float((layer * (self.square @ layer)).sum() - 2 * (layer * self.product).sum())


class LinearProbe:
    """Labelled images, and the layer that is fitted on them anew at each call.

    Args:
        data: labelled images with the splits ``train`` and ``val`` or ``test``.
        batch_size: images at a time.

    Attributes:
        split: that is judged on.
        fitted: positions of the images that the layer is fitted on.
        judged: positions of those that it is judged on.
    """

    def __init__(self, data: LabelledSet, batch_size: int = 8) -> None:
        self.data, self.batch_size = data, batch_size
        splits = data.splits(LABELS)
        self.split = "val" if len(splits.get("val", ())) else "test"
        self.fitted = _some(splits["train"], MAX_TRAIN)
        self.judged = _some(splits.get(self.split, splits["train"][:0]), MAX_JUDGED)

    @classmethod
    def open(cls, path: str | Path) -> LinearProbe:
        """Open labelled images of any known layout and read those that are needed.

        Raises:
            DataError: nothing usable is there, or there are no images to judge on.
        """
        probe = cls(LabelledSet.open(path))
        check_labels(probe.data, probe.fitted, probe.judged, probe.split)
        return probe

    @property
    def protocol(self) -> str:
        """What the numbers mean."""
        height, width = self.data.size
        return PROTOCOL.format(
            judged=len(self.judged), split=self.split, height=height, width=width, fitted=len(self.fitted)
        )

    @torch.no_grad()
    def score(self, backbone: Backbone) -> dict[str, Any]:
        """Return ``probe_miou`` and ``probe_pixel_accuracy``, in [0, 1]; the backbone stays as it is."""
        backbone = copy.deepcopy(backbone).eval()
        device = next(backbone.parameters()).device
        images = (as_float(batch.images).to(device) for batch in self._batches(self.fitted))
        recalibrate_batch_norm(backbone, images)
        weights = self._fit(backbone.eval())
        result = SegmentationScore(self.data.num_classes, ignore=IGNORE)
        for batch in self._batches(self.judged):
            labels = batch.required("labels")
            result.update(classes_by(weights, features_of(backbone, batch), labels.shape[-2:]), labels)
        total = result.compute()
        return {"probe_miou": total["miou"], "probe_pixel_accuracy": total["pixel_accuracy"]}

    def _fit(self, backbone: Backbone) -> Tensor:
        """Return the layer ``D+1 K``, its last row being the bias."""
        sums = Sums(sum(backbone.channels) + 1, self.data.num_classes)
        for batch in self._batches(self.fitted):
            sums.add(features_of(backbone, batch), batch.required("labels"))
        return sums.layer().to(next(backbone.parameters()).device)

    def _batches(self, positions: np.ndarray) -> Iterator[LabelledBatch]:
        for first in range(0, len(positions), self.batch_size):
            yield self.data.read(positions[first : first + self.batch_size], LABELS)


def classes_by(layer: Tensor, features: Tensor, size: Any) -> Tensor:
    """Return the class of each pixel ``B H W`` by a layer, its scores enlarged bilinearly to ``size``."""
    scores = torch.einsum("bdhw,dk->bkhw", features, layer[:-1]) + layer[-1, :, None, None]
    return functional.interpolate(scores.float(), size, mode="bilinear").argmax(1).cpu()


def features_of(backbone: Backbone, batch: LabelledBatch) -> Tensor:
    """Return the features of all levels ``B D H/8 W/8``, float64, in evaluation mode."""
    images = as_float(batch.images).to(next(backbone.parameters()).device)
    return side_by_side(backbone(images), images)


def side_by_side(levels: Sequence[Tensor], images: Tensor) -> Tensor:
    """Return the features of all levels for images at one eighth of their size, ``B D H/8 W/8`` float64."""
    size = (images.shape[-2] // STRIDE, images.shape[-1] // STRIDE)
    return torch.cat([_at_size(level.float(), size) for level in levels], 1).double()


def _at_size(level: Tensor, size: tuple[int, int]) -> Tensor:
    """Return features averaged to a smaller size, or enlarged bilinearly to a larger one."""
    if level.shape[-1] > size[1]:
        return functional.adaptive_avg_pool2d(level, size)
    return functional.interpolate(level, size, mode="bilinear", align_corners=False)


def _nearest(labels: Tensor, size: Any) -> Tensor:
    return functional.interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].long()


def _some(positions: np.ndarray, count: int) -> np.ndarray:
    return positions[spread_positions(len(positions), count)]
