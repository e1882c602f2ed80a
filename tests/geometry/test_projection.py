"""Projection in inverse depth against points in space, and where there is no depth."""

from __future__ import annotations

import pytest
import torch
from odd_scenes import SIZE, scene
from tolerances import assert_near

from geopretrain.geometry import (
    inverse_depth_projection,
    pose_matrix,
    project_inverse_depth,
    source_pixels,
)
from geopretrain.geometry.camera import PROJECTION_EPSILON


def test_it_is_the_projection_of_points_in_space(dtype, device):
    """Also with a camera of its own for each source."""
    height, width = SIZE
    depth = 1 + 3 * torch.rand(2, 1, height, width, device=device, dtype=dtype)
    own = torch.tensor([[width, 0, width / 2.1], [0, width, height / 1.9], [0, 0, 1]])
    own, other = (camera.to(device, dtype).expand(2, 3, 3) for camera in (own, own * torch.tensor([1.2])))
    other = torch.cat([other[:, :2], own[:, 2:]], 1)
    pose = pose_matrix(*(0.1 * torch.rand(2, 3, device=device, dtype=dtype) for _ in range(2)))
    projection = inverse_depth_projection(own, pose[:, None], SIZE, other[:, None])
    found = project_inverse_depth(1 / depth, projection)
    pixels, z = source_pixels(depth, own, pose, other)
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=device, dtype=dtype)[:, None, None]
    assert_near(found.positions[:, 0], pixels / middle - 1)
    assert_near(found.z[:, 0] * depth, z + PROJECTION_EPSILON)
    assert_near(
        inverse_depth_projection(own, pose[:, None], SIZE, own[:, None]),
        inverse_depth_projection(own, pose[:, None], SIZE),
    )


@pytest.mark.parametrize("value", [0.0, -0.5, float("nan"), float("inf"), float("-inf")])
def test_without_an_inverse_depth_a_pixel_is_infinitely_far_and_not_in_view(value, dtype, device):
    depth, projection, _, _ = scene(0, dtype, device)
    inverse = 1 / depth
    far = inverse.clone()
    inverse[:, :, 3], far[:, :, 3] = value, 1e-30
    inverse, projection = inverse.requires_grad_(), projection.requires_grad_()
    found, expected = project_inverse_depth(inverse, projection), project_inverse_depth(far, projection)
    assert_near(found.positions, expected.positions)
    assert not found.in_view[..., 3, :].any()
    by_inverse, by_projection = torch.autograd.grad(found.positions.sum(), (inverse, projection))
    assert (by_inverse[:, :, 3] == 0).all()
    assert by_inverse.isfinite().all()
    assert by_projection.isfinite().all()


def test_shapes_are_checked():
    intrinsics, poses = torch.eye(3)[None], torch.eye(4)[None, None]
    with pytest.raises(ValueError, match="at least 2 px high and wide, got 1 x 24"):
        inverse_depth_projection(intrinsics, poses, (1, 24))
    with pytest.raises(ValueError, match=r"T_target_to_sources must have shape \(B N 4 4\) with B=1"):
        inverse_depth_projection(intrinsics, poses.repeat(2, 1, 1, 1), (4, 4))
    with pytest.raises(ValueError, match=r"source_intrinsics must have shape \(B N 3 3\) with B=1, N=1"):
        inverse_depth_projection(intrinsics, poses, (4, 4), torch.eye(3).repeat(1, 2, 1, 1))
    with pytest.raises(ValueError, match=r"projection must have shape \(B N 3 4\) with B=1"):
        project_inverse_depth(torch.ones(1, 1, 4, 4), torch.zeros(2, 1, 3, 4))
