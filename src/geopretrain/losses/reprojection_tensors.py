"""How well warped sources explain the target, and the gradient, out of tensor operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.losses.compiling import compiled
from geopretrain.losses.reprojection_scale import Explained, Views


def explain(inverse_depth: Tensor, form: Tensor, views: Views, needs_gradient: bool) -> Explained:
    """Warp the sources, choose the best for each pixel, and carry the gradient back.

    Args:
        inverse_depth: ``B 1 H W`` of the target.
        form: ``N B 3 4``, see `losses.reprojection_scale`.
        views: target, sources and auto-mask.
        needs_gradient: whether to compute the gradients.
    """
    warp = Warp(inverse_depth, form, views, needs_gradient)
    images = warp.images.requires_grad_(needs_gradient)
    with torch.set_grad_enabled(needs_gradient):
        errors = views.options.errors(images, views.target)
    smallest, reprojection, shares = choose(errors.detach(), views)
    gradients = None
    if needs_gradient:
        gradients = warp.gradients(*torch.autograd.grad(errors, images, shares))
    masked, in_view = smallest.numel() - shares.sum(), warp.in_view / len(form)
    return Explained(smallest.sum(), reprojection.sum(), masked, in_view, gradients)


class Warp:
    """The sources seen from the target.

    Attributes:
        images: ``N B 3 H W`` without gradient.
        in_view: how many pixels, over all sources, lie in view and in front of the source.
    """

    def __init__(self, inverse_depth: Tensor, form: Tensor, views: Views, needs_gradient: bool) -> None:
        self._inverse_depth, self._form, self._grid = inverse_depth, form, views.grid
        self._run: Callable[[Callable[..., Any]], Callable[..., Any]] = (
            compiled if views.options.compiled else lambda function: function
        )
        self._positions, self._z = self._run(locate)(inverse_depth, views.grid, form)
        self.in_view = self._run(count_in_view)(self._positions, self._z)
        sources, align = views.sources.flatten(0, 1), views.options.align_corners
        with torch.set_grad_enabled(needs_gradient):
            self._where = self._positions.flatten(0, 1).movedim(1, -1).requires_grad_(needs_gradient)
            self._read = F.grid_sample(sources, self._where, padding_mode="border", align_corners=align)
        self.images = self._read.detach().view_as(views.sources)

    def gradients(self, of_images: Tensor) -> tuple[Tensor, Tensor]:
        """Carry the gradient of the images to that of the inverse depth and of the form."""
        (of_grid,) = torch.autograd.grad(self._read, self._where, of_images.flatten(0, 1))
        of_positions = of_grid.movedim(-1, 1).view_as(self._positions)
        flat = self._run(position_gradient)(of_positions, self._positions, self._z).flatten(3)
        of_depth = (flat * self._form[..., 3:]).sum((0, 2)).view_as(self._inverse_depth)
        rays, depths = self._grid.flatten(1).mT, self._inverse_depth.flatten(2).mT
        return of_depth, torch.cat([flat @ rays, flat @ depths], dim=-1)


def locate(inverse_depth: Tensor, grid: Tensor, form: Tensor) -> tuple[Tensor, Tensor]:
    """Project the target's pixels into the sources.

    Args:
        inverse_depth: ``B 1 H W``.
        grid: ``3 H W``.
        form: ``N B 3 4``, see :func:`homography_form`.

    Returns:
        Positions ``N B 2 H W`` in [-1, 1] and z / depth ``N B 1 H W``.
    """
    a, b, c, translation = form[..., None, None].unbind(3)
    moved = torch.addcmul(torch.addcmul(c, a, grid[0]), b, grid[1])
    moved = torch.addcmul(moved, translation, inverse_depth)
    return moved[:, :, :2] / moved[:, :, 2:], moved[:, :, 2:]


def count_in_view(positions: Tensor, z: Tensor) -> Tensor:
    """Count the pixels that lie in view and in front of the source."""
    x, y = positions.unbind(2)
    return ((x.abs() <= 1) & (y.abs() <= 1) & (z[:, :, 0] > 0)).sum().to(z.dtype)


def position_gradient(gradient: Tensor, positions: Tensor, z: Tensor) -> Tensor:
    """Carry the gradient of the positions ``N B 2 H W`` to the homogeneous coordinates ``N B 3 H W``."""
    homogeneous = gradient.new_empty((*gradient.shape[:2], 3, *gradient.shape[3:]))
    planes = torch.div(gradient, z, out=homogeneous[:, :, :2])
    torch.sum(planes * positions, 2, keepdim=True, out=homogeneous[:, :, 2:]).neg_()
    return homogeneous


def choose(errors: Tensor, views: Views) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``B H W`` the smallest error with and without the auto-mask, and the former's gradient."""
    if views.options.average:
        reprojection, shares = errors.mean(0), torch.full_like(errors, 1 / len(errors))
    else:
        reprojection = errors.amin(0)
        best = torch.stack([error == reprojection for error in errors])
        shares = (best & (best.cumsum(0) == 1)).to(errors.dtype)  # of equally good sources the first
    if not views.automask:
        return reprojection, reprojection, shares
    # with equal errors the unwarped source is chosen, since it stands first among the candidates
    shares *= reprojection < views.identity
    return torch.minimum(reprojection, views.identity), reprojection, shares
