"""Whether a network is right as often as it says: the expected calibration error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BINS = 15
"""Intervals of confidence of equal width (Guo et al., *On Calibration of Modern Neural Networks*, 2017)."""


class CalibrationError:
    """ECE of all labelled pixels: mean |accuracy - confidence| of intervals of confidence, by their pixels.

    Guo et al. 2017, equation 3; the confidence is the probability of the likeliest class. Counted interval by
    interval, so that memory does not grow.
    """

    def __init__(self, ignore: int = 255, bins: int = BINS) -> None:
        self.ignore, self.bins = ignore, bins
        self._sums = torch.zeros(3, bins, dtype=torch.float64)

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add probabilities ``B K H W`` that sum to 1, and labels ``B H W``."""
        labelled = labels != self.ignore
        confidence, predicted = probabilities.max(1)
        confidence = confidence[labelled].double().cpu()
        right = (predicted == labels)[labelled].double().cpu()
        # intervals are open on the left: (0, 1/15], (1/15, 2/15], ...
        place = (confidence * self.bins).ceil().long().sub_(1).clamp_(0, self.bins - 1)
        for row, values in enumerate((torch.ones_like(confidence), confidence, right)):
            self._sums[row] += torch.bincount(place, values, minlength=self.bins)

    def compute(self) -> dict[str, Any]:
        """Return ``ece`` in [0, 1] (None without pixels) and ``reliability``: the numbers by interval."""
        pixels, confidence, right = self._sums
        if not pixels.sum():
            return {"ece": None, "reliability": []}
        rows = [
            {"pixels": int(n), "confidence": float(c / n), "accuracy": float(r / n)}
            for n, c, r in zip(pixels, confidence, right, strict=True)
            if n
        ]
        return {"ece": float((confidence - right).abs().sum() / pixels.sum()), "reliability": rows}
