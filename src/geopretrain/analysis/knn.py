"""A probe without training: each position has the class of the labelled positions that it is most like."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS, TEMPERATURE = 20, 0.07
"""As DINO classifies images (Caron et al. 2021, appendix F.1)."""
AT_ONCE = 4096


def knn_scores(
    features: Tensor,
    known: Tensor,
    labels: Tensor,
    num_classes: int,
    neighbours: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Return the votes for each class, ``N K``, that sum to 1.

    The nearest by cosine similarity ``s`` vote with ``exp(s / temperature)`` (Wu et al. 2018, section 3.4).

    Args:
        features: ``N D`` of what is asked about.
        known: ``M D`` of what is known.
        labels: ``M`` classes of these.
        num_classes: ``K``.
        neighbours: that vote, at most ``M``.
        temperature: the smaller, the more the nearest count.
    """
    known, votes = functional.normalize(known, dim=1), functional.one_hot(labels, num_classes)
    found = []
    for part in functional.normalize(features, dim=1).split(AT_ONCE):
        alike, nearest = (part @ known.T).topk(min(neighbours, len(known)), dim=1)
        weights = (alike / temperature).softmax(1)
        found.append((weights[..., None] * votes[nearest].to(weights.dtype)).sum(1))
    return torch.cat(found)
