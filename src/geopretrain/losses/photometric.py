"""The photometric error: structural similarity and absolute difference."""

from __future__ import annotations

from torch import Tensor

from geopretrain.geometry import check_shapes
from geopretrain.losses.ssim import check_window, ssim_dissimilarity


def photometric_error(
    prediction: Tensor, target: Tensor, ssim_weight: float = 0.85, window: int = 3
) -> Tensor:
    """Return the weighted sum of SSIM dissimilarity and absolute difference (Monodepth2, equation 2).

    Args:
        prediction: images ``B C H W`` in [0, 1].
        target: images ``B C H W`` in [0, 1].
        ssim_weight: weight of the SSIM term; the absolute difference gets the rest.
        window: side of SSIM's windows in px, odd: 3 in Monodepth2, 7 in SC-Depth.

    Returns:
        ``B 1 H W``, the mean over the colours.

    Raises:
        ValueError: the shapes differ, the window is even, or its half is not smaller than the images.
    """
    check_shapes(("prediction", prediction, "B C H W"), ("target", target, "B C H W"))
    check_window(window, prediction)
    error = (1 - ssim_weight) * (prediction - target).abs().mean(1, keepdim=True)
    if ssim_weight:
        error = error + ssim_weight * ssim_dissimilarity(prediction, target, window).mean(1, keepdim=True)
    return error
