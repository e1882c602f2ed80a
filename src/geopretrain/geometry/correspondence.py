"""Where the pixels of one view of a scene are seen in another one, and which of them are hidden there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from geopretrain.geometry.camera import pixel_grid
from geopretrain.geometry.checks import check_shapes
from geopretrain.geometry.warp import in_view, sample, source_pixels, warp_flow

NO_DEPTH = -1e30
"""Stands where a source has no depth: what is read is negative if any of it comes from there."""
FLOW_TOLERANCE = 0.01, 0.5
"""Fraction of the squared lengths, and square px, by which flow forth and back may differ."""


class Correspondence(NamedTuple):
    """Where the pixels of a target view are seen in a source view.

    Attributes:
        flow: ``B 2 H W`` px (right, down), target to source; finite where visible.
        visible: ``B 1 H W`` bool: the same point is seen in the source view.
    """

    flow: Tensor
    visible: Tensor


def correspondence_by_depth(
    target_depth: Tensor,
    source_depth: Tensor,
    intrinsics: Tensor,
    T_target_to_source: Tensor,
    *,
    max_inconsistency: float = 0.05,
    one_scale: bool = True,
) -> Correspondence:
    """Follow the points of a static scene by depth and camera motion.

    A point is hidden, or has moved by itself, where its depth in the source's camera and the depth that the
    source has there differ (SC-Depth: Bian et al., IJCV 2021, equation 6, here as a mask).

    Args:
        target_depth: ``B 1 H W``; 0 = no measurement, and so is what is not finite.
        source_depth: ``B 1 H W``, likewise.
        intrinsics: ``B 3 3`` px, the same camera for both views.
        T_target_to_source: ``B 4 4`` in the units of the depths.
        max_inconsistency: |computed - read| / (computed + read) up to which the depths agree.
        one_scale: False: the depths are of a network that sees each view by itself, so those read are first
            multiplied by the median ratio of the two.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("target_depth", target_depth, "B 1 H W"), ("source_depth", source_depth, "B 1 H W"))
    target_depth, source_depth = target_depth.nan_to_num(0, 0, 0), source_depth.nan_to_num(0, 0, 0)
    pixels, computed = source_pixels(target_depth, intrinsics, T_target_to_source)
    read = sample(torch.where(source_depth > 0, source_depth, NO_DEPTH), pixels)
    seen = in_view(pixels, source_depth.shape[-2:]) & (target_depth > 0) & (computed > 0) & (read > 0)
    if not one_scale:
        ratio = torch.where(seen, computed / read, torch.nan).flatten(1).nanmedian(1).values
        read = read * ratio.nan_to_num(1.0)[:, None, None, None]
    agree = (computed - read).abs() <= max_inconsistency * (computed + read)
    grid = pixel_grid(*target_depth.shape[-2:], device=pixels.device, dtype=pixels.dtype)
    return Correspondence(torch.where(seen, pixels - grid[:2], 0), seen & agree)


def correspondence_by_flow(forward: Sequence[Tensor], backward: Sequence[Tensor]) -> Correspondence:
    """Follow points through views by optical flow, from the target, the first view, to the source, the last.

    A point is lost where flow forth and back do not cancel, |f + b|² > 0.01 (|f|² + |b|²) + 0.5 (Sundaram et
    al., *Dense point trajectories by GPU-accelerated large displacement optical flow*, ECCV 2010), and at the
    image's border.

    Args:
        forward: flow ``B 2 H W`` px (right, down) from each view to the next one.
        backward: flow from that one back.

    Raises:
        ValueError: a shape does not fit, or there is no flow.
    """
    if not forward or len(forward) != len(backward):
        raise ValueError(f"{len(forward)} flows forward and {len(backward)} backward are no pairs")
    shapes = [(f"flow {i}", flow, "B 2 H W") for i, flow in enumerate((*forward, *backward))]
    check_shapes(*shapes)
    first = forward[0]
    grid = pixel_grid(*first.shape[-2:], device=first.device, dtype=first.dtype)[:2]
    pixels, visible = grid.expand_as(first), torch.ones_like(first[:, :1], dtype=torch.bool)
    relative, absolute = FLOW_TOLERANCE
    for forth, back in zip(forward, backward, strict=True):
        moved = sample(forth, pixels)
        pixels = pixels + moved
        returned = sample(back, pixels)
        lengths = moved.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
        error = (moved + returned).square().sum(1, keepdim=True)
        visible = visible & in_view(pixels, first.shape[-2:]) & (error <= relative * lengths + absolute)
    return Correspondence(pixels - grid, visible)


def with_same_colour(
    points: Correspondence, target: Tensor, source: Tensor, max_difference: float
) -> Correspondence:
    """Return a correspondence that is visible only where both views have nearly the same colour.

    Args:
        points: from the target to the source.
        target: ``B 3 H W`` in [0, 1].
        source: ``B 3 H W`` in [0, 1].
        max_difference: mean absolute difference of red, green and blue, up to which they are the same.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("flow", points.flow, "B 2 H W"), ("target", target, "B 3 H W"))
    warped, inside = warp_flow(source, points.flow)
    alike = (warped - target).abs().mean(1, keepdim=True) <= max_difference
    return Correspondence(points.flow, points.visible & inside & alike)
