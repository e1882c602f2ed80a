"""The gradient of the photometric error; its formulas are those of `kernels.cpu.photometric`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.losses.ssim import SSIM_C1, SSIM_C2, box_sum


def photometric_gradient(
    grad_output: Tensor, own: Tensor, other: Tensor, ssim_weight: float, window: int
) -> Tensor:
    """Return the gradient by the image ``own``, ``B C H W``, given that of the error, ``B 1 H W``."""
    grad_map = grad_output / own.shape[1]
    gradient = (1 - ssim_weight) * grad_map * (own - other).sign()
    if ssim_weight:
        gradient = gradient + _ssim_gradient(grad_map * (-ssim_weight / 2), own, other, window)
    return gradient


def _ssim_gradient(grad_output: Tensor, own: Tensor, other: Tensor, window: int) -> Tensor:
    """Return the gradient of SSIM: its derivatives by the window sums, spread over the windows."""
    count, radius = window**2, window // 2
    x, y = (F.pad(image, (radius,) * 4, mode="reflect") for image in (own, other))
    sum_x, sum_y = box_sum(x, window), box_sum(y, window)
    means, squared_means = sum_x * sum_y, sum_x * sum_x + sum_y * sum_y
    a1 = 2 * means + count**2 * SSIM_C1
    a2 = 2 * (count * box_sum(x * y, window) - means) + count**2 * SSIM_C2
    b1 = squared_means + count**2 * SSIM_C1
    b2 = count * box_sum(x * x + y * y, window) - squared_means + count**2 * SSIM_C2
    common = grad_output / (b1 * b2)
    similar = common * (a1 * a2) / (b1 * b2)
    by_sum = 2 * ((a2 - a1) * common * sum_y - (b2 - b1) * similar * sum_x)
    whole = _spread(by_sum, window)
    whole = torch.addcmul(whole, _spread(2 * count * common * a1, window), y)
    whole = torch.addcmul(whole, _spread(-2 * count * similar * b1, window), x)
    return _fold(whole, radius)


def _spread(values: Tensor, window: int) -> Tensor:
    """Give each pixel the sum over the windows that it is in (the adjoint of `box_sum`)."""
    return box_sum(F.pad(values, (window - 1,) * 4), window)


def _fold(padded: Tensor, border: int) -> Tensor:
    """Add the reflected border to the pixels it was copied from (the adjoint of reflection padding)."""
    for dim in (-2, -1):
        size = padded.shape[dim] - 2 * border
        inner = padded.narrow(dim, border, size).clone()
        inner.narrow(dim, 1, border).add_(padded.narrow(dim, 0, border).flip(dim))
        inner.narrow(dim, size - 1 - border, border).add_(padded.narrow(dim, border + size, border).flip(dim))
        padded = inner
    return padded
