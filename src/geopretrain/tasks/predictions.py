"""What networks predict, typed: a prediction knows what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

DepthMeaning = Literal["metric", "scale", "scale_shift"]
"""What depth is right up to: nothing (metres), one factor, or a factor and an offset of disparity."""

MEANINGS: dict[DepthMeaning, str] = {
    "metric": "in metres",
    "scale": "up to a factor",
    "scale_shift": "up to a factor and a shift of disparity",
}
"""The same in words."""


@dataclass(frozen=True)
class DepthPrediction:
    """Depth of images.

    Attributes:
        disparity: ``B 1 H W``, 1 / depth: 1/m where ``meaning`` is ``metric``, else 1 / units of the network.
        meaning: what it is right up to.
    """

    disparity: Tensor
    meaning: DepthMeaning


@dataclass(frozen=True)
class FlowPrediction:
    """Optical flow between two images: ``flow`` ``B 2 H W`` px (right, down), target to source."""

    flow: Tensor


@dataclass(frozen=True)
class SegmentationPrediction:
    """Classes of images: ``classes`` ``B H W`` uint8, ``logits`` ``B K H W``."""

    logits: Tensor

    @property
    def classes(self) -> Tensor:
        """The likeliest class of each pixel, ``B H W`` uint8."""
        return self.logits.argmax(1).byte()


@dataclass(frozen=True)
class DetectionPrediction:
    """Objects in images, one entry for each image.

    Attributes:
        boxes: ``N 4`` px (left, top, right, bottom).
        labels: ``N`` int64.
        scores: ``N`` in [0, 1].
        masks: ``N H W`` bool; None where only boxes are predicted.
    """

    boxes: list[Tensor]
    labels: list[Tensor]
    scores: list[Tensor]
    masks: list[Tensor] | None = None
