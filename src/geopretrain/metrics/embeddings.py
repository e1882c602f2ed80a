"""Numbers about embeddings that need no labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_EPSILON = 1e-7


def rank_me(embeddings: Tensor) -> float:
    """Return how many dimensions embeddings really use: 1 to min(N, D); NaN where some are not finite.

    The exponential of the entropy of the singular values, divided by their sum (Garrido, Balestriero, Najman
    and LeCun, *RankMe*, ICML 2023, equations 1 and 2).

    Args:
        embeddings: ``N D``, not centred.
    """
    if not embeddings.isfinite().all():  # of a training that diverged
        return float("nan")
    values = torch.linalg.svdvals(embeddings.detach().double())
    parts = values / values.sum().clamp(min=_EPSILON) + _EPSILON
    return float((-(parts * parts.log()).sum()).exp())


def spread(embeddings: Tensor) -> Tensor:
    """Return the deviation of normalised embeddings ``N D`` times sqrt(D): 1 even, 0 all the same."""
    normalised = functional.normalize(embeddings, dim=1)
    return normalised.std(0, correction=0).mean() * embeddings.shape[1] ** 0.5
