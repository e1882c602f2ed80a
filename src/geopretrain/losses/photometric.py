"""The photometric error of Monodepth2: structural similarity and absolute difference."""

from __future__ import annotations

from torch import Tensor

from geopretrain.geometry import check_shapes
from geopretrain.losses.ssim import ssim_dissimilarity


def photometric_error(prediction: Tensor, target: Tensor, ssim_weight: float = 0.85) -> Tensor:
    """Return the weighted sum of SSIM dissimilarity and absolute difference (Monodepth2, equation 2).

    Args:
        prediction: images ``B C H W`` in [0, 1].
        target: images ``B C H W`` in [0, 1].
        ssim_weight: weight of the SSIM term; the absolute difference gets the rest.

    Returns:
        ``B 1 H W``, the mean over the colours.

    Raises:
        ValueError: the shapes differ.
    """
    check_shapes(("prediction", prediction, "B C H W"), ("target", target, "B C H W"))
    error = (1 - ssim_weight) * (prediction - target).abs().mean(1, keepdim=True)
    if ssim_weight:
        error = error + ssim_weight * ssim_dissimilarity(prediction, target).mean(1, keepdim=True)
    return error
