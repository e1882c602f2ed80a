"""The auto-mask: pixels that an unmoved source explains as well teach nothing (Godard et al. 2019, eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from geopretrain.losses.kernels import photometric_error


@torch.no_grad()
def identity_error(
    target: Tensor,
    sources: Tensor,
    noise: Tensor | float = 0.0,
    *,
    ssim_weight: float = 0.85,
    average: bool = False,
) -> Tensor:
    """Return ``B H W``, the smallest photometric error of the sources as they are (right side of equation 5).

    A pixel is masked where no warped source has a smaller error, see
    `geopretrain.losses.minimum_reprojection`.

    Args:
        target: ``B 3 H W`` in [0, 1].
        sources: ``B N 3 H W`` in [0, 1].
        noise: breaks ties between the sources (released code): the scale of normal noise added to their
            errors (0 = none), or the noise itself, ``B N H W`` (``B 1 H W`` with ``average``).
        ssim_weight: weight of SSIM in the photometric error; the absolute difference has the rest.
        average: average the sources instead of taking the best one for each pixel (the paper's ablation).
    """
    errors = source_errors(target, sources, ssim_weight)
    if average:
        errors = errors.mean(1, keepdim=True)
    if isinstance(noise, Tensor):
        errors = errors + noise
    elif noise:
        # drawn source by source, which keeps the numbers of runs made before
        drawn = torch.randn_like(errors.transpose(0, 1), memory_format=torch.contiguous_format)
        errors = errors + drawn.transpose(0, 1) * noise
    return errors.amin(1)


def source_errors(target: Tensor, sources: Tensor, ssim_weight: float = 0.85) -> Tensor:
    """Return the photometric error ``B N H W`` of each of the sources ``B N 3 H W`` (equation 2)."""
    repeated = target[:, None].expand_as(sources)
    errors = photometric_error(sources.flatten(0, 1), repeated.flatten(0, 1), ssim_weight)
    return errors[:, 0].unflatten(0, sources.shape[:2])
