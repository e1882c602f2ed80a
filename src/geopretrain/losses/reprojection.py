"""The multi-scale loss of Monodepth2 (Godard et al. 2019, section 3): minimum reprojection, auto-mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from geopretrain.geometry import (
    check_shapes,
    disparity_to_depth,
    disparity_to_inverse_depth,
    invert_intrinsics,
    warp,
)
from geopretrain.losses.photometric import photometric_error
from geopretrain.losses.reprojection_scale import (
    PhotometricOptions,
    Views,
    homography_form,
    prepare_views,
)
from geopretrain.losses.smoothness import edge_aware_smoothness, mean_normalised


@dataclass(frozen=True)
class ReprojectionResult:
    """The loss and what it is made of; all but ``loss`` are detached scalars unless said otherwise.

    Attributes:
        loss: mean over the scales of photometric + weight / 2^scale · smoothness.
        photometric: mean over the scales of the auto-masked minimum photometric error.
        smoothness: mean over the scales of the weighted smoothness.
        identity_share: share of pixels where the auto-mask chose an unwarped source, scale 0.
        reprojection_error: mean of the minimum error of the warped sources, scale 0, without auto-mask.
        identity_error: mean of the minimum error of the unwarped sources.
        valid_share: share of pixels that lie in view and in front of a source camera, mean over sources,
            scale 0.
        scale_losses: ``S`` the loss of each scale, finest first.
    """

    loss: Tensor
    photometric: Tensor
    smoothness: Tensor
    identity_share: Tensor
    reprojection_error: Tensor
    identity_error: Tensor
    valid_share: Tensor
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
    compiled: bool = False,
    align_corners: bool = True,
) -> ReprojectionResult:
    """Compute the loss of Monodepth2 for any number of source images.

    Each disparity is brought to full size bilinearly, the sources are warped with it, and for each pixel only
    the source that explains it best counts; where an unwarped source explains it as well, nothing is learned
    from the pixel (auto-mask). Computed in float32 also under autocast, without waiting for the device.

    The value is that of :func:`reprojection_candidates` put together plainly, but it takes a fraction of the
    time: what the scales share is computed once, and the gradient is computed in closed form together with
    the loss, so that almost nothing is kept for the backward pass. It is differentiable once, by the
    disparities, the poses and the intrinsics (not by the images).

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
        noise: breaks ties between the unwarped sources: the scale of normal noise added to their errors
            (drawn once and shared by the scales; 0 = none), or the noise itself, ``B N H W`` (``B 1 H W``
            with ``average``).
        compiled: run the inner part through ``torch.compile``; needs a C++ compiler on a CPU. The first call
            for a size takes some ten seconds.
        align_corners: see :func:`geopretrain.geometry.sample`; False only to compare with other code.

    Raises:
        ValueError: there is no disparity, or a shape does not fit.
        ConfigError: ``compiled`` without a C++ compiler.
    """
    _check(disparities, target, sources, intrinsics, T_target_to_sources, source_intrinsics)
    options = PhotometricOptions(ssim_weight, average, align_corners, compiled)
    with torch.autocast(target.device.type, enabled=False):
        dtype = torch.promote_types(target.dtype, torch.float32)
        target, intrinsics = target.detach().to(dtype), intrinsics.to(dtype)
        cameras = intrinsics[:, None] if source_intrinsics is None else source_intrinsics.to(dtype)
        poses = T_target_to_sources.to(dtype)
        sources = sources.detach().to(dtype).transpose(0, 1).contiguous()
        disparities = [disparity.to(dtype) for disparity in disparities]
        views = prepare_views(target, sources, _noise(noise, sources, average), automask, options)
        size = (target.shape[-2], target.shape[-1])
        form = homography_form(cameras, invert_intrinsics(intrinsics), poses, size)
        photometric, statistics = [], []
        for disparity in disparities:
            inverse_depth = disparity_to_inverse_depth(_full_size(disparity, target), min_depth, max_depth)
            error, sums = _photometric(inverse_depth, form, views)
            photometric.append(error)
            statistics.append(sums)
        smoothness = _smoothness(disparities, target) * smoothness_weight
        return _result(torch.stack(photometric), smoothness, statistics[0], views)


def _check(
    disparities: Sequence[Tensor],
    target: Tensor,
    sources: Tensor,
    intrinsics: Tensor,
    poses: Tensor,
    source_intrinsics: Tensor | None,
) -> None:
    if not disparities:
        raise ValueError("the disparities of at least one scale are needed, got none")
    check_shapes(
        ("target", target, "B 3 H W"),
        ("sources", sources, "B N 3 H W"),
        ("intrinsics", intrinsics, "B 3 3"),
        ("T_target_to_sources", poses, "B N 4 4"),
    )
    if source_intrinsics is not None:
        check_shapes(("sources", sources, "B N 3 H W"), ("source_intrinsics", source_intrinsics, "B N 3 3"))
    for disparity in disparities:
        check_shapes(("target", target, "B 3 H W"), ("disparity", disparity, "B 1 h w"))


def _noise(noise: Tensor | float, sources: Tensor, average: bool) -> Tensor | None:
    if isinstance(noise, Tensor):
        return noise.to(sources.dtype).transpose(0, 1)
    if not noise:
        return None
    count, batch, _, height, width = sources.shape
    shape = (1 if average else count, batch, height, width)
    return torch.randn(shape, dtype=sources.dtype, device=sources.device) * noise


def _full_size(disparity: Tensor, target: Tensor) -> Tensor:
    size = target.shape[-2:]
    if disparity.shape[-2:] == size:
        return disparity
    return F.interpolate(disparity, size, mode="bilinear", align_corners=False)


def _photometric(inverse_depth: Tensor, form: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    needs_gradient = torch.is_grad_enabled() and (inverse_depth.requires_grad or form.requires_grad)
    total, statistics = _PhotometricScale.apply(inverse_depth, form, views, needs_gradient)
    return total / inverse_depth.numel(), statistics / inverse_depth.numel()


class _PhotometricScale(torch.autograd.Function):
    """Sum over all pixels of the smallest photometric error; differentiable by inverse depth and motion.

    The gradient comes with the sum, and it alone is kept for the backward pass: ``B 1 H W`` and ``N B 3 4``.
    """

    @staticmethod
    def forward(
        ctx: Any, inverse_depth: Tensor, form: Tensor, views: Views, needs_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the sum, and (reprojection error, auto-masked, in view) summed over the pixels to log."""
        if inverse_depth.device.type == "cpu" and not views.options.compiled:
            from geopretrain.losses.reprojection_cpu import explain
        else:
            from geopretrain.losses.reprojection_tensors import explain
        explained = explain(inverse_depth, form, views, needs_gradient)
        if explained.gradients is not None:
            ctx.save_for_backward(*explained.gradients)
        statistics = torch.stack([explained.reprojection, explained.masked, explained.in_view])
        ctx.mark_non_differentiable(statistics)
        return explained.minimum, statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale the kept gradients."""
        of_depth, of_form = ctx.saved_tensors
        return of_depth * gradients[0], of_form * gradients[0], None, None


def _smoothness(disparities: Sequence[Tensor], target: Tensor) -> Tensor:
    """Return ``S``: the smoothness of each scale on its own size, divided by 2^scale."""
    terms, image = [], target
    for scale, disparity in enumerate(disparities):
        if image.shape[-2:] != disparity.shape[-2:]:
            image = F.interpolate(image, disparity.shape[-2:], mode="area")
        terms.append(edge_aware_smoothness(mean_normalised(disparity), image) / 2**scale)
    return torch.stack(terms)


def _result(photometric: Tensor, smoothness: Tensor, statistics: Tensor, views: Views) -> ReprojectionResult:
    losses = photometric + smoothness
    reprojection_error, identity_share, valid_share = statistics.unbind()
    return ReprojectionResult(
        loss=losses.mean(),
        photometric=photometric.detach().mean(),
        smoothness=smoothness.detach().mean(),
        identity_share=identity_share,
        reprojection_error=reprojection_error,
        identity_error=views.identity.mean(),
        valid_share=valid_share,
        scale_losses=losses.detach(),
    )


@dataclass(frozen=True)
class ReprojectionCandidates:
    """Everything the loss of one scale chooses from, for looking at it.

    Attributes:
        identity: ``B N H W`` photometric error of each unwarped source.
        reprojection: ``B N H W`` photometric error of each warped source.
        warped: ``B N 3 H W``.
        valid: ``B N H W`` bool, in view and in front of the source camera.
    """

    identity: Tensor
    reprojection: Tensor
    warped: Tensor
    valid: Tensor


def reprojection_candidates(
    disparity: Tensor,
    target: Tensor,
    sources: Tensor,
    intrinsics: Tensor,
    T_target_to_sources: Tensor,
    *,
    source_intrinsics: Tensor | None = None,
    min_depth: float = 0.1,
    max_depth: float = 100.0,
    ssim_weight: float = 0.85,
    align_corners: bool = True,
) -> ReprojectionCandidates:
    """Compute the per-pixel errors of one scale plainly.

    The auto-mask is ``reprojection.amin(1) < identity.amin(1)``.

    Args:
        disparity: sigmoid output ``B 1 h w``, any size.
        target: ``B 3 H W`` in [0, 1].
        sources: ``B N 3 H W`` in [0, 1].
        intrinsics: ``B 3 3`` px of the target.
        T_target_to_sources: ``B N 4 4`` in the units of the depth.
        source_intrinsics: ``B N 3 3`` px of each source; left away: all from the target's camera.
        min_depth: depth of disparity 1.
        max_depth: depth of disparity 0.
        ssim_weight: weight of SSIM in the photometric error.
        align_corners: see :func:`geopretrain.geometry.sample`.

    Raises:
        ValueError: a shape does not fit.
    """
    _check([disparity], target, sources, intrinsics, T_target_to_sources, source_intrinsics)
    depth = disparity_to_depth(_full_size(disparity, target), min_depth, max_depth)
    if source_intrinsics is None:
        source_intrinsics = intrinsics[:, None].expand(-1, sources.shape[1], -1, -1)
    pairs = [
        warp(source, depth, intrinsics, pose, source_intrinsics=camera, align_corners=align_corners)
        for source, pose, camera in zip(
            sources.unbind(1), T_target_to_sources.unbind(1), source_intrinsics.unbind(1), strict=True
        )
    ]
    return ReprojectionCandidates(
        identity=torch.cat([photometric_error(x, target, ssim_weight) for x in sources.unbind(1)], dim=1),
        reprojection=torch.cat(
            [photometric_error(warped, target, ssim_weight) for warped, _ in pairs], dim=1
        ),
        warped=torch.stack([warped for warped, _ in pairs], dim=1),
        valid=torch.cat([valid for _, valid in pairs], dim=1),
    )
