"""Directions of surfaces, from depth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from geopretrain.geometry.camera import backproject

SMALLEST = 1e-12
"""Vectors shorter than this are not made unit vectors."""


def sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives by x and y of ``B C H W`` (Sobel kernels / 8, repeated border), same shape."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return (rows[..., 2:] - rows[..., :-2]) / 8, (columns[..., 2:, :] - columns[..., :-2, :]) / 8


def surface_normals(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Return unit normals: the cross product of the derivatives of the points by x and by y.

    A wall that faces the camera has the normal (0, 0, 1): normals point away from the camera.

    Args:
        depth: ``B 1 H W``, any unit: normals do not depend on the scale.
        intrinsics: ``B 3 3`` px.

    Returns:
        ``B 3 H W``; zero where depth is 0 all around.

    Raises:
        ValueError: a shape does not fit.
    """
    by_x, by_y = sobel(backproject(depth, intrinsics))
    # written out: cross product and norm of torch.linalg are ten times slower along this dimension on a CPU
    (a, b, c), (d, e, f) = by_x.unbind(1), by_y.unbind(1)
    product = torch.stack([b * f - c * e, c * d - a * f, a * e - b * d], 1)
    return product * product.square().sum(1, keepdim=True).clamp(min=SMALLEST**2).rsqrt()
