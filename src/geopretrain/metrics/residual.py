"""Residual information: what a segmenter's probabilities leave unknown about the labels, in bits."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

PROTOCOL = (
    "residual information: cross-entropy of predicted and true classes, bits a pixel (logarithm to base 2), "
    "mean over all labelled pixels of all images"
)


class ResidualInformation:
    """Cross-entropy over all labelled pixels in bits a pixel; lower is better, 0 is certain and right.

    Lao et al. 2024, supplement A, equations 1 and 2: the validation loss -log p(y|h), summed over the images,
    stands for H(y|h), what representation and head together leave unknown about the labels. There it is a
    sum of natural logarithms; here a mean over pixels in bits, so that data sets and sizes can be compared.
    """

    def __init__(self, ignore: int = 255) -> None:
        """Count nothing yet; true ids equal to ``ignore`` never count."""
        self.ignore = ignore
        self._nats, self._pixels = 0.0, 0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add logits ``B K H W`` (any that a softmax turns into probabilities) and true ids ``B H W``."""
        # image by image: a batch of them in float32 with many classes would be the largest array of all
        for one, truth in zip(logits, labels, strict=True):
            lost = functional.cross_entropy(
                one[None].float(), truth[None].long(), ignore_index=self.ignore, reduction="sum"
            )
            self._nats += float(lost)
            self._pixels += int((truth != self.ignore).sum())

    def compute(self) -> float:
        """Return bits a pixel; NaN where no pixel is labelled."""
        return self._nats / self._pixels / math.log(2) if self._pixels else math.nan
