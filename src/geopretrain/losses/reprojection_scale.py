"""One scale of the reprojection loss as a single differentiable operation.

The camera motion enters in its homography form: a pixel r = (u, v, 1) with inverse depth q lies in the source
at A r + q b with A = K' R K⁻¹ and b = K' t, so that no point is ever lifted to space. The gradient comes
with the loss, chunk by chunk, and only that of q (``B 1 h w``) and of [A | b] (``N B 3 4``) is kept for the
backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from geopretrain.geometry import pixel_grid
from geopretrain.geometry.camera import PROJECTION_EPSILON
from geopretrain.losses.compiling import compiled
from geopretrain.losses.photometric_core import (
    Target,
    border,
    describe_target,
    explain,
    flatten_windows,
    inside_mask,
    photometric_errors,
)

CHUNK_PIXELS = 2**16
"""Warped pixels handled at a time on a CPU: what lies in between then stays in its caches."""


@dataclass(frozen=True)
class PhotometricOptions:
    """What the photometric error is made of.

    Attributes:
        ssim_weight: weight of the SSIM term; the absolute difference has the rest.
        average: average the sources instead of taking the best one for each pixel.
        align_corners: how ``grid_sample`` reads positions normalised by (W - 1, H - 1); True is exact.
        compiled: run the arithmetic through ``torch.compile``.
    """

    ssim_weight: float = 0.85
    average: bool = False
    align_corners: bool = True
    compiled: bool = False

    def run(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, compiled where that is asked for."""
        return compiled(function) if self.compiled else function


@dataclass(frozen=True)
class Views:
    """What all scales share: images, auto-mask and pixel grid, with a reflected border (h = H + 2).

    Attributes:
        target: the target's part of the photometric error.
        sources: ``N B 3 H W``.
        identity: ``B 1 M`` smallest (or average) error of the unwarped sources plus noise.
        inside: ``M``.
        grid: ``3 h w``, (u, v, 1) of each pixel.
        automask: whether ``identity`` competes with the warped sources.
        options: what the photometric error is made of.
    """

    target: Target
    sources: Tensor
    identity: Tensor
    inside: Tensor
    grid: Tensor
    automask: bool
    options: PhotometricOptions


@torch.no_grad()
def prepare_views(
    target: Tensor, sources: Tensor, noise: Tensor | None, automask: bool, options: PhotometricOptions
) -> Views:
    """Compute what the scales share.

    Args:
        target: ``B 3 H W``.
        sources: ``N B 3 H W``.
        noise: ``N B 1 H W`` added to the errors of the unwarped sources (``1 B 1 H W`` with ``average``), or
            None.
        automask: whether the unwarped sources compete with the warped ones.
        options: what the photometric error is made of.
    """
    height, width = target.shape[-2:]
    described = describe_target(target)
    inside = inside_mask(height, width, target)
    identity = torch.cat(
        [
            _identity_errors(sources[:, chunk], described.samples(chunk), options)
            for chunk in _chunks(sources)
        ],
        dim=1,
    )
    if noise is not None:
        identity = identity + flatten_windows(noise)
    grid = pixel_grid(height, width, device=target.device, dtype=target.dtype)
    grid = F.pad(grid, (1, 1, 1, 1), mode="reflect")
    return Views(described, sources, identity.amin(0), inside, grid, automask, options)


def _identity_errors(sources: Tensor, target: Target, options: PhotometricOptions) -> Tensor:
    padded = F.pad(sources.flatten(0, 1), (1, 1, 1, 1), mode="reflect").unflatten(0, sources.shape[:2])
    errors = options.run(photometric_errors)(border(padded), target, options.ssim_weight, padded.shape[-1])[0]
    return errors.mean(0, keepdim=True) if options.average else errors


def _chunks(sources: Tensor) -> list[slice]:
    count, batch, _, height, width = sources.shape
    size = batch
    if sources.device.type == "cpu":
        size = max(1, min(batch, CHUNK_PIXELS // (count * height * width)))
    return [slice(start, min(start + size, batch)) for start in range(0, batch, size)]


def homography_form(
    source_intrinsics: Tensor, inverse_intrinsics: Tensor, pose: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return [K' R K⁻¹ | K' t] in coordinates that run from -1 to 1 over the image; K' is the source's.

    Args:
        source_intrinsics: ``B N 3 3`` px, or ``B 1 3 3`` for all sources.
        inverse_intrinsics: ``B 3 3`` of the target.
        pose: ``B N 4 4``, ``T_target_to_source``.
        size: (height, width).

    Returns:
        ``N B 3 4``.
    """
    rays = _matmul(pose[..., :3, :3], inverse_intrinsics[:, None])
    moved = _matmul(source_intrinsics, torch.cat([rays, pose[..., :3, 3:]], dim=-1))
    x, y, z = moved.unbind(-2)
    z = z + F.pad(z.new_full((1,), PROJECTION_EPSILON), (3, 0))
    form = torch.stack([x * (2 / (size[1] - 1)) - z, y * (2 / (size[0] - 1)) - z, z], dim=-2)
    return form.transpose(0, 1)


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    # written out, because matrix units may round to TF32, which is some pixels here
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def locate(inverse_depth: Tensor, grid: Tensor, form: Tensor) -> tuple[Tensor, Tensor]:
    """Project the target's pixels into the sources.

    Args:
        inverse_depth: ``B 1 h w``.
        grid: ``3 h w``.
        form: ``N B 3 4``, see :func:`homography_form`.

    Returns:
        Positions ``N B 2 h w`` in [-1, 1] and z / depth ``N B 1 h w``.
    """
    a, b, c, translation = form[..., None, None].unbind(3)
    moved = torch.addcmul(torch.addcmul(c, a, grid[0]), b, grid[1])
    moved = torch.addcmul(moved, translation, inverse_depth)
    return moved[:, :, :2] / moved[:, :, 2:], moved[:, :, 2:]


def count_in_view(positions: Tensor, z: Tensor) -> Tensor:
    """Count the pixels, without the reflected border, that lie in view and in front of the source."""
    x, y = positions[..., 1:-1, 1:-1].unbind(2)
    return ((x.abs() <= 1) & (y.abs() <= 1) & (z[:, :, 0, 1:-1, 1:-1] > 0)).sum().to(z.dtype)


def position_gradient(gradient: Tensor, positions: Tensor, z: Tensor) -> Tensor:
    """Carry the gradient of the positions ``N B 2 h w`` to the homogeneous coordinates ``N B 3 h w``."""
    homogeneous = gradient.new_empty((*gradient.shape[:2], 3, *gradient.shape[3:]))
    planes = torch.div(gradient, z, out=homogeneous[:, :, :2])
    torch.sum(planes * positions, 2, keepdim=True, out=homogeneous[:, :, 2:]).neg_()
    return homogeneous


class PhotometricScale(torch.autograd.Function):
    """Sum over all pixels of the smallest photometric error; differentiable by inverse depth and motion."""

    @staticmethod
    def forward(
        ctx: Any, inverse_depth: Tensor, form: Tensor, views: Views, needs_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the sum, and (reprojection error, auto-masked, in view) summed over the pixels to log."""
        results = [
            _explain_chunk(inverse_depth[chunk], form[:, chunk], chunk, views, needs_gradient)
            for chunk in _chunks(views.sources)
        ]
        if needs_gradient:
            of_depth, of_form = zip(*(result[1] for result in results), strict=True)
            ctx.save_for_backward(torch.cat(of_depth), torch.cat(of_form, dim=1))
        sums = torch.stack([result[0] for result in results]).sum(0)
        loss, statistics = sums[0], sums[1:]
        ctx.mark_non_differentiable(statistics)
        return loss, statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale the kept gradients."""
        of_depth, of_form = ctx.saved_tensors
        return of_depth * gradients[0], of_form * gradients[0], None, None


def _explain_chunk(
    inverse_depth: Tensor, form: Tensor, chunk: slice, views: Views, needs_gradient: bool
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    options = views.options
    count, batch = form.shape[:2]
    positions, z = options.run(locate)(inverse_depth, views.grid, form)
    sources = views.sources[:, chunk].flatten(0, 1)
    with torch.set_grad_enabled(needs_gradient):
        grid = positions.flatten(0, 1).movedim(1, -1).requires_grad_(needs_gradient)
        sampled = F.grid_sample(sources, grid, padding_mode="border", align_corners=options.align_corners)
    warped = sampled.detach()
    explained = options.run(explain)(
        border(warped.unflatten(0, (count, batch))),
        views.target.samples(chunk),
        views.inside,
        views.identity[chunk] if views.automask else None,
        options.ssim_weight,
        options.average,
        warped.shape[-1],
        needs_gradient,
    )
    in_view = options.run(count_in_view)(positions, z) / count
    sums = torch.stack([explained.minimum, explained.reprojection, explained.masked, in_view])
    if not needs_gradient:
        return sums, None
    (of_grid,) = torch.autograd.grad(sampled, grid, explained.gradient.view_as(warped))
    homogeneous = options.run(position_gradient)(of_grid.movedim(-1, 1).view_as(positions), positions, z)
    flat = homogeneous.flatten(3)
    of_depth = (flat * form[..., 3:]).sum((0, 2)).view_as(inverse_depth)
    of_form = torch.cat([flat @ views.grid.flatten(1).mT, flat @ inverse_depth.flatten(2).mT], dim=-1)
    return sums, (of_depth, of_form)
