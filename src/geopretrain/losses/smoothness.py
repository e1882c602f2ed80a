"""Disparity should be smooth where the image is."""

from __future__ import annotations

import torch
from torch import Tensor

from geopretrain.geometry import check_shapes

MEAN_EPSILON = 1e-7
"""Added to the mean disparity before dividing by it (Monodepth2)."""


def mean_normalised(disparity: Tensor) -> Tensor:
    """Divide each disparity map (``B 1 H W``) by its mean, so that shrinking it does not make it smoother."""
    return disparity / (disparity.mean((2, 3), keepdim=True) + MEAN_EPSILON)


def edge_aware_smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Return the mean of ``|∂x d| exp(-|∂x I|) + |∂y d| exp(-|∂y I|)`` (Monodepth2, equation 3).

    Args:
        disparity: ``B K H W``; Monodepth2 gives it `mean_normalised`. Of a map of several numbers, such
            as flow, the terms are summed over the K.
        image: ``B C H W`` in [0, 1]; its differences are averaged over the colours.

    Returns:
        Scalar.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_shapes(("disparity", disparity, "B K H W"), ("image", image, "B C H W"))
    terms = []
    for dimension in (3, 2):
        edges = torch.diff(image, dim=dimension).abs().mean(1, keepdim=True)
        terms.append((torch.diff(disparity, dim=dimension).abs() * torch.exp(-edges)).mean())
    return (terms[0] + terms[1]) * disparity.shape[1]
