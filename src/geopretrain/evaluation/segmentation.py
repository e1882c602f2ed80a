"""Scores of a segmentation task on a whole split, and pictures of what it predicts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geopretrain.commands.common import as_float
from geopretrain.data.dataset import IGNORE
from geopretrain.metrics.segmentation import SegmentationScore, per_image_score

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.tasks.base import Task

BATCH = 8


@torch.no_grad()
def score_segmentation(task: Task, labelled: LabelledSet, split: str) -> dict[str, Any]:
    """Return ``miou``, ``pixel_accuracy``, ``iou`` per class name and ``per_image_miou`` on all of ``split``.

    Numbers are in [0, 1]; None where there was nothing to score. ``task`` must be in evaluation mode.
    """
    device = next(task.parameters()).device
    score = SegmentationScore(labelled.num_classes, ignore=IGNORE)
    per_image: list[float] = []
    for part in np.array_split(
        np.arange(labelled.counts[split]), max(1, -(-labelled.counts[split] // BATCH))
    ):
        batch = labelled.load(split, part).to(str(device))
        predicted = task.predict(as_float(batch.images)).long()  # type: ignore[operator]
        labels = batch.required("labels")
        score.update(predicted, labels)
        per_image += _per_image(predicted, labels, labelled.num_classes)
    total = score.compute()
    return {
        "miou": number(total["miou"]),
        "pixel_accuracy": number(total["pixel_accuracy"]),
        "iou": {name: number(iou) for name, iou in zip(labelled.class_names, total["iou"], strict=True)},
        "per_image_miou": number(float(np.nanmean(per_image)) if np.isfinite(per_image).any() else math.nan),
    }


def _per_image(predicted: torch.Tensor, labels: torch.Tensor, num_classes: int) -> list[float]:
    """Return the mean IoU of each image over the classes in its truth or prediction.

    The released variant knows an unlabelled class 0, so ids move up by one and ignored pixels become 0.
    """
    truth = torch.where(labels == IGNORE, 0, labels + 1)
    result = per_image_score(
        predicted + 1, truth, num_classes=num_classes + 1, class_subset=range(1, num_classes + 1)
    )
    return [row["miou"] for row in result["per_image"]]


def number(value: float) -> float | None:
    """Return ``value`` as JSON knows it: None where there is no number."""
    return float(value) if math.isfinite(value) else None


PROTOCOL = "One confusion matrix over all {images} images of '{split}' at {size} px (h x w)"
PER_IMAGE_PROTOCOL = (
    "mean over images of the mean IoU over the classes in the image (variant of Lao et al.'s code)"
)
