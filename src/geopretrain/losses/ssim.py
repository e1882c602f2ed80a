"""Structural similarity of images over square windows (Wang et al. 2004, equation 13)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry import check_shapes

SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2
"""Constants of SSIM (Wang et al. 2004) for images in [0, 1]."""


def ssim_dissimilarity(x: Tensor, y: Tensor, window: int = 3) -> Tensor:
    """Return (1 - SSIM) / 2 clamped to [0, 1]; means over windows, reflection padding (Monodepth2, eq. 2).

    SSIM = (2 μx μy + C1) (2 σxy + C2) / ((μx² + μy² + C1) (σx² + σy² + C2)); numerator and denominator are
    both multiplied by n⁴ here, n the number of pixels in a window, so that they are made of sums.

    Args:
        x: images ``B C H W`` in [0, 1].
        y: images ``B C H W`` in [0, 1].
        window: side of the windows in px, odd: 3 in Monodepth2, 7 in SC-Depth.

    Returns:
        ``B C H W``; 0 where the neighbourhoods are equal.

    Raises:
        ValueError: the shapes differ, the window is even, or its half is not smaller than the images.
    """
    check_shapes(("x", x, "B C H W"), ("y", y, "B C H W"))
    check_window(window, x)
    count = window**2
    x, y = (F.pad(image, (window // 2,) * 4, mode="reflect") for image in (x, y))
    sum_x, sum_y, sum_xy = box_sum(x, window), box_sum(y, window), box_sum(x * y, window)
    sum_squares = box_sum(x * x + y * y, window)
    # products are formed alike, so that rounding cancels where x equals y
    means, squared_means = sum_x * sum_y, sum_x * sum_x + sum_y * sum_y
    covariance, variances = count * sum_xy - means, count * sum_squares - squared_means
    c1, c2 = count**2 * SSIM_C1, count**2 * SSIM_C2
    similarity = (2 * means + c1) * (2 * covariance + c2) / ((squared_means + c1) * (variances + c2))
    return ((1 - similarity) / 2).clamp(0, 1)


def check_window(window: int, images: Tensor) -> None:
    """Raise ValueError unless windows of this side can be laid around all pixels of images ``... H W``."""
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd, got {window}")
    if window // 2 >= min(images.shape[-2:]):
        raise ValueError(
            f"a window of {window} px needs images larger than {window // 2} px, got {tuple(images.shape)}"
        )


def box_sum(images: Tensor, window: int = 3) -> Tensor:
    """Return the sums over all square windows inside the images (``B C H W`` to ``B C H-2 W-2`` for 3)."""
    return F.avg_pool2d(images, window, stride=1, divisor_override=1)
