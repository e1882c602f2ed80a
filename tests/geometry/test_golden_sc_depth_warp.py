"""Equality with the warps, Euler angles and normals of the released SC-Depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain import geometry


@pytest.fixture
def arrays(golden):
    return {n: torch.from_numpy(np.array(a)) for n, a in golden("sc_depth_warp.npz").items()}


def double(arrays, name):
    return arrays[name].double()


def test_euler_angles_turn_as_released(arrays):
    R = geometry.rotation_from_euler(double(arrays, "in_euler_big"))
    np.testing.assert_allclose(R, arrays["out_euler_big_R"], atol=1e-12)
    pose = double(arrays, "in_pose0")
    T = geometry.euler_pose_matrix(pose[:, 3:], pose[:, :3])
    np.testing.assert_allclose(T[:, :3], arrays["out_T0"], atol=1e-12)


def test_small_euler_angles_are_an_axis_angle_vector():
    angles = torch.tensor([[1e-4, -2e-4, 3e-4]], dtype=torch.float64)
    euler, axis = geometry.rotation_from_euler(angles), geometry.rotation_from_axis_angle(angles)
    np.testing.assert_allclose(euler, axis, atol=1e-7)


@pytest.mark.parametrize("i", [0, 1])
def test_warped_image_and_both_depths_equal_the_released_ones(arrays, i):
    pose = double(arrays, f"in_pose{i}")
    T = geometry.euler_pose_matrix(pose[:, 3:], pose[:, :3])
    pixels, z = geometry.source_pixels(double(arrays, "in_tgt_depth"), double(arrays, "in_intrinsics"), T)
    both = torch.cat([double(arrays, f"in_ref_img{i}"), double(arrays, f"in_ref_depth{i}")], 1)
    sampled = geometry.sample(both, pixels, "zeros", align_corners=False)
    np.testing.assert_allclose(sampled[:, :3], arrays[f"out_warped_img{i}"], atol=1e-9)
    np.testing.assert_allclose(sampled[:, 3:], arrays[f"out_projected_depth{i}"], atol=1e-9)
    np.testing.assert_allclose(z, arrays[f"out_computed_depth{i}"], atol=1e-9)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_the_turned_view_equals_the_released_one(arrays, padding):
    rotation = geometry.rotation_from_euler(double(arrays, "in_rot"))
    image, inside = geometry.warp_rotated(
        double(arrays, "in_ref_img0"), rotation, double(arrays, "in_intrinsics"), padding
    )
    np.testing.assert_allclose(image, arrays[f"out_rotation_warped_{padding}"], atol=1e-9)
    zeros = arrays["out_rotation_warped_zeros"]
    assert (zeros.abs().sum(1, keepdim=True) == 0)[inside].sum() == 0


def test_turning_by_nothing_changes_nothing(arrays):
    K = double(arrays, "in_intrinsics")
    source = double(arrays, "in_ref_img0")
    image, inside = geometry.warp_rotated(source, torch.eye(3).double().expand(2, 3, 3), K)
    np.testing.assert_allclose(image, source, atol=1e-5)
    assert inside[..., 1:-1, 1:-1].all()


def test_points_and_normals_equal_the_released_ones(arrays):
    depth, K = double(arrays, "in_tgt_depth"), double(arrays, "in_intrinsics")
    np.testing.assert_allclose(geometry.backproject(depth, K), arrays["out_points"], atol=1e-9)
    np.testing.assert_allclose(geometry.surface_normals(depth, K), arrays["out_normals"], atol=1e-9)


def test_a_tilted_plane_has_its_normal():
    K = torch.tensor([[[50.0, 0, 15.5], [0, 50.0, 11.5], [0, 0, 1]]], dtype=torch.float64)
    normal = torch.tensor([0.3, -0.5, 0.81], dtype=torch.float64)
    normal = normal / normal.norm()
    rays = torch.linalg.inv(K) @ geometry.pixel_grid(24, 32, dtype=torch.float64).flatten(1)
    depth = (4 / (normal @ rays[0])).view(1, 1, 24, 32)
    found = geometry.surface_normals(depth, K)[..., 2:-2, 2:-2]
    np.testing.assert_allclose(found, normal.view(1, 3, 1, 1).expand_as(found), atol=1e-3)
