"""What teaches the rectification network of SC-Depth V2.

Bian et al., *Auto-Rectify Network for Unsupervised Indoor Depth Estimation*, TPAMI 2022: the rotation between
two frames of a hand-held camera is predicted and taken out of the source, so that the pose network meets
little rotation. Besides the photometric error the network learns from rotations whose angles are known, and
from the demand that less rotation is left afterwards than there was before.
"""

from __future__ import annotations

import torch
from torch import Tensor

MARGIN = 0.05
"""By so much, in rad per axis, less rotation is to be left (released code)."""
MIN_ANGLE, MAX_ANGLE = 0.02, 0.1
"""Between these mean angles, in rad, the network learns from its own estimate (released code)."""
RANDOM_ROTATION = 0.05
"""Otherwise from a random rotation, up to this angle in rad about each axis (released code)."""


def training_rotations(estimate: Tensor, uniform: Tensor) -> Tensor:
    """Return the angles ``B 3`` (rad) by which images are rotated to teach the network what they look like.

    They are the network's own estimate where its mean size over the batch is between 0.02 and 0.1 rad, so
    that they resemble the rotations of the data, else random.

    Args:
        estimate: ``... B 3`` rad; the condition is one of each group of B.
        uniform: ``... B 3`` random numbers in [0, 1).
    """
    estimate = estimate.detach()
    size = estimate.abs().mean((-2, -1), keepdim=True)
    random = (uniform - 0.5) * (2 * RANDOM_ROTATION)
    return torch.where((size > MIN_ANGLE) & (size < MAX_ANGLE), estimate, random)


def rotation_consistency(estimate: Tensor, rotation: Tensor) -> Tensor:
    """Return the mean absolute difference (rad) of the estimated and the true angles, ``... 3``."""
    return (estimate - rotation).abs().mean()


def rotation_triplet(before: Tensor, after: Tensor, as_released: bool = False) -> Tensor:
    """Return the mean of max(|after| - |before| + 0.05, 0) over all angles (rad, ``... 3``).

    ``before`` is not learned from: its gradient would make every rotation below the margin larger than it is.
    ``as_released`` lets it through, as the released code does; the value is the same.
    """
    size = before.abs() if as_released else before.detach().abs()
    return (after.abs() - size + MARGIN).clamp(min=0).mean()
