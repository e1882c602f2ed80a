"""Confident depth ranking (SC-Depth V3): which of two pixels is farther, as a teacher sees it.

Sun et al., *SC-DepthV3: Robust Self-supervised Monocular Depth Estimation for Dynamic Scenes*, TPAMI 2023;
the ranking loss itself is that of Chen et al. 2016. Pixels whose depths disagree between the frames (moving
things) are ranked against pixels that are reliable, and random pixels against random pixels; only pairs
that the teacher sees clearly apart count.

Our choice: depths are compared by their ratio, so that the unit of depth does not matter; ``as_released``
compares them by their difference (see `ranking_loss`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry import check_shapes

UNRELIABLE_FRACTION = 0.2
"""Fraction of the pixels that counts as unreliable (released code)."""
RANDOM_FRACTION = 0.1
"""Fraction of the pixels that is ranked against random others (released code)."""
CLEAR_RATIO = 1.15
"""A teacher's depths nearer to each other than this factor are not ranked (released code)."""


def unreliable_pixels(consistency: Tensor, fraction: float = UNRELIABLE_FRACTION) -> Tensor:
    """Return ``B 1 H W`` bool: the given fraction of pixels with the lowest consistency in each image."""
    flat = consistency.flatten(1)
    lowest = flat.topk(int(fraction * flat.shape[1]), largest=False).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, lowest, True).view_as(consistency)


def draw_pairs(consistency: Tensor, fraction: float = RANDOM_FRACTION) -> tuple[Tensor, Tensor]:
    """Draw pairs of pixels: every unreliable one with a random reliable one, and random ones.

    The numbers come from torch's generator of the device, and their count depends on the size alone, so that
    nothing waits for the device.

    Args:
        consistency: ``B 1 H W``, low where depth is not to be trusted.
        fraction: number of random pairs as a fraction of the pixels.

    Returns:
        Positions ``B P`` in the flattened image of the first and the second pixels.
    """
    unreliable = unreliable_pixels(consistency).flatten(1)
    batch, pixels = unreliable.shape
    order = unreliable.int().argsort(dim=1, stable=True)  # reliable ones first, then the others
    reliable = pixels - int(UNRELIABLE_FRACTION * pixels)
    first = order[:, reliable:]
    second = order.gather(1, torch.randint(reliable, first.shape, device=order.device))
    random = torch.randint(pixels, (2, batch, int(fraction * pixels)), device=order.device)
    return torch.cat([first, random[0]], 1), torch.cat([second, random[1]], 1)


def farther(first: Tensor, second: Tensor, as_released: bool = False) -> Tensor:
    """Return +1 where the first depth is clearly larger, -1 where the second one is, else 0.

    Pairs with a depth of 0 (not measured) are not ranked; ``as_released`` ranks them unless both are 0.
    """
    label = (first > CLEAR_RATIO * second).to(first) - (second > CLEAR_RATIO * first).to(first)
    return label if as_released else label * ((first > 0) & (second > 0))


def ranking_loss(
    depth: Tensor, labels: Tensor, first: Tensor, second: Tensor, as_released: bool = False
) -> Tensor:
    """Return the mean over the ranked pairs of log(1 + exp(-label x)), a scalar; 0 where no pair is ranked.

    x = log(z_first / z_second) / log(1.15): a pair that is as clearly apart as the teacher's must be has x
    = 1, and one far beyond that no longer counts. ``as_released`` takes x = z_first - z_second, which
    depends on the unit of depth: the loss falls by making everything larger, and in small units it drives
    right pairs ever further apart.

    Args:
        depth: predicted, ``B 1 H W``, positive.
        labels: ``B P``, +1 where the first pixel is farther, -1 where the second one is, 0 = ignored.
        first: ``B P`` positions in the flattened image.
        second: ``B P`` the other pixels.
        as_released: see above.
    """
    check_shapes(("labels", labels, "B P"), ("first", first, "B P"), ("second", second, "B P"))
    flat = depth.flatten(1) if as_released else depth.flatten(1).log() / math.log(CLEAR_RATIO)
    difference = flat.gather(1, first) - flat.gather(1, second)
    ranked = labels.abs()
    return (F.softplus(-labels * difference) * ranked).sum() / ranked.sum().clamp(min=1)


def confident_ranking(
    depth: Tensor, teacher: Tensor, consistency: Tensor, as_released: bool = False
) -> tuple[Tensor, Tensor]:
    """Rank the predicted depth as the teacher does (SC-Depth V3, confident depth ranking loss).

    Args:
        depth: predicted, ``B 1 H W``.
        teacher: ``B 1 H W`` depth, 0 = none; only its order and rough ratios matter.
        consistency: ``B 1 H W`` in [0, 1], 1 where the depths of the frames agree.
        as_released: see `farther` and `ranking_loss`.

    Returns:
        The loss and the fraction of pairs that the teacher ranks, scalars.
    """
    first, second = draw_pairs(consistency)
    flat = teacher.flatten(1)
    labels = farther(flat.gather(1, first), flat.gather(1, second), as_released)
    return ranking_loss(depth, labels, first, second, as_released), labels.abs().mean()
