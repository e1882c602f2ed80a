"""Minimum reprojection together with its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from geopretrain.geometry import project_inverse_depth, sample_grid
from geopretrain.losses.kernels.tensors.photometric import photometric_gradient
from geopretrain.losses.kernels.tensors.synthesis import projection_gradient, reading_gradient
from geopretrain.losses.photometric import photometric_error
from geopretrain.losses.reprojection import mask_unmoved
from geopretrain.losses.synthesis import border_grid


def minimum_reprojection(
    inverse_depth: Tensor,
    projection: Tensor,
    target: Tensor,
    sources: Tensor,
    identity_error: Tensor | None,
    ssim_weight: float,
    average: bool,
    align_corners: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the sums of `losses.reprojection`: the error, what is logged, and the former's gradients."""
    projected = project_inverse_depth(inverse_depth, projection)
    positions, flat = projected.positions.flatten(0, 1), sources.flatten(0, 1)
    warped = sample_grid(flat, border_grid(positions, align_corners), align_corners=align_corners)
    pair = warped, target[:, None].expand_as(sources).flatten(0, 1)
    errors = photometric_error(*pair, ssim_weight)[:, 0].unflatten(0, sources.shape[:2])
    best = errors.min(1, keepdim=True)
    lowest = errors.mean(1) if average else best.values[:, 0]
    error, masked = mask_unmoved(lowest, identity_error)
    chosen = torch.full_like(errors, 1 / errors.shape[1])
    if not average:
        chosen = torch.zeros_like(errors).scatter(1, best.indices, 1)
    grad_errors = torch.where(masked[:, None], 0, chosen).flatten(0, 1)[:, None]
    grad_warped = photometric_gradient(grad_errors, *pair, ssim_weight, 3)
    _, grad_positions = reading_gradient(grad_warped, flat, positions, align_corners)
    distance = torch.where((inverse_depth > 0) & (inverse_depth < torch.inf), inverse_depth, 0)
    gradients = projection_gradient(
        grad_positions.view_as(projected.positions), None, projected, distance, projection
    )
    in_view = projected.in_view.sum() / errors.shape[1]
    statistics = torch.stack([lowest.sum(), masked.sum().to(lowest), in_view.to(lowest)])
    return error.sum(), statistics, *gradients
