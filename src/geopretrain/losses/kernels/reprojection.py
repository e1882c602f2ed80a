"""Minimum reprojection with the auto-mask as an operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from geopretrain.geometry import check_images, check_shapes
from geopretrain.losses import reprojection
from geopretrain.losses.kernels.tensors import reprojection as tensors
from geopretrain.losses.reprojection import Reprojection


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
    """Return what `geopretrain.losses.reprojection.minimum_reprojection` returns.

    Differentiable once, by the inverse depth and the projection. The gradient is computed together with the
    value, so that it alone is kept for the backward pass. Target and sources are best contiguous, if
    they are used more than once.

    Raises:
        ValueError: a shape does not fit, the images are less than 2 px high or wide, or the arguments are not
            all float32 or all float64.
    """
    check_shapes(  # kernels do not notice when they leave an array
        ("inverse_depth", inverse_depth, "B 1 H W"),
        ("target", target, "B C H W"),
        ("sources", sources, "B N C H W"),
        ("projection", projection, "B N 3 4"),
    )
    check_images(
        ("inverse_depth", inverse_depth), ("projection", projection), ("target", target), ("sources", sources)
    )
    if identity_error is not None:
        check_shapes(("target", target, "B C H W"), ("identity_error", identity_error, "B H W"))
        check_images(("target", target), ("identity_error", identity_error))
    needs_gradient = torch.is_grad_enabled() and (inverse_depth.requires_grad or projection.requires_grad)
    options = float(ssim_weight), average, align_corners, needs_gradient
    sums = operator(inverse_depth, projection, target, sources, identity_error, *options)[:2]
    error, statistics = (total / inverse_depth.numel() for total in sums)
    return Reprojection(error, *statistics.detach().unbind())


@torch.library.custom_op("geopretrain::minimum_reprojection", mutates_args=())
def operator(
    inverse_depth: Tensor,
    projection: Tensor,
    target: Tensor,
    sources: Tensor,
    identity_error: Tensor | None,
    ssim_weight: float,
    average: bool,
    align_corners: bool,
    needs_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the error summed over the pixels, the sums to log, and the former's gradients (or nothing)."""

    if needs_gradient:
        return tensors.minimum_reprojection(
            inverse_depth, projection, target, sources, identity_error, ssim_weight, average, align_corners
        )
    result = reprojection.minimum_reprojection(
        inverse_depth,
        projection,
        target,
        sources,
        identity_error,
        ssim_weight=ssim_weight,
        average=average,
        align_corners=align_corners,
    )
    error, *statistics = (value * inverse_depth.numel() for value in result)
    return error, torch.stack(statistics), inverse_depth.new_empty(0), projection.new_empty(0)


@operator.register_fake
def _(
    inverse_depth: Tensor,
    projection: Tensor,
    target: Tensor,
    sources: Tensor,
    identity_error: Tensor | None,
    ssim_weight: float,
    average: bool,
    align_corners: bool,
    needs_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    by_depth, by_projection = (
        values.new_empty(values.shape if needs_gradient else 0) for values in (inverse_depth, projection)
    )
    return inverse_depth.new_empty(()), inverse_depth.new_empty(3), by_depth, by_projection


@operator.register_kernel("cpu")
def _(
    inverse_depth: Tensor,
    projection: Tensor,
    target: Tensor,
    sources: Tensor,
    identity_error: Tensor | None,
    ssim_weight: float,
    average: bool,
    align_corners: bool,
    needs_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # no tensor operation that would wake torch's threads comes in between: they keep their cores for some ms
    from geopretrain.losses.kernels.cpu.choice import choose
    from geopretrain.losses.kernels.cpu.compiling import for_each_sample
    from geopretrain.losses.kernels.cpu.photometric import photometric_errors, photometric_gradient
    from geopretrain.losses.kernels.cpu.warp import warp_gradient, warp_images

    inverse_depth, projection, target, sources = (
        values.contiguous() for values in (inverse_depth, projection, target, sources)
    )
    batch, count = sources.shape[:2]
    where = inverse_depth, projection, sources, align_corners
    warped, in_view = torch.empty_like(sources), torch.empty_like(projection[..., 0, 0])
    for_each_sample(warp_images, batch, *where, warped, in_view)
    pairs = warped.flatten(0, 1), target, ssim_weight, (0,) * 3
    errors = torch.empty_like(sources[:, :, 0])
    for_each_sample(photometric_errors, batch * count, *pairs, errors.view(-1, 1, *errors.shape[2:]))
    automask = identity_error is not None
    unmoved = identity_error.contiguous() if identity_error is not None else inverse_depth[:, 0]
    fractions, sums = torch.empty_like(errors), torch.empty_like(projection[:, 0, :, 0])
    for_each_sample(choose, batch, errors, unmoved, automask, average, fractions, sums)
    total, unmasked, masked = sums.sum(0).unbind()
    statistics = torch.stack([unmasked, masked, in_view.sum() / count])
    if not needs_gradient:
        return total.clone(), statistics, inverse_depth.new_empty(0), projection.new_empty(0)
    grad_warped = torch.empty_like(sources)
    maps = fractions.view(-1, 1, *errors.shape[2:]), grad_warped.flatten(0, 1)
    for_each_sample(photometric_gradient, batch * count, *pairs, *maps)
    gradients = torch.empty_like(inverse_depth), torch.empty_like(projection)
    for_each_sample(warp_gradient, batch, *where, grad_warped, *gradients)
    return total.clone(), statistics, *gradients


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*output[2:])


def _backward(ctx: Any, grad_total: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():  # what was kept would pass for constants
        raise RuntimeError("minimum_reprojection cannot be differentiated twice; its plain form can.")
    by_depth, by_projection = ctx.saved_tensors
    return by_depth * grad_total, by_projection * grad_total, *(None,) * 7


operator.register_autograd(_backward, setup_context=_keep)
