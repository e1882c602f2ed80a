"""Scores of a segmentation task over all images of a split."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch

from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.data.dataset import IGNORE
from geopretrain.metrics.residual import ResidualInformation
from geopretrain.metrics.segmentation import SegmentationScore, per_image_score
from geopretrain.tasks.predictions import SegmentationPrediction

PROTOCOL = "One confusion matrix over all {images} images of '{split}' at {size} px (h x w)"
PER_IMAGE_PROTOCOL = (
    "mean over images of the mean IoU over the classes in the image (variant of Lao et al.'s code)"
)

MOST_IN_LOG = 40
"""Classes of which the confusion matrix is in the log of a training."""


class PredictsClasses(Protocol):
    """What is scored: a task, or one that looks at each image in several ways."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their ids."""

    def predict(self, images: torch.Tensor) -> SegmentationPrediction:
        """Map images ``B 3 H W`` in [0, 1] to classes."""


class SegmentationValidation:
    """Collects ``miou``, ``pixel_accuracy``, ``iou`` of each class, ``per_image_miou`` and ``confusion``.

    And ``residual_information``, in bits a pixel; the others are in [0, 1]. None where there was nothing to
    score. ``confusion`` (pixels by true class, rows, and predicted class) is left out of many classes, of
    which it would fill the log.
    """

    protocol = "one confusion matrix over all images"

    def __init__(self, task: PredictsClasses) -> None:
        self.task = task
        self.score = SegmentationScore(len(task.class_names), ignore=IGNORE)
        self.residual = ResidualInformation(ignore=IGNORE)
        self.per_image: list[float] = []

    def update(self, batch: LabelledBatch) -> None:
        """Add the images of a batch."""
        self.add(self.task.predict(as_float(batch.images)), batch.required("labels"))

    def add(self, prediction: SegmentationPrediction, labels: torch.Tensor) -> None:
        """Add what is predicted, and true classes ``B H W`` int64."""
        predicted = prediction.classes.long()
        self.score.update(predicted, labels)
        self.residual.update(prediction.logits, labels)
        self.per_image += per_image_miou(predicted, labels, len(self.task.class_names))

    def compute(self) -> dict[str, Any]:
        """Return the numbers over everything that was added."""
        total = self.score.compute()
        names, per_image = self.task.class_names, self.per_image
        return {
            "miou": number(total["miou"]),
            "pixel_accuracy": number(total["pixel_accuracy"]),
            "residual_information": number(self.residual.compute()),
            "iou": {name: number(iou) for name, iou in zip(names, total["iou"], strict=True)},
            "per_image_miou": number(
                float(np.nanmean(per_image)) if np.isfinite(per_image).any() else math.nan
            ),
            **({"confusion": self.score.confusion().tolist()} if len(names) <= MOST_IN_LOG else {}),
        }


def per_image_miou(predicted: torch.Tensor, labels: torch.Tensor, num_classes: int) -> list[float]:
    """Return the mean IoU of each image over the classes in its truth or prediction; NaN without any.

    The released variant knows an unlabelled class 0, so ids move up by one and ignored pixels become 0.

    Args:
        predicted: ``B H W`` int64.
        labels: ``B H W`` int64, 255 = ignore.
        num_classes: without the ignored one.
    """
    truth = torch.where(labels == IGNORE, 0, labels + 1)
    result = per_image_score(
        predicted + 1, truth, num_classes=num_classes + 1, class_subset=range(1, num_classes + 1)
    )
    return [row["miou"] for row in result["per_image"]]


def number(value: float) -> float | None:
    """Return ``value`` as JSON knows it: None where there is no number."""
    return float(value) if math.isfinite(value) else None
