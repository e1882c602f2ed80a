"""View synthesis together with depth as an operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from geopretrain.geometry import check_images, check_shapes
from geopretrain.losses import synthesis
from geopretrain.losses.kernels.tensors import synthesis as tensors
from geopretrain.losses.synthesis import SynthesisWithDepth


def synthesise_with_depth(
    depth: Tensor, projection: Tensor, images: Tensor, source_depth: Tensor
) -> SynthesisWithDepth:
    """Return what `geopretrain.losses.synthesis.synthesise_with_depth` returns.

    Differentiable once, by all but the images.

    Raises:
        ValueError: a shape does not fit, the images are less than 2 px high or wide, or the arguments are not
            all float32 or all float64.
    """
    check_shapes(  # kernels do not notice when they leave an array
        ("depth", depth, "B 1 H W"),
        ("projection", projection, "B 3 4"),
        ("images", images, "B C H W"),
        ("source_depth", source_depth, "B 1 H W"),
    )
    check_images(
        ("depth", depth), ("projection", projection), ("images", images), ("source_depth", source_depth)
    )
    return SynthesisWithDepth(*operator(depth, projection, images, source_depth))


@torch.library.custom_op("geopretrain::synthesise_with_depth", mutates_args=())
def operator(
    depth: Tensor, projection: Tensor, images: Tensor, source_depth: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what is read of the images and of the depth, z, and what is in view."""
    result = synthesis.synthesise_with_depth(depth, projection, images, source_depth)
    read, read_depth, z, in_view = (values.contiguous() for values in result)
    return read, read_depth, z, in_view


@operator.register_fake
def _(
    depth: Tensor, projection: Tensor, images: Tensor, source_depth: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    read_depth, z = (depth.new_empty(depth.shape) for _ in range(2))
    return images.new_empty(images.shape), read_depth, z, depth.new_empty(depth.shape, dtype=torch.bool)


@operator.register_kernel("cpu")
def _(
    depth: Tensor, projection: Tensor, images: Tensor, source_depth: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from geopretrain.losses.kernels.cpu.compiling import for_each_sample
    from geopretrain.losses.kernels.cpu.warp import warp_with_depth

    given = [values.contiguous() for values in (depth, projection, images, source_depth)]
    read, read_depth, z = (torch.empty_like(given[i]) for i in (2, 3, 0))
    in_view = torch.empty_like(z, dtype=torch.bool)
    for_each_sample(warp_with_depth, len(depth), *given, read, read_depth, z, in_view)
    return read, read_depth, z, in_view


@torch.library.custom_op("geopretrain::synthesise_with_depth_gradient", mutates_args=())
def gradient_operator(
    grad_images: Tensor,
    grad_read_depth: Tensor,
    grad_z: Tensor,
    depth: Tensor,
    projection: Tensor,
    images: Tensor,
    source_depth: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients by the depth, the projection and the source's depth."""
    gradients = tensors.synthesis_gradient(
        grad_images, grad_read_depth, grad_z, depth, projection, images, source_depth
    )
    by_depth, by_projection, by_source_depth = (values.contiguous() for values in gradients)
    return by_depth, by_projection, by_source_depth


@gradient_operator.register_fake
def _(
    grad_images: Tensor,
    grad_read_depth: Tensor,
    grad_z: Tensor,
    depth: Tensor,
    projection: Tensor,
    images: Tensor,
    source_depth: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    by_depth, by_projection, by_source_depth = (
        values.new_empty(values.shape) for values in (depth, projection, source_depth)
    )
    return by_depth, by_projection, by_source_depth


@gradient_operator.register_kernel("cpu")
def _(
    grad_images: Tensor,
    grad_read_depth: Tensor,
    grad_z: Tensor,
    depth: Tensor,
    projection: Tensor,
    images: Tensor,
    source_depth: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    from geopretrain.losses.kernels.cpu.compiling import for_each_sample
    from geopretrain.losses.kernels.cpu.warp import warp_with_depth_gradient

    given = [values.contiguous() for values in (depth, projection, images, source_depth)]
    grads = [values.contiguous() for values in (grad_images, grad_read_depth, grad_z)]
    by_depth, by_projection, by_source_depth = (torch.empty_like(given[i]) for i in (0, 1, 3))
    results = by_depth, by_projection, by_source_depth
    for_each_sample(warp_with_depth_gradient, len(depth), *given, *grads, *results)
    return results


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
    by_depth, by_projection, by_source_depth = gradient_operator(*grad_outputs[:3], *ctx.saved_tensors)
    return by_depth, by_projection, None, by_source_depth


operator.register_autograd(_backward, setup_context=_keep)
