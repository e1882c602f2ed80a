"""The photometric error: structural similarity and absolute difference."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from geopretrain.geometry import check_shapes
from geopretrain.losses.ssim import check_window, ssim_dissimilarity


def photometric_error(
    prediction: Tensor, target: Tensor, ssim_weight: float = 0.85, window: int = 3, compiled: bool = False
) -> Tensor:
    """Return the weighted sum of SSIM dissimilarity and absolute difference (Monodepth2, equation 2).

    Differentiable once, by both images. On a CPU it is computed by loops that Numba compiles when they are
    first met (some seconds; kept on disk afterwards), elsewhere by tensor operations.

    Args:
        prediction: images ``B C H W`` in [0, 1].
        target: images ``B C H W`` in [0, 1].
        ssim_weight: weight of the SSIM term; the absolute difference gets the rest.
        window: side of SSIM's windows in px, odd: 3 in Monodepth2, 7 in SC-Depth.
        compiled: tensor operations everywhere, those of SSIM run through ``torch.compile``.

    Returns:
        ``B 1 H W``, the mean over the colours; on a CPU in float32 at least.

    Raises:
        ValueError: the shapes differ, the window is even, or its half is not smaller than the images.
        ConfigError: ``compiled`` without a C++ compiler.
    """
    check_shapes(("prediction", prediction, "B C H W"), ("target", target, "B C H W"))
    check_window(window, prediction)
    if prediction.device.type == "cpu" and not compiled:
        from geopretrain.losses.photometric_cpu import PhotometricError

        dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
        prediction, target = prediction.to(dtype), target.to(dtype)
        return cast(Tensor, PhotometricError.apply(prediction, target, ssim_weight, window))
    error = (1 - ssim_weight) * (prediction - target).abs().mean(1, keepdim=True)
    if ssim_weight:
        maps = ssim_dissimilarity(prediction, target, window, compiled)
        error = error + ssim_weight * maps.mean(1, keepdim=True)
    return error
