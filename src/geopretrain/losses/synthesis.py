"""View synthesis: what a target's pixels look like in other views (Zhou et al. 2017, equation 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from geopretrain.geometry import check_shapes, project_inverse_depth, sample_grid


def synthesise(
    inverse_depth: Tensor, projection: Tensor, sources: Tensor, align_corners: bool = True
) -> tuple[Tensor, Tensor]:
    """Read the sources where the target's pixels lie in them; beyond its border an image is repeated.

    Args:
        inverse_depth: ``B 1 H W`` of the target; what is not above 0 and finite is taken to be infinitely
            far.
        projection: ``B N 3 4``, see `geopretrain.geometry.inverse_depth_projection`.
        sources: ``B N C H W``.
        align_corners: see `geopretrain.geometry.sample`.

    Returns:
        The images ``B N C H W``, and ``B N 1 H W`` bool: in view and in front of the source camera, at an
        inverse depth above 0 and finite.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("inverse_depth", inverse_depth, "B 1 H W"), ("sources", sources, "B N C H W"))
    projected = project_inverse_depth(inverse_depth, projection)
    grid = border_grid(projected.positions.flatten(0, 1), align_corners)
    images = sample_grid(sources.flatten(0, 1), grid, align_corners=align_corners)
    return images.view_as(sources), projected.in_view


def border_grid(positions: Tensor, align_corners: bool = True) -> Tensor:
    """Return the grid ``B H W 2`` of positions ``B 2 H W``; what lies outside moves to the border."""
    limits = border_limits(positions, align_corners)
    parts = zip(positions.unbind(1), limits, strict=True)
    return torch.stack([part.clamp(-limit, limit) for part, limit in parts], dim=-1)


def border_limits(positions: Tensor, align_corners: bool = True) -> tuple[float, float]:
    """Return the largest x and y inside an image of the size of positions ``B 2 H W``."""
    height, width = positions.shape[-2:]
    return (1.0, 1.0) if align_corners else (1 - 1 / width, 1 - 1 / height)


def valid_inverse(depth: Tensor) -> Tensor:
    """Return 1 / depth, or 0 without a gradient where that or the depth is not above 0 and finite."""
    inverse = (1 / depth).detach()
    valid = (inverse > 0) & (inverse < torch.inf)
    return torch.where(valid, 1 / torch.where(valid, depth, 1), 0)


class SynthesisWithDepth(NamedTuple):
    """What is read of one source for each pixel of a target, and the target's points in its camera.

    Attributes:
        images: ``B C H W``.
        depth: ``B 1 H W`` read from the source's depth.
        z: ``B 1 H W`` depth of the target's points in the source camera; 0 where the target has none.
        in_view: ``B 1 H W`` bool: the target's depth is above 0 and finite, and the point lies in front of
            the source camera and inside its image.
    """

    images: Tensor
    depth: Tensor
    z: Tensor
    in_view: Tensor


def synthesise_with_depth(
    depth: Tensor, projection: Tensor, images: Tensor, source_depth: Tensor
) -> SynthesisWithDepth:
    """Read a source and its depth where the target's pixels lie in it (Bian et al. 2021, section 3).

    Args:
        depth: ``B 1 H W`` of the target.
        projection: ``B 3 4``, see `geopretrain.geometry.inverse_depth_projection`.
        images: ``B C H W`` of the source; no gradient reaches them.
        source_depth: ``B 1 H W``.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(
        ("depth", depth, "B 1 H W"),
        ("projection", projection, "B 3 4"),
        ("images", images, "B C H W"),
        ("source_depth", source_depth, "B 1 H W"),
    )
    distance = valid_inverse(depth)
    projected = project_inverse_depth(distance, projection[:, None])
    grid = border_grid(projected.positions[:, 0])
    # apart, because only the depth needs a gradient by what is sampled, and that is the slow one
    read, read_depth = sample_grid(images.detach(), grid), sample_grid(source_depth, grid)
    z = torch.where(distance > 0, projected.z[:, 0] * torch.where(distance > 0, depth, 1), 0)
    return SynthesisWithDepth(read, read_depth, z, projected.in_view[:, 0])
