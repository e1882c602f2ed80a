"""Moving images between views by depth and camera motion, or by optical flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry.camera import divide_by_z, invert_intrinsics, pixel_grid
from geopretrain.geometry.checks import check_shapes

Padding = Literal["border", "zeros"]
Reading = Literal["bilinear", "nearest"]

FAR_OUTSIDE = 1e6
"""A position, in image sides, that stands for what is not finite: outside every image."""


def rigid_flow(depth: Tensor, intrinsics: Tensor, T_target_to_source: Tensor) -> tuple[Tensor, Tensor]:
    """Return where each target pixel of a static scene goes in the source view.

    Args:
        depth: ``B 1 H W`` of the target view.
        intrinsics: ``B 3 3`` px, the same camera for both views.
        T_target_to_source: ``B 4 4`` in the units of the depth.

    Returns:
        Flow ``B 2 H W`` px (right, down), target to source, and z ``B 1 H W`` in the source camera.

    Raises:
        ValueError: a shape does not fit.
    """
    pixels, z = source_pixels(depth, intrinsics, T_target_to_source)
    grid = pixel_grid(*depth.shape[-2:], device=depth.device, dtype=depth.dtype)
    return pixels - grid[:2], z


def sample(
    image: Tensor, pixels: Tensor, padding: Padding = "border", *, align_corners: bool = True
) -> Tensor:
    """Read an image bilinearly at given pixel positions.

    Args:
        image: ``B C H W``.
        pixels: ``B 2 h w`` px (x, y); (0, 0) is the centre of the first pixel. A position that is not a
            number lies far to the left or above, and gets no gradient.
        padding: outside the image repeat the ``border`` or read ``zeros``.
        align_corners: True reads at the positions themselves; False at u W / (W - 1) - 0.5, which is what
            published code that does not name this option computes on a recent torch; only for comparisons
            with it.

    Returns:
        ``B C h w``.

    Raises:
        ValueError: a shape or the padding does not fit.
    """
    check_shapes(("image", image, "B C H W"), ("pixels", pixels, "B 2 h w"))
    if padding not in ("border", "zeros"):
        raise ValueError(f"padding must be 'border' or 'zeros', got {padding!r}")
    height, width = image.shape[-2:]
    x, y = pixels.unbind(1)
    grid = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], dim=-1)
    return sample_grid(image, grid, padding, align_corners=align_corners)


def sample_grid(
    image: Tensor,
    grid: Tensor,
    padding: Padding = "border",
    *,
    mode: Reading = "bilinear",
    align_corners: bool = True,
) -> Tensor:
    """Read an image ``B C H W`` at ``grid``, ``B h w 2`` (x, y), -1 to 1 over the image.

    The one way to torch's function, which with a position that is not a number ends the process in its
    backward pass; here such a position lies far to the left or above.
    """
    grid = finite_grid(grid)
    return F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=align_corners)


def finite_grid(grid: Tensor) -> Tensor:
    """Return positions that torch's sampling and its backward pass can take, also where a run diverges."""
    return grid.nan_to_num(-FAR_OUTSIDE, FAR_OUTSIDE, -FAR_OUTSIDE)


def warp(
    source: Tensor,
    depth: Tensor,
    intrinsics: Tensor,
    T_target_to_source: Tensor,
    padding: Padding = "border",
    *,
    source_intrinsics: Tensor | None = None,
    align_corners: bool = True,
) -> tuple[Tensor, Tensor]:
    """Synthesise the target view from a source view (Zhou et al. 2017, equation 2).

    Args:
        source: ``B C H W``.
        depth: ``B 1 H W`` of the target view; 0 = no measurement, and so is what is not finite.
        intrinsics: ``B 3 3`` px of the target view.
        T_target_to_source: ``B 4 4`` in the units of the depth.
        padding: what is read outside the source image.
        source_intrinsics: ``B 3 3`` px of the source view; left away: the same camera.
        align_corners: see `sample`.

    Returns:
        The warped image ``B C H W`` and ``B 1 H W`` bool: depth is measured, the point lies in front of the
        source camera and inside its image.

    Raises:
        ValueError: a shape or the padding does not fit.
    """
    check_shapes(("source", source, "B C H W"), ("depth", depth, "B 1 H W"))
    depth = depth.nan_to_num(0, 0, 0)
    pixels, z = source_pixels(depth, intrinsics, T_target_to_source, source_intrinsics)
    valid = in_view(pixels, source.shape[-2:]) & (z > 0) & (depth > 0)
    return sample(source, pixels, padding, align_corners=align_corners), valid


def warp_flow(source: Tensor, flow: Tensor, padding: Padding = "border") -> tuple[Tensor, Tensor]:
    """Synthesise the target view from a source view and the flow between them.

    Args:
        source: ``B C H W``.
        flow: ``B 2 H W`` px (right, down), target to source.
        padding: what is read outside the source image.

    Returns:
        The warped image ``B C H W`` and ``B 1 H W`` bool: the flow ends inside the source image.

    Raises:
        ValueError: a shape or the padding does not fit.
    """
    check_shapes(("source", source, "B C H W"), ("flow", flow, "B 2 H W"))
    pixels = flow + pixel_grid(*flow.shape[-2:], device=flow.device, dtype=flow.dtype)[:2]
    return sample(source, pixels, padding), in_view(pixels, source.shape[-2:])


def resize_flow(flow: Tensor, size: Sequence[int]) -> Tensor:
    """Return a flow for another size of the same images: resized bilinearly and measured in the new pixels.

    The border of the image stays in place, as when images and intrinsics are resized.

    Args:
        flow: ``B 2 h w`` px (right, down).
        size: (H, W).

    Returns:
        ``B 2 H W`` in px of the new size.

    Raises:
        ValueError: the shape does not fit.
    """
    check_shapes(("flow", flow, "B 2 h w"))
    if tuple(flow.shape[-2:]) == tuple(size):
        return flow
    factors = [size[1] / flow.shape[-1], size[0] / flow.shape[-2]]
    resized = F.interpolate(flow, tuple(size), mode="bilinear", align_corners=False)
    return torch.stack([part * factor for part, factor in zip(resized.unbind(1), factors, strict=True)], 1)


def warp_rotated(
    source: Tensor, rotation: Tensor, intrinsics: Tensor, padding: Padding = "border"
) -> tuple[Tensor, Tensor]:
    """Show what a camera that is only rotated would see: read the source at K R K⁻¹ (u, v, 1).

    Args:
        source: ``B C H W``.
        rotation: ``B 3 3``, rotates directions of the new camera into those of the source camera.
        intrinsics: ``B 3 3`` px, the same for both.
        padding: what is read outside the source image.

    Returns:
        The image ``B C H W`` and ``B 1 H W`` bool: inside the source image.

    Raises:
        ValueError: a shape or the padding does not fit.
    """
    check_shapes(("source", source, "B C H W"), ("rotation", rotation, "B 3 3"))
    ones = torch.ones_like(source[:, :1])
    pose = F.pad(rotation, (0, 1, 0, 1))
    return warp(source, ones, intrinsics, pose, padding)


def in_view(pixels: Tensor, size: Sequence[int]) -> Tensor:
    """Return ``B 1 h w`` bool: the position (``B 2 h w`` px) lies between the outermost pixel centres."""
    x, y = pixels[:, :1], pixels[:, 1:]
    return (x >= 0) & (x <= size[1] - 1) & (y >= 0) & (y <= size[0] - 1)


def source_pixels(
    depth: Tensor, intrinsics: Tensor, T_target_to_source: Tensor, source_intrinsics: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return where each target pixel lies in the source view, ``B 2 H W`` px, and z ``B 1 H W`` there.

    Arguments as `warp`; a pose that is only a rotation needs no real depth.
    """
    check_shapes(
        ("depth", depth, "B 1 H W"),
        ("intrinsics", intrinsics, "B 3 3"),
        ("T_target_to_source", T_target_to_source, "B 4 4"),
    )
    camera = intrinsics if source_intrinsics is None else source_intrinsics
    rotation, translation = T_target_to_source[:, :3, :3], T_target_to_source[:, :3, 3:]
    grid = pixel_grid(*depth.shape[-2:], device=depth.device, dtype=depth.dtype)
    # K' (R d K⁻¹ r + t) as d (K' R K⁻¹) r + K' t: one product of the size of the image instead of three
    rays = camera @ rotation @ invert_intrinsics(intrinsics) @ grid.flatten(1)
    moved = (camera @ translation)[..., None]
    return divide_by_z(torch.addcmul(moved, depth, rays.unflatten(-1, depth.shape[-2:])))
