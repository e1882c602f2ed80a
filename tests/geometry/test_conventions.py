"""Each line of docs/conventions.md is pinned by the test it names."""

import re
from pathlib import Path

import pytest
import torch

from geopretrain.geometry import (
    backproject,
    crop_intrinsics,
    disparity_to_depth,
    field_of_view,
    flip_intrinsics,
    pixel_grid,
    pose_matrix,
    project,
    resize_intrinsics,
    rigid_flow,
    rotation_from_axis_angle,
    sample,
    warp,
    warp_flow,
)

PAGE = Path(__file__).parents[2] / "docs" / "conventions.md"
CAMERA = torch.tensor([[[10.0, 0, 4], [0, 20, 2], [0, 0, 1]]])


def test_every_line_names_a_test_that_exists():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    lines = [line for line in rows if line != "| convention | pinned by |"]
    named = [re.search(r"`(test_convention_\w+)`", line) for line in lines]
    assert lines
    assert all(named), [line for line, name in zip(lines, named, strict=True) if not name]
    tests = "".join(path.read_text() for path in PAGE.parents[1].glob("tests/**/test_*.py"))
    missing = [name.group(1) for name in named if f"def {name.group(1)}(" not in tests]
    assert not missing
    pinned = set(re.findall(r"^def (test_convention_\w+)\(", Path(__file__).read_text(), re.M))
    assert pinned == {name.group(1) for name in named} & pinned


def test_convention_camera_axes_are_right_down_forward():
    points = backproject(torch.ones(1, 1, 5, 9), CAMERA)
    assert (points[0, 0, :, 5:] > 0).all()
    assert (points[0, 1, 3:] > 0).all()
    assert (points[0, 2] == 1).all()


def test_convention_pixel_centres_are_integers():
    grid = pixel_grid(3, 4)
    assert grid[:, 0, 0].tolist() == [0, 0, 1]
    assert grid[:, 2, 3].tolist() == [3, 2, 1]
    image = torch.rand(1, 1, 3, 4)
    assert torch.allclose(sample(image, grid[None, :2]), image, atol=1e-6)


def test_convention_positions_are_x_y_and_sizes_h_w():
    pixels, _ = project(torch.tensor([3.0, 1.0, 1.0])[None, :, None, None], CAMERA)
    assert pixels.flatten().tolist() == pytest.approx([34, 22])
    horizontal, vertical = field_of_view(CAMERA[0], (5, 100)).tolist()
    assert horizontal > vertical


def test_convention_resize_keeps_the_image_border():
    resized = resize_intrinsics(CAMERA, (5, 9), (10, 27))[0]
    assert resized[0].tolist() == pytest.approx([30, 0, 4.5 * 3 - 0.5])
    assert resized[1].tolist() == pytest.approx([0, 40, 2.5 * 2 - 0.5])
    assert torch.allclose(field_of_view(resized, (10, 27)), field_of_view(CAMERA[0], (5, 9)))


def test_convention_crop_subtracts_the_offset():
    assert crop_intrinsics(CAMERA, top=1, left=3)[0, :2, 2].tolist() == [1, 1]


def test_convention_flip_mirrors_the_principal_point():
    assert flip_intrinsics(CAMERA, width=9)[0, :, 2].tolist() == [9 - 1 - 4, 2, 1]


def test_convention_depth_is_along_the_axis_not_the_ray():
    assert backproject(torch.full((1, 1, 5, 9), 7.0), CAMERA)[0, 2].eq(7).all()


def test_convention_depth_zero_is_no_measurement():
    depth = torch.ones(1, 1, 5, 9)
    depth[0, 0, 2, 4] = 0
    _, valid = warp(torch.rand(1, 3, 5, 9), depth, CAMERA, torch.eye(4)[None])
    assert not valid[0, 0, 2, 4]
    assert valid[0, 0, 2, 3]


def test_convention_pose_maps_target_points_into_the_source():
    """The source camera stands one unit ahead: what is 5 away from the target is 4 away from it."""
    pose = pose_matrix(torch.zeros(1, 3), torch.tensor([[0.0, 0, -1]]))
    _, z = rigid_flow(torch.full((1, 1, 5, 9), 5.0), CAMERA, pose)
    assert torch.allclose(z, torch.full_like(z, 4))


def test_convention_rotation_is_active_and_right_handed():
    """Turning about y (down) by a positive angle takes z (forward) to x (right)."""
    rotation = rotation_from_axis_angle(torch.tensor([[0, torch.pi / 2, 0]]))[0]
    assert torch.allclose(rotation @ torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]), atol=1e-6)


def test_convention_flow_goes_from_target_to_source():
    source = torch.zeros(1, 1, 5, 9)
    source[0, 0, 3, 6] = 1
    flow = torch.tensor([2.0, 1.0])[None, :, None, None].expand(1, 2, 5, 9)
    warped, _ = warp_flow(source, flow)
    assert warped[0, 0, 2, 4] == pytest.approx(1)
    assert warped.sum() == pytest.approx(1, abs=1e-4)


def test_convention_sampling_aligns_corners():
    image = torch.arange(4.0)[None, None, None].expand(1, 1, 2, 4)
    pixels = torch.tensor([1.25, 0.5])[None, :, None, None]
    assert sample(image, pixels).item() == pytest.approx(1.25)


def test_convention_outside_the_view_repeats_the_border():
    image = torch.arange(4.0)[None, None, None].expand(1, 1, 2, 4)
    pixels = torch.tensor([9.0, 0])[None, :, None, None]
    assert sample(image, pixels).item() == 3
    assert sample(image, pixels, "zeros").item() == 0


def test_convention_disparity_is_inverse_depth():
    sigmoid = torch.tensor([0.0, 0.5, 1.0])
    disparity = 1 / disparity_to_depth(sigmoid, 0.5, 4)
    assert disparity.tolist() == pytest.approx([1 / 4, (1 / 4 + 2) / 2, 2])
