"""Segmentation scores: the usual ones from one confusion matrix, and the per-image variant of Lao et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from geopretrain.errors import ConfigError, DataError

# Cityscapes ids of road, sidewalk, building, vegetation, terrain, sky, car: the "7 classes" of Lao et al.
KITTI_SEVEN_CLASSES = (7, 8, 11, 21, 22, 23, 26)
# Ids their loader turns into 0 (ignored); what stays are the 19 Cityscapes training classes.
_KITTI_IGNORED = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)
KITTI_IDS = 34
COLLAPSED = (
    "nothing is told apart. A smaller --lr or more --steps may help; where a decoder was handed over that "
    "had learned nothing, mode encoder begins with a fresh one."
)
"""What follows where `predicted_everywhere` finds a class."""


class SegmentationScore:
    """mIoU, pixel accuracy and the IoU of each class over a whole data set, from ONE confusion matrix.

    A class that occurs neither in the truth nor in the predictions has no IoU: it is NaN and left out of the
    mean.
    """

    def __init__(
        self, num_classes: int, ignore: int = 255, class_subset: Sequence[int] | None = None
    ) -> None:
        """Count ``num_classes`` classes; ``class_subset`` limits which enter the mean (not the accuracy).

        Raises:
            ConfigError: the subset is empty or names a class that does not exist.
        """
        from torchmetrics.classification import MulticlassConfusionMatrix

        if num_classes < 2:
            raise ConfigError(f"Segmentation needs at least 2 classes, not {num_classes}.")
        subset = range(num_classes) if class_subset is None else class_subset
        if len(subset) == 0 or min(subset) < 0 or max(subset) >= num_classes:
            raise ConfigError(
                f"The class subset {list(subset)} must name some of the classes 0 to {num_classes - 1}."
            )
        self.num_classes, self.ignore, self.class_subset = num_classes, ignore, list(subset)
        self._matrix = MulticlassConfusionMatrix(num_classes, ignore_index=ignore, validate_args=False)

    def update(self, pred: Tensor, labels: Tensor) -> None:
        """Add predicted and true class ids, both ``B H W``; true ids equal to ``ignore`` do not count.

        Raises:
            DataError: the shapes differ, or an id lies outside the classes.
        """
        if pred.shape != labels.shape:
            raise DataError(
                f"Predictions {tuple(pred.shape)} and labels {tuple(labels.shape)} must have the same shape."
            )
        counted = labels[labels != self.ignore]
        for what, ids in (("predicted", pred), ("true", counted)):
            if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= self.num_classes):
                raise DataError(
                    f"A {what} class id lies outside 0 to {self.num_classes - 1}: "
                    f"{int(ids.min())} to {int(ids.max())}."
                )
        if counted.numel():
            self._matrix.to(pred.device).update(pred.long(), labels.long())

    def confusion(self) -> NDArray[np.int64]:
        """Pixels by true class (rows) and predicted class (columns), ``K K``."""
        return self._matrix.confmat.cpu().numpy().astype(np.int64)

    def compute(self) -> dict[str, Any]:
        """Return ``miou``, ``pixel_accuracy`` (both in [0, 1]) and, of each class (NaN = absent), ``iou``,
        ``accuracy`` (of its true pixels) and ``precision`` (of those predicted).
        """
        matrix = self.confusion().astype(np.float64)
        correct = np.diag(matrix)
        union = matrix.sum(0) + matrix.sum(1) - correct
        iou = _fractions(correct, union)
        chosen = iou[self.class_subset]
        accuracy, precision = (_fractions(correct, matrix.sum(axis)) for axis in (1, 0))
        return {
            "miou": float(np.nanmean(chosen)) if np.isfinite(chosen).any() else float("nan"),
            "pixel_accuracy": float(correct.sum() / matrix.sum()) if matrix.sum() else float("nan"),
            "iou": [float(value) for value in iou],
            "accuracy": [float(value) for value in accuracy],
            "precision": [float(value) for value in precision],
        }


def predicted_everywhere(confusion: ArrayLike) -> int | None:
    """Return the class that is predicted at every pixel although several are true; None where none is.

    Args:
        confusion: pixels by true class (rows) and predicted class (columns), ``K K``.
    """
    matrix = np.asarray(confusion)
    true, predicted = (np.flatnonzero(matrix.sum(axis)) for axis in (1, 0))
    return int(predicted[0]) if len(predicted) == 1 and len(true) > 1 else None


def _fractions(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def as_released_kitti_labels(raw: NDArray[Any]) -> NDArray[Any]:
    """Map KITTI/Cityscapes ids to those the released script of Lao et al. trains on; 0 = ignored."""
    table = np.arange(256)
    table[list(_KITTI_IGNORED)] = 0
    table[KITTI_IDS:] = 0
    return table[np.asarray(raw).astype(np.uint8)].astype(raw.dtype)


def _image_iou(pred: Tensor, label: Tensor, ids: list[int], num_classes: int) -> NDArray[np.float64]:
    """IoU of each id of one image, NaN for ids not asked for and for those that neither map holds."""
    iou = np.full(num_classes, np.nan)
    for one in ids:
        is_pred, is_true = pred == one, label == one
        union = int((is_pred | is_true).sum())
        iou[one] = int((is_pred & is_true).sum()) / union if union else np.nan
    return iou


def per_image_score(
    pred: Tensor,
    labels: Tensor,
    *,
    num_classes: int = KITTI_IDS,
    class_subset: Sequence[int] = KITTI_SEVEN_CLASSES,
) -> dict[str, Any]:
    """Score of the released script of Lao et al. (2024), whose IoU is averaged over IMAGES.

    Not comparable with ``SegmentationScore``: each image counts the same, a class is scored in images whose
    truth or prediction holds it, a pixel without a label counts against the class predicted there, and pixel
    accuracy takes pixels where both are 0 as correct (but not as pixels).

    Args:
        pred: predicted ids, ``B H W``.
        labels: true ids, ``B H W``, 0 = no label.
        num_classes: number of ids, including 0.
        class_subset: ids that enter the mean.

    Returns:
        ``miou`` and ``pixel_accuracy`` (means over images of the per-image values), ``iou`` (mean over
        images per id), ``batch_miou`` and ``batch_pixel_accuracy`` (what one call of the script on the whole
        batch reports), and
        ``per_image``: ``miou``, ``pixel_accuracy``, ``iou`` of each image. NaN = nothing to score.
    """
    predicted, truth = pred.long().cpu(), labels.long().cpu()
    subset = list(class_subset)
    rows: list[dict[str, Any]] = []
    for one_pred, one_label in zip(predicted, truth, strict=True):
        iou = _image_iou(one_pred, one_label, subset, num_classes)
        pixels = int((one_label > 0).sum())
        accuracy = int((one_pred == one_label).sum()) / pixels if pixels else float("nan")
        rows.append({"miou": _mean(iou[subset]), "pixel_accuracy": accuracy, "iou": iou})
    iou_over_images = np.array([_mean(column) for column in np.stack([row["iou"] for row in rows]).T])
    return {
        "miou": _mean(np.array([row["miou"] for row in rows])),
        "pixel_accuracy": _mean(np.array([row["pixel_accuracy"] for row in rows])),
        "iou": iou_over_images,
        "batch_miou": _mean(iou_over_images[subset]),
        "batch_pixel_accuracy": int((predicted == truth).sum()) / max(1, int((truth > 0).sum())),
        "per_image": rows,
    }


def _mean(values: NDArray[np.float64]) -> float:
    """Mean without the NaNs; NaN when nothing is left."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
