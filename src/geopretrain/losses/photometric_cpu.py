"""The photometric error as an operation for tensors on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from geopretrain.losses.loops import share_out
from geopretrain.losses.photometric_loops import photometric_errors, photometric_gradient


class PhotometricError(torch.autograd.Function):
    """The error ``B 1 H W`` of images ``B C H W``; only the images are kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Tensor, ssim_weight: float, window: int) -> Tensor:
        """Return the mean over the colours of SSIM dissimilarity and absolute difference."""
        images = prediction.detach().contiguous(), target.detach().contiguous()
        ctx.save_for_backward(*images)
        ctx.options = float(ssim_weight), (0,) * window
        errors = torch.empty_like(images[0][:, :1])
        share_out(photometric_errors, len(errors), *images, *ctx.options, errors)
        return errors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_errors: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Return the gradients by the images that need one; the error is symmetric."""
        gradients: list[Tensor | None] = [None, None]
        of_errors = of_errors.contiguous()
        for side, images in enumerate((ctx.saved_tensors, ctx.saved_tensors[::-1])):
            if ctx.needs_input_grad[side]:
                gradients[side] = into = torch.empty_like(images[0])
                share_out(photometric_gradient, len(into), *images, *ctx.options, of_errors, into)
        return gradients[0], gradients[1], None, None
