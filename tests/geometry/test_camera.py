import math

import pytest
import torch

from geopretrain.geometry import (
    backproject,
    crop_intrinsics,
    disparity_to_depth,
    field_of_view,
    flip_intrinsics,
    intrinsics_from_fov,
    pixel_grid,
    project,
    resize_intrinsics,
)


def camera(*values, dtype=torch.float64):
    fx, fy, cx, cy = values
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=dtype)[None]


def test_pixel_grid_counts_columns_then_rows():
    grid = pixel_grid(2, 3)
    assert grid[0].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert grid[1].tolist() == [[0, 0, 0], [1, 1, 1]]
    assert grid[2].eq(1).all()


def test_backproject_by_hand():
    depth = torch.zeros(1, 1, 3, 4, dtype=torch.float64)
    depth[0, 0, 2, 3] = 6
    points = backproject(depth, camera(2, 3, 1, 1))
    # ((3 - 1) / 2, (2 - 1) / 3, 1) * 6
    assert torch.allclose(points[0, :, 2, 3], torch.tensor([6.0, 2.0, 6.0], dtype=torch.float64))
    assert points[0, :, 0, 0].eq(0).all()


def test_project_undoes_backproject():
    depth = torch.rand(2, 1, 5, 7, dtype=torch.float64) + 0.5
    intrinsics = camera(6, 5, 3.2, 1.7).expand(2, 3, 3)
    pixels, z = project(backproject(depth, intrinsics), intrinsics)
    assert torch.allclose(pixels, pixel_grid(5, 7, dtype=torch.float64)[:2].expand_as(pixels), atol=1e-5)
    assert torch.allclose(z, depth)


def test_golden_points_and_depth(golden):
    arrays = {name: torch.tensor(a) for name, a in golden("monodepth2_layers.npz").items() if a.ndim}
    depth, intrinsics = arrays["in_depth"].double(), arrays["in_K"][:, :3, :3].double()
    points = backproject(depth, intrinsics)
    assert torch.allclose(points.flatten(2), arrays["out_cam_points"][:, :3], atol=1e-9, rtol=1e-9)
    for name, far in (("kitti", 100), ("nyu", 10)):
        computed = disparity_to_depth(arrays["in_disp"].double(), 0.1, far)
        assert torch.allclose(computed, arrays[f"out_depth_{name}"], atol=0, rtol=1e-12)


def test_resizing_intrinsics_follows_the_pixels():
    """A point keeps its place in the picture: what was at u is at (u + 0.5) s - 0.5 afterwards."""
    point = torch.tensor([0.3, -0.2, 1.5], dtype=torch.float64)[None, :, None, None]
    original, _ = project(point, camera(100, 90, 50, 40))
    resized, _ = project(point, resize_intrinsics(camera(100, 90, 50, 40), (80, 100), (40, 25)))
    assert torch.allclose(resized[0, 0], (original[0, 0] + 0.5) * 0.25 - 0.5)
    assert torch.allclose(resized[0, 1], (original[0, 1] + 0.5) * 0.5 - 0.5)


def test_crop_and_flip_follow_the_pixels():
    point = torch.tensor([0.3, -0.2, 1.5], dtype=torch.float64)[None, :, None, None]
    original, _ = project(point, camera(100, 90, 50, 40))
    cropped, _ = project(point, crop_intrinsics(camera(100, 90, 50, 40), top=7, left=11))
    assert torch.allclose(
        original - cropped, torch.tensor([11.0, 7.0], dtype=torch.float64)[None, :, None, None]
    )
    mirrored = point * torch.tensor([-1.0, 1, 1])[:, None, None]
    flipped, _ = project(mirrored, flip_intrinsics(camera(100, 90, 50, 40), 100))
    assert torch.allclose(flipped[0, 0], 99 - original[0, 0])
    assert torch.allclose(flipped[0, 1], original[0, 1])


def test_field_of_view_and_back():
    intrinsics = intrinsics_from_fov(90, (100, 200))
    assert intrinsics[0, 0] == pytest.approx(100)
    horizontal, vertical = field_of_view(intrinsics, (100, 200)).tolist()
    assert horizontal == pytest.approx(90, abs=1e-4)
    assert vertical == pytest.approx(2 * math.degrees(math.atan(0.5)), abs=1e-4)
    with pytest.raises(ValueError, match="between 0 and 180"):
        intrinsics_from_fov(180, (100, 200))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"intrinsics must have shape \(B 3 3\) with B=2, got \(1, 3, 3\)"):
        backproject(torch.ones(2, 1, 4, 4), torch.eye(3)[None])
    with pytest.raises(ValueError, match=r"depth must have shape \(B 1 H W\), got \(2, 4, 4\)"):
        backproject(torch.ones(2, 4, 4), torch.eye(3)[None])


def test_gradients():
    depth = torch.rand(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    intrinsics = camera(3, 4, 1.4, 1.1).requires_grad_()
    assert torch.autograd.gradcheck(backproject, (depth, intrinsics))
    points = (torch.rand(1, 3, 2, 2, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(project, (points, intrinsics))
