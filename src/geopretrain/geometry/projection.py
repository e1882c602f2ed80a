"""Projection in inverse depth: where the pixels of one view lie in others, without a point in space.

A pixel r = (u, v, 1) with inverse depth q lies in the source at A r + q b, where A = K' R K⁻¹ and b = K' t
(Zhou et al. 2017, equation 2, divided by the depth). [A | b] is the projection, ``3 4``. It gives positions
in coordinates that run from -1 to 1 over the source, as ``grid_sample`` takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry.camera import PROJECTION_EPSILON, invert_intrinsics, pixel_grid
from geopretrain.geometry.checks import check_shapes
from geopretrain.geometry.warp import FAR_OUTSIDE


def inverse_depth_projection(
    intrinsics: Tensor,
    T_target_to_sources: Tensor,
    size: Sequence[int],
    source_intrinsics: Tensor | None = None,
) -> Tensor:
    """Return the projections [K' R K⁻¹ | K' t] from a target into its sources.

    Args:
        intrinsics: ``B 3 3`` px of the target.
        T_target_to_sources: ``B N 4 4`` in the units of the depth.
        size: (height, width) of all images.
        source_intrinsics: ``B N 3 3`` px of each source; left away: the target's camera.

    Returns:
        ``B N 3 4``, see the head of this file.

    Raises:
        ValueError: a shape does not fit, or the image is less than 2 px high or wide.
    """
    check_shapes(("intrinsics", intrinsics, "B 3 3"), ("T_target_to_sources", T_target_to_sources, "B N 4 4"))
    if source_intrinsics is not None:
        poses = "T_target_to_sources", T_target_to_sources, "B N 4 4"
        check_shapes(poses, ("source_intrinsics", source_intrinsics, "B N 3 3"))
    height, width = size
    if min(size) < 2:
        raise ValueError(f"images must be at least 2 px high and wide, got {height} x {width}")
    cameras = intrinsics[:, None] if source_intrinsics is None else source_intrinsics
    inverse = invert_intrinsics(intrinsics)
    rays = _matmul(T_target_to_sources[..., :3, :3], inverse[:, None])
    moved = _matmul(cameras, torch.cat([rays, T_target_to_sources[..., :3, 3:]], dim=-1))
    x, y, z = moved.unbind(-2)
    z = z + F.pad(z.new_full((1,), PROJECTION_EPSILON), (3, 0))
    return torch.stack([x * (2 / (width - 1)) - z, y * (2 / (height - 1)) - z, z], dim=-2)


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    # written out, because matrix units may round to TF32, which is some pixels here
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


class Projected(NamedTuple):
    """Where the pixels of a target lie in its sources.

    Attributes:
        positions: ``B N 2 H W`` (x, y) in [-1, 1] inside the source; finite, whatever went in.
        z: ``B N 1 H W``, (z + 1e-7) / depth in the source camera, see `geometry.camera`.
        in_view: ``B N 1 H W`` bool: a depth above 0, in front of the source camera and inside its image.
    """

    positions: Tensor
    z: Tensor
    in_view: Tensor


def project_inverse_depth(inverse_depth: Tensor, projection: Tensor) -> Projected:
    """Project the pixels of a target into its sources.

    A pixel whose inverse depth is 0, negative, infinite or not a number has no place: it is taken to be
    infinitely far, is never in view, and its inverse depth gets no gradient.

    Args:
        inverse_depth: ``B 1 H W``.
        projection: ``B N 3 4``, see `inverse_depth_projection`.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("inverse_depth", inverse_depth, "B 1 H W"), ("projection", projection, "B N 3 4"))
    valid = (inverse_depth > 0) & (inverse_depth < torch.inf)
    distance = torch.where(valid, inverse_depth, 0)[:, None]
    u, v, _ = pixel_grid(*inverse_depth.shape[-2:], device=inverse_depth.device, dtype=inverse_depth.dtype)
    a, b, c, translation = projection[..., None, None].unbind(3)
    moved = a * u + b * v + c + translation * distance
    positions, z = _finite_quotient(moved[:, :, :2], moved[:, :, 2:]), moved[:, :, 2:]
    inside = (positions.abs() <= 1).all(2, keepdim=True)
    return Projected(positions, z, inside & (z > 0) & valid[:, None])


def _finite_quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; a quotient that is not finite or far outside becomes one there, without a gradient."""
    quotient = (numerator / denominator).detach()
    near = quotient.abs() < FAR_OUTSIDE
    outside = quotient.nan_to_num(-FAR_OUTSIDE).clamp(-FAR_OUTSIDE, FAR_OUTSIDE)
    return torch.where(near, numerator / torch.where(near, denominator, 1), outside)
