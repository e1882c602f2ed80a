"""Minimum reprojection over several sources, and the auto-mask (Godard et al. 2019, section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.losses.photometric import photometric_error
from geopretrain.losses.synthesis import synthesise


class Reprojection(NamedTuple):
    """How well the warped sources explain a target; scalars, means over the pixels.

    Attributes:
        error: smallest photometric error of each pixel, after the auto-mask; all others have no gradient.
        unmasked_error: the same without the auto-mask.
        masked_fraction: pixels that an unmoved source explains as well.
        valid_fraction: pixels in view and in front of a source camera, mean over the sources.
    """

    error: Tensor
    unmasked_error: Tensor
    masked_fraction: Tensor
    valid_fraction: Tensor


def minimum_reprojection(
    inverse_depth: Tensor,
    projection: Tensor,
    target: Tensor,
    sources: Tensor,
    identity_error: Tensor | None = None,
    *,
    ssim_weight: float = 0.85,
    average: bool = False,
    align_corners: bool = True,
) -> Reprojection:
    """Return the mean over the pixels of the error of the source that explains each best (equation 4).

    Where an unmoved source explains a pixel as well, its error is taken instead, and nothing is learned from
    the pixel: the auto-mask (equation 5, as in the released code).

    Args:
        inverse_depth: ``B 1 H W`` of the target; what is not above 0 and finite is taken to be infinitely
            far.
        projection: ``B N 3 4``, see `geopretrain.geometry.inverse_depth_projection`.
        target: ``B 3 H W`` in [0, 1].
        sources: ``B N 3 H W`` in [0, 1].
        identity_error: ``B H W`` of the unmoved sources, see `losses.automask`; left away: no auto-mask.
        ssim_weight: weight of SSIM in the photometric error; the absolute difference has the rest.
        average: average the sources instead of taking the best one for each pixel (the paper's ablation).
        align_corners: see `geopretrain.geometry.sample`.

    Raises:
        ValueError: a shape does not fit.
    """
    warped, in_view = synthesise(inverse_depth, projection, sources, align_corners)
    repeated = target[:, None].expand_as(warped)
    errors = photometric_error(warped.flatten(0, 1), repeated.flatten(0, 1), ssim_weight)
    errors = errors[:, 0].unflatten(0, warped.shape[:2])
    reprojection = errors.mean(1) if average else errors.min(1).values
    error, masked = mask_unmoved(reprojection, identity_error)
    masked_fraction, valid_fraction = (mask.to(error.dtype).mean() for mask in (masked, in_view))
    return Reprojection(error.mean(), reprojection.detach().mean(), masked_fraction, valid_fraction)


def mask_unmoved(reprojection: Tensor, identity_error: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the errors ``B H W`` after the auto-mask, and ``B H W`` bool: masked (equation 5)."""
    if identity_error is None:
        return reprojection, torch.zeros_like(reprojection, dtype=torch.bool)
    # with equal errors nothing is learned: the unmoved source stands first among the candidates
    masked = identity_error <= reprojection
    return torch.where(masked, identity_error, reprojection), masked


def full_size(disparity: Tensor, image: Tensor) -> Tensor:
    """Return the disparity ``B 1 h w`` at the image's size, where every scale is compared (section 3.3)."""
    size = image.shape[-2:]
    if disparity.shape[-2:] == size:
        return disparity
    return F.interpolate(disparity, size, mode="bilinear", align_corners=False)
