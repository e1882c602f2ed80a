"""Rigid motions; ``T_target_to_source`` maps points of the target camera into the source camera."""

from __future__ import annotations

import torch
from torch import Tensor

from geopretrain.geometry.checks import check_shapes

ANGLE_EPSILON = 1e-7
"""Added to the angle before dividing by it (Monodepth2); rotations are orthonormal to about this much."""


def rotation_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Return the rotation about an axis by the angle that is the axis vector's length (Rodrigues' formula).

    Args:
        axis_angle: ``B 3`` rad.

    Returns:
        Active, right-handed rotations ``B 3 3``; the zero vector gives the identity.

    Raises:
        ValueError: the shape does not fit.
    """
    check_shapes(("axis_angle", axis_angle, "B 3"))
    angle = torch.linalg.vector_norm(axis_angle, dim=-1, keepdim=True)
    axis = axis_angle / (angle + ANGLE_EPSILON)
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    angle = angle[..., None]
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    # 1 - cos = 2 sin²(half the angle), which does not cancel to zero for small angles
    versine = 2 * torch.sin(angle / 2) ** 2
    return (
        torch.cos(angle) * identity
        + torch.sin(angle) * cross
        + versine * axis[..., :, None] * axis[..., None, :]
    )


def pose_matrix(axis_angle: Tensor, translation: Tensor) -> Tensor:
    """Return the rigid motion p ↦ R p + t.

    Args:
        axis_angle: ``B 3`` rad.
        translation: ``B 3`` in the units of the depth.

    Returns:
        ``B 4 4``.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("axis_angle", axis_angle, "B 3"), ("translation", translation, "B 3"))
    return _homogeneous(rotation_from_axis_angle(axis_angle), translation[..., None])


def rotation_from_euler(angles: Tensor) -> Tensor:
    """Return the rotation R_x R_y R_z by the angles about the camera's axes (SC-Depth, released code).

    Args:
        angles: ``B 3`` rad, about x, y and z.

    Returns:
        Active, right-handed rotations ``B 3 3``.

    Raises:
        ValueError: the shape does not fit.
    """
    check_shapes(("angles", angles, "B 3"))
    (cos_x, cos_y, cos_z), (sin_x, sin_y, sin_z) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    zero, one = torch.zeros_like(cos_x), torch.ones_like(cos_x)
    about_x = torch.stack([one, zero, zero, zero, cos_x, -sin_x, zero, sin_x, cos_x], -1)
    about_y = torch.stack([cos_y, zero, sin_y, zero, one, zero, -sin_y, zero, cos_y], -1)
    about_z = torch.stack([cos_z, -sin_z, zero, sin_z, cos_z, zero, zero, zero, one], -1)
    x, y, z = (flat.unflatten(-1, (3, 3)) for flat in (about_x, about_y, about_z))
    return x @ y @ z


def euler_pose_matrix(angles: Tensor, translation: Tensor) -> Tensor:
    """Return the rigid motion p ↦ R_x R_y R_z p + t (``B 4 4``) of angles ``B 3`` rad and t ``B 3``.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("angles", angles, "B 3"), ("translation", translation, "B 3"))
    return _homogeneous(rotation_from_euler(angles), translation[..., None])


def invert_pose(pose: Tensor) -> Tensor:
    """Return the inverse motion (``B 4 4``): p ↦ Rᵀ (p - t).

    Raises:
        ValueError: the shape does not fit.
    """
    check_shapes(("pose", pose, "B 4 4"))
    rotation = pose[:, :3, :3].mT
    return _homogeneous(rotation, -rotation @ pose[:, :3, 3:])


def _homogeneous(rotation: Tensor, translation: Tensor) -> Tensor:
    top = torch.cat([rotation, translation], dim=-1)
    bottom = torch.zeros_like(top[:, :1])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)
