"""The pinhole camera: x right, y down, z forward; pixel centres at integer coordinates."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geopretrain.geometry.checks import check_shapes

PROJECTION_EPSILON = 1e-7
"""Added to z before dividing by it (Monodepth2): points on the camera plane do not divide by zero."""


def pixel_grid(
    height: int, width: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """Return the homogeneous coordinates (u, v, 1) of all pixel centres.

    Returns:
        ``3 H W`` px, u to the right, v downwards, ``[:, 0, 0] = (0, 0, 1)``.
    """
    v, u = torch.meshgrid(
        torch.arange(height, device=device, dtype=dtype or torch.get_default_dtype()),
        torch.arange(width, device=device, dtype=dtype or torch.get_default_dtype()),
        indexing="ij",
    )
    return torch.stack([u, v, torch.ones_like(u)])


def resize_intrinsics(intrinsics: Tensor, from_size: tuple[int, int], to_size: tuple[int, int]) -> Tensor:
    """Return the intrinsics of an image after resizing it.

    With scale s the focal length becomes f s and the principal point (c + 0.5) s - 0.5, since the border of
    the image, not the centre of its first pixel, stays in place.

    Args:
        intrinsics: ``... 3 3`` px of the original image.
        from_size: (height, width) of the original image.
        to_size: (height, width) after resizing.

    Returns:
        ``... 3 3`` px of the resized image.
    """
    scale_y, scale_x = to_size[0] / from_size[0], to_size[1] / from_size[1]
    resize = intrinsics.new_tensor(
        [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5], [0, 0, 1]]
    )
    return resize @ intrinsics


def crop_intrinsics(intrinsics: Tensor, top: float, left: float) -> Tensor:
    """Return intrinsics (``... 3 3`` px) after cutting ``top`` rows and ``left`` columns: c' = c - offset."""
    return intrinsics.new_tensor([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ intrinsics


def flip_intrinsics(intrinsics: Tensor, width: int) -> Tensor:
    """Return the intrinsics (``... 3 3`` px) after a horizontal flip of the image: cx' = W - 1 - cx."""
    flipped = intrinsics.clone()
    flipped[..., 0, 2] = width - 1 - intrinsics[..., 0, 2]
    flipped[..., 0, 1] = -intrinsics[..., 0, 1]
    return flipped


def invert_intrinsics(intrinsics: Tensor) -> Tensor:
    """Return the inverse (``B 3 3``), without the check for singularity that would wait for the device."""
    inverse, _ = torch.linalg.inv_ex(intrinsics)
    return inverse


def backproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Lift every pixel to its point in the camera: depth · K⁻¹ (u, v, 1).

    Args:
        depth: ``B 1 H W`` along the optical axis, in m or arbitrary units.
        intrinsics: ``B 3 3`` px.

    Returns:
        Points ``B 3 H W`` in the units of the depth.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("depth", depth, "B 1 H W"), ("intrinsics", intrinsics, "B 3 3"))
    height, width = depth.shape[-2:]
    pixels = pixel_grid(height, width, device=depth.device, dtype=depth.dtype)
    rays = invert_intrinsics(intrinsics) @ pixels.flatten(1)
    return depth * rays.unflatten(-1, (height, width))


def project(points: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Project points of a camera onto its image: (u, v) = (K p)₁₂ / ((K p)₃ + 1e-7).

    Args:
        points: ``B 3 H W`` in the camera's axes.
        intrinsics: ``B 3 3`` px.

    Returns:
        Pixels ``B 2 H W`` and z ``B 1 H W``. Points behind the camera (z <= 0) are not marked in the pixels.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("points", points, "B 3 H W"), ("intrinsics", intrinsics, "B 3 3"))
    return divide_by_z((intrinsics @ points.flatten(2)).unflatten(-1, points.shape[-2:]))


def divide_by_z(homogeneous: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions ``B 2 H W`` and z ``B 1 H W`` of homogeneous image coordinates ``B 3 H W``."""
    z = homogeneous[:, 2:]
    return homogeneous[:, :2] / (z + PROJECTION_EPSILON), z


def field_of_view(intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the angles (``... 2``, degrees, horizontal, vertical) seen by an image of (height, width)."""
    height, width = size
    angles = [
        torch.atan((intrinsics[..., axis, 2] + 0.5) / intrinsics[..., axis, axis])
        + torch.atan((length - 0.5 - intrinsics[..., axis, 2]) / intrinsics[..., axis, axis])
        for axis, length in ((0, width), (1, height))
    ]
    return torch.rad2deg(torch.stack(angles, dim=-1))


def intrinsics_from_fov(horizontal_degrees: float, size: tuple[int, int]) -> Tensor:
    """Return the intrinsics (``3 3`` px) of square pixels, a centred principal point and this field of view.

    Raises:
        ValueError: the angle is not between 0 and 180 degrees.
    """
    if not 0 < horizontal_degrees < 180:
        raise ValueError(
            f"the horizontal field of view must lie between 0 and 180 degrees, got {horizontal_degrees}"
        )
    height, width = size
    focal = width / 2 / math.tan(math.radians(horizontal_degrees) / 2)
    return torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def disparity_to_inverse_depth(sigmoid: Tensor, min_depth: float, max_depth: float) -> Tensor:
    """Map a network's sigmoid output linearly to 1 / depth between 1 / max_depth and 1 / min_depth."""
    return 1 / max_depth + (1 / min_depth - 1 / max_depth) * sigmoid


def disparity_to_depth(sigmoid: Tensor, min_depth: float, max_depth: float) -> Tensor:
    """Map a network's sigmoid output to depth: 1 / (1/max + (1/min - 1/max) σ) (Monodepth2, section 3).

    Args:
        sigmoid: any shape, in [0, 1]; 0 is ``max_depth``, 1 is ``min_depth``.
        min_depth: nearest depth.
        max_depth: farthest depth.

    Returns:
        Depth in the units of ``min_depth``, same shape.
    """
    return 1 / disparity_to_inverse_depth(sigmoid, min_depth, max_depth)
