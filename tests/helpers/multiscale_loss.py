"""The multi-scale loss of Monodepth2 with all of its options (Godard et al. 2019, section 3).

The method itself (`tasks.pretext.monodepth`) has no option for the ablations of the paper and for how the
released code reads on a recent torch, which the golden numbers have; a test holds both to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geopretrain.geometry import check_shapes, disparity_to_inverse_depth, inverse_depth_projection
from geopretrain.losses.automask import identity_error
from geopretrain.losses.flow import image_at
from geopretrain.losses.kernels import minimum_reprojection
from geopretrain.losses.reprojection import full_size
from geopretrain.losses.smoothness import edge_aware_smoothness, mean_normalised


@dataclass(frozen=True)
class ReprojectionResult:
    """The loss and what it is made of; all but ``loss`` are detached scalars unless said otherwise.

    Attributes:
        loss: mean over the scales of photometric + weight / 2^scale · smoothness.
        photometric: mean over the scales of the auto-masked minimum photometric error.
        smoothness: mean over the scales of the weighted smoothness.
        masked_fraction: fraction of pixels where the auto-mask chose an unwarped source, scale 0.
        reprojection_error: mean of the minimum error of the warped sources, scale 0, without auto-mask.
        identity_error: mean of the minimum error of the unwarped sources.
        valid_fraction: fraction of pixels in view and in front of a source, mean over sources, scale 0.
        scale_losses: ``S`` the loss of each scale, finest first.
    """

    loss: Tensor
    photometric: Tensor
    smoothness: Tensor
    masked_fraction: Tensor
    reprojection_error: Tensor
    identity_error: Tensor
    valid_fraction: Tensor
    scale_losses: Tensor


def multiscale_reprojection(
    disparities: Sequence[Tensor],
    target: Tensor,
    sources: Tensor,
    intrinsics: Tensor,
    T_target_to_sources: Tensor,
    *,
    source_intrinsics: Tensor | None = None,
    min_depth: float = 0.1,
    max_depth: float = 100.0,
    smoothness_weight: float = 1e-3,
    ssim_weight: float = 0.85,
    automask: bool = True,
    average: bool = False,
    noise: Tensor | float = 1e-5,
    align_corners: bool = True,
) -> ReprojectionResult:
    """Compute the loss of Monodepth2 for any number of source images.

    Args:
        disparities: sigmoid outputs ``B 1 h w``, finest first; any sizes.
        target: ``B 3 H W`` in [0, 1].
        sources: ``B N 3 H W`` in [0, 1].
        intrinsics: ``B 3 3`` px of the target.
        T_target_to_sources: ``B N 4 4`` in the units of the depth.
        source_intrinsics: ``B N 3 3`` px of each source; left away: all from the target's camera.
        min_depth: depth of disparity 1.
        max_depth: depth of disparity 0.
        smoothness_weight: weight of the edge-aware smoothness at scale 0; it halves with each scale.
        ssim_weight: weight of SSIM in the photometric error; the absolute difference has the rest.
        automask: whether unwarped sources compete with the warped ones.
        average: average the sources instead of taking the best one for each pixel (the paper's ablation).
        noise: see :func:`geopretrain.losses.identity_error`.
        align_corners: see :func:`geopretrain.geometry.sample`; False only to compare with other code.

    Raises:
        ValueError: there is no disparity, or a shape does not fit.
    """
    if not disparities:
        raise ValueError("the disparities of at least one scale are needed, got none")
    for disparity in disparities:
        check_shapes(("target", target, "B 3 H W"), ("disparity", disparity, "B 1 h w"))
    with torch.autocast(target.device.type, enabled=False):
        dtype = torch.promote_types(target.dtype, torch.float32)
        target, sources = (images.detach().to(dtype).contiguous() for images in (target, sources))
        size = target.shape[-2], target.shape[-1]
        cameras = None if source_intrinsics is None else source_intrinsics.to(dtype)
        projection = inverse_depth_projection(
            intrinsics.to(dtype), T_target_to_sources.to(dtype), size, cameras
        )
        unmoved = identity_error(target, sources, noise, ssim_weight=ssim_weight, average=average)
        scales, smoothness, image = [], [], target
        for scale, disparity in enumerate(disparities):
            disparity = disparity.to(dtype)
            inverse_depth = disparity_to_inverse_depth(full_size(disparity, target), min_depth, max_depth)
            scales.append(
                minimum_reprojection(
                    inverse_depth,
                    projection,
                    target,
                    sources,
                    unmoved if automask else None,
                    ssim_weight=ssim_weight,
                    average=average,
                    align_corners=align_corners,
                )
            )
            image = image_at(image, disparity.shape[-2:])
            smoothness.append(edge_aware_smoothness(mean_normalised(disparity), image) / 2**scale)
        photometric = torch.stack([scale.error for scale in scales])
        smooth = torch.stack(smoothness) * smoothness_weight
        losses = photometric + smooth
    return ReprojectionResult(
        loss=losses.mean(),
        photometric=photometric.detach().mean(),
        smoothness=smooth.detach().mean(),
        masked_fraction=scales[0].masked_fraction,
        reprojection_error=scales[0].unmasked_error,
        identity_error=unmoved.mean(),
        valid_fraction=scales[0].valid_fraction,
        scale_losses=losses.detach(),
    )
