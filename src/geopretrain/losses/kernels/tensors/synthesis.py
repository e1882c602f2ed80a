"""Gradients of view synthesis."""

from __future__ import annotations

import torch
from torch import Tensor

from geopretrain.geometry import Projected, finite_grid, pixel_grid, project_inverse_depth
from geopretrain.losses.synthesis import border_grid, border_limits, valid_inverse

_BILINEAR, _BORDER = 0, 1  # as torch's operator calls them


def reading_gradient(
    grad_images: Tensor, images: Tensor, positions: Tensor, align_corners: bool = True
) -> tuple[Tensor, Tensor]:
    """Return the gradients by the images ``B C H W`` and by the positions ``B 2 H W`` they were read at."""
    grid = finite_grid(border_grid(positions, align_corners))
    options = _BILINEAR, _BORDER, align_corners, [True, True]
    by_images, by_grid = torch.ops.aten.grid_sampler_2d_backward(grad_images, images, grid, *options)
    limits = border_limits(positions, align_corners)
    inside = [part.abs() < limit for part, limit in zip(positions.unbind(1), limits, strict=True)]
    return by_images, torch.where(torch.stack(inside, 1), by_grid.movedim(-1, 1), 0)


def projection_gradient(
    grad_positions: Tensor, grad_z: Tensor | None, projected: Projected, distance: Tensor, projection: Tensor
) -> tuple[Tensor, Tensor]:
    """Carry gradients from positions to what they were computed from.

    Args:
        grad_positions: ``B N 2 H W``; 0 where the position is not finite.
        grad_z: ``B N 1 H W`` of z / depth; None = 0.
        projected: where the pixels lie.
        distance: ``B 1 H W`` inverse depth, 0 where it is not valid.
        projection: ``B N 3 4``.

    Returns:
        Of the inverse depth, ``B 1 H W``, and of the projection, ``B N 3 4``.
    """
    planes = torch.where(grad_positions == 0, 0, grad_positions / projected.z)
    along_z = -(planes * projected.positions).sum(2, keepdim=True)
    moved = torch.cat([planes, along_z if grad_z is None else along_z + grad_z], 2).flatten(3)
    by_distance = (moved * projection[..., 3:]).sum((1, 2)).view_as(distance)
    rays = pixel_grid(*distance.shape[-2:], device=distance.device, dtype=distance.dtype).flatten(1)
    by_projection = torch.cat([moved @ rays.mT, moved @ distance.flatten(2).mT[:, None]], dim=-1)
    return torch.where(distance > 0, by_distance, 0), by_projection


def synthesis_gradient(
    grad_images: Tensor,
    grad_read_depth: Tensor,
    grad_z: Tensor,
    depth: Tensor,
    projection: Tensor,
    images: Tensor,
    source_depth: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `synthesise_with_depth` by the depth, the projection and the source's depth."""
    distance = valid_inverse(depth)
    valid = distance > 0
    projected = project_inverse_depth(distance, projection[:, None])
    positions = projected.positions[:, 0]
    _, by_positions = reading_gradient(grad_images, images, positions)
    by_source_depth, more = reading_gradient(grad_read_depth, source_depth, positions)
    scaled = torch.where(valid, grad_z * depth, 0)[:, None]
    by_distance, by_projection = projection_gradient(
        (by_positions + more)[:, None], scaled, projected, distance, projection[:, None]
    )
    by_depth = grad_z * projected.z[:, 0] - by_distance * (distance * distance)
    return torch.where(valid, by_depth, 0), by_projection[:, 0], by_source_depth
