"""The photometric error as an operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from geopretrain.geometry import check_shapes
from geopretrain.losses import photometric
from geopretrain.losses.kernels.tensors import photometric as tensors
from geopretrain.losses.ssim import check_window


def photometric_error(
    prediction: Tensor, target: Tensor, ssim_weight: float = 0.85, window: int = 3
) -> Tensor:
    """Return what `geopretrain.losses.photometric.photometric_error` returns, in float32 at least.

    Differentiable once, by both images; nothing but the images is kept for the backward pass.
    """
    check_shapes(("prediction", prediction, "B C H W"), ("target", target, "B C H W"))
    check_window(window, prediction)
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    error: Tensor = operator(prediction.to(dtype), target.to(dtype), float(ssim_weight), window)
    return error


@torch.library.custom_op("geopretrain::photometric_error", mutates_args=())
def operator(prediction: Tensor, target: Tensor, ssim_weight: float, window: int) -> Tensor:
    """Return ``B 1 H W``; what runs where there is no kernel."""
    return photometric.photometric_error(prediction, target, ssim_weight, window).contiguous()


@operator.register_fake
def _(prediction: Tensor, target: Tensor, ssim_weight: float, window: int) -> Tensor:
    batch, _, height, width = prediction.shape
    return prediction.new_empty(batch, 1, height, width)


@operator.register_kernel("cpu")
def _(prediction: Tensor, target: Tensor, ssim_weight: float, window: int) -> Tensor:
    from geopretrain.losses.kernels.cpu.compiling import for_each_sample
    from geopretrain.losses.kernels.cpu.photometric import photometric_errors

    images = prediction.contiguous(), target.contiguous()
    errors = torch.empty_like(images[0][:, :1])
    for_each_sample(photometric_errors, len(errors), *images, ssim_weight, (0,) * window, errors)
    return errors


@torch.library.custom_op("geopretrain::photometric_error_gradient", mutates_args=())
def gradient_operator(
    grad_output: Tensor, own: Tensor, other: Tensor, ssim_weight: float, window: int
) -> Tensor:
    """Return the gradient by one of the images; the error is the same function of both."""
    return tensors.photometric_gradient(grad_output, own, other, ssim_weight, window).contiguous()


@gradient_operator.register_fake
def _(grad_output: Tensor, own: Tensor, other: Tensor, ssim_weight: float, window: int) -> Tensor:
    return own.new_empty(own.shape)


@gradient_operator.register_kernel("cpu")
def _(grad_output: Tensor, own: Tensor, other: Tensor, ssim_weight: float, window: int) -> Tensor:
    from geopretrain.losses.kernels.cpu.compiling import for_each_sample
    from geopretrain.losses.kernels.cpu.photometric import photometric_gradient

    given = own.contiguous(), other.contiguous(), ssim_weight, (0,) * window, grad_output.contiguous()
    gradient = torch.empty_like(given[0])
    for_each_sample(photometric_gradient, len(own), *given, gradient)
    return gradient


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = inputs[2:]


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    pair, needed = ctx.saved_tensors, ctx.needs_input_grad
    gradients = [
        gradient_operator(grad_output, *images, *ctx.options) if needed[side] else None
        for side, images in enumerate((pair, pair[::-1]))
    ]
    return *gradients, None, None


operator.register_autograd(_backward, setup_context=_keep)
