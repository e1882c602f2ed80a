"""Mean average precision of boxes and masks, as COCO defines it, by torchmetrics and faster-coco-eval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from geopretrain.extras import require_extra

KINDS = {"bbox": "box", "segm": "mask"}
"""COCO's names of what is compared, and ours."""
NUMBERS = {"map": "map", "map_50": "map_50", "map_75": "map_75"}
"""torchmetrics' names of the numbers: over IoU from 0.5 to 0.95, at 0.5 and at 0.75."""


class DetectionScore:
    """Collects predicted and true objects of images and computes COCO's average precision over all of them.

    Average precision is the area under precision over recall, read at 101 recalls, averaged over IoU from 0.5
    to 0.95 in steps of 0.05 (``map``), or at one of these (``map_50``, ``map_75``), and over the classes that
    occur in the truth; at most 100 objects of an image count. What is found in a crowd is neither right nor
    wrong.

    Args:
        num_classes: numbered from 0.
        masks: whether masks are compared, too.
    """

    def __init__(self, num_classes: int, *, masks: bool) -> None:
        require_extra("faster_coco_eval", "detection", "Scores of detection")
        from torchmetrics.detection import MeanAveragePrecision

        self.num_classes, self.masks = num_classes, masks
        self.kinds: tuple[Literal["bbox", "segm"], ...] = ("bbox", "segm") if masks else ("bbox",)
        self._metric = MeanAveragePrecision(
            iou_type=self.kinds,
            # torchmetrics' own are in single precision: an IoU of 0.6 would not reach the threshold 0.6
            iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
            rec_thresholds=np.linspace(0, 1, 101).tolist(),
            class_metrics=True,
            backend="faster_coco_eval",
        )
        self._metric.warn_on_many_detections = False
        self._images = 0

    def update(self, found: Sequence[Mapping[str, Tensor]], true: Sequence[Mapping[str, Tensor]]) -> None:
        """Add images.

        Args:
            found: of each image ``boxes`` ``N 4`` px, ``labels``, ``scores`` and, with masks, ``masks`` bool.
            true: the same without scores; ``crowd`` ``N`` bool where there may be some.
        """
        truth = [_without_crowd(one) for one in true]
        names = ("boxes", "labels", "scores", *(["masks"] if self.masks else []))
        predicted = [{name: one[name].cpu() for name in names} for one in found]
        self._metric.update(predicted, [self._chosen(one) for one in truth])
        self._images += len(true)

    def _chosen(self, one: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = ("boxes", "labels", "iscrowd", *(["masks"] if self.masks else []))
        return {name: one[name].cpu() for name in names}

    def compute(self) -> dict[str, Any]:
        """Return ``box_map``, ``box_map_50``, ``box_map_75``, the same of masks, and those of each class.

        ``box_map_per_class`` and ``mask_map_per_class`` are lists with a value for each class. Numbers are in
        [0, 1]; None where no object of the class (or none at all) is in the truth.
        """
        kinds = {kind: (f"{kind}_" if self.masks else "") for kind in self.kinds}
        if not self._images:
            return {
                **{f"{KINDS[kind]}_{name}": None for kind in kinds for name in NUMBERS},
                **{f"{KINDS[kind]}_map_per_class": [None] * self.num_classes for kind in kinds},
            }
        found = self._metric.compute()
        classes = found["classes"].reshape(-1).tolist()
        result: dict[str, Any] = {}
        for kind, prefix in kinds.items():
            ours = KINDS[kind]
            result |= {f"{ours}_{name}": _number(found[prefix + theirs]) for name, theirs in NUMBERS.items()}
            each = found[f"{prefix}map_per_class"].reshape(-1)
            by_class = dict(zip(classes, map(_number, each), strict=False))
            result[f"{ours}_map_per_class"] = [by_class.get(c) for c in range(self.num_classes)]
        return result


def _without_crowd(one: Mapping[str, Tensor]) -> dict[str, Tensor]:
    crowd = one.get("crowd", torch.zeros(len(one["labels"]), dtype=torch.bool))
    return {**{name: value for name, value in one.items() if name != "crowd"}, "iscrowd": crowd.int()}


def _number(value: Tensor) -> float | None:
    """Return a number in [0, 1]; None for COCO's -1, which is no number."""
    number = float(value)
    return number if math.isfinite(number) and number >= 0 else None
