"""Losses of painting what was hidden."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_FEW = 1e-5
"""Keeps the loss at 0 where nothing is hidden (SimMIM, released code)."""


def hidden_l1(painted: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean absolute error of the hidden pixels, 0 where none is (Xie et al. 2022, equation 1).

    Args:
        painted: ``B C H W``.
        target: likewise.
        hidden: ``B 1 H W`` bool or 0 and 1.
    """
    weights = hidden.to(painted.dtype)
    error = ((painted - target).abs() * weights).sum()
    return error / (weights.sum() + _FEW) / painted.shape[1]


def normalised_in_windows(images: Tensor, window: int) -> Tensor:
    """Return ``B C H W``, each pixel less the mean of the window around it, divided by its deviation.

    What lies outside the image does not count (Liu et al., *Swin Transformer V2*, CVPR 2022, released code:
    a window of 47 px).

    Args:
        images: of any unit.
        window: side of the window, px, odd.
    """
    count = _window_mean(torch.ones_like(images[:1, :1]), window)
    mean = _window_mean(images, window) / count
    square = _window_mean(images.square(), window) / count
    pixels = count * window**2
    variance = ((square - mean.square()) * pixels / (pixels - 1).clamp(min=1)).clamp(min=0)
    return (images - mean) / (variance + 1e-6).sqrt()


def _window_mean(values: Tensor, window: int) -> Tensor:
    return functional.avg_pool2d(values, window, stride=1, padding=window // 2)


def patches_of(images: Tensor, patch: int) -> Tensor:
    """Return ``B C H W`` as patches ``B N C*patch*patch``, row by row, channels first within a patch."""
    return functional.pixel_unshuffle(images, patch).flatten(2).transpose(1, 2)


def from_patches(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the images ``B 3 H W`` of RGB patches ``B N 3*patch*patch``; the inverse of `patches_of`."""
    side = math.isqrt(patches.shape[2] // 3)
    return functional.pixel_shuffle(patches.transpose(1, 2).unflatten(2, grid), side)


def normalised_patches(patches: Tensor) -> Tensor:
    """Return ``B N D``, each patch with mean 0 and deviation 1 (He et al. 2022, section 3)."""
    mean, deviation = _statistics(patches)
    return (patches - mean) / deviation


def like_patches(values: Tensor, patches: Tensor) -> Tensor:
    """Return `normalised_patches` with the mean and deviation that these patches have."""
    mean, deviation = _statistics(patches)
    return values * deviation + mean


def _statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(patches, 2, keepdim=True)
    return mean, (variance + 1e-6).sqrt()
