"""The ruler: depth, pose, flow, disparity and pictures of a world agree, also with the geometry room."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain.geometry.warp import rigid_flow, warp
from geopretrain.synthetic import make_world

KINDS = ["street", "rooms"]


def tensors(frame, other):
    """Image of ``other``, depth, intrinsics and relative pose of ``frame``, as double tensors of batch 1."""
    image = torch.from_numpy(other.image.astype(np.float64) / 255).permute(2, 0, 1)[None]
    depth = torch.from_numpy(frame.depth.astype(np.float64))[None, None]
    relative = torch.from_numpy(other.pose @ np.linalg.inv(frame.pose))[None]
    return image, depth, torch.from_numpy(frame.intrinsics)[None], relative


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2, 8, 21])
def test_true_depth_and_pose_warp_the_neighbour_onto_the_target(kind, seed):
    world = make_world(kind, seed, 60, (96, 320))
    target = world.frame(31)
    for source in (world.frame(30), world.frame(32)):
        warped, valid = warp(*tensors(target, source))
        _, visible = target.flow_to(source)
        mask = visible & ~target.moving & valid[0, 0].numpy() & (target.depth > 0)
        picture = target.image.astype(np.float64).transpose(2, 0, 1) / 255
        error = np.abs(warped[0].numpy() - picture).mean(0)
        unmoved = np.abs(source.image / 255.0 - target.image / 255.0).mean(-1)
        assert mask.mean() > 0.5
        assert error[mask].mean() < 0.02
        assert error[mask].mean() < 0.5 * unmoved[mask].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_larger_pictures_warp_as_well(kind):
    world = make_world(kind, 3, 12, (192, 640))
    target, source = world.frame(9), world.frame(10)
    warped, valid = warp(*tensors(target, source))
    mask = target.flow_to(source)[1] & ~target.moving & valid[0, 0].numpy() & (target.depth > 0)
    error = np.abs(warped[0].numpy().transpose(1, 2, 0) - target.image / 255.0).mean(-1)
    assert error[mask].mean() < 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, -3])
def test_flow_from_depth_and_pose_is_the_true_flow_where_nothing_moves(kind, step):
    world = make_world(kind, 11, 40, (96, 320))
    frame, other = world.frame(20), world.frame(20 + step)
    flow, _ = frame.flow_to(other)
    expected, z = rigid_flow(*tensors(frame, other)[1:])
    static = ~frame.moving & (frame.depth > 0) & (z[0, 0].numpy() > 0.5)
    difference = np.abs(flow - expected[0].permute(1, 2, 0).numpy())[static]
    assert static.mean() > 0.3
    assert difference.max() < 0.01


def test_mean_motion_suits_neighbouring_frames():
    for kind in KINDS:
        motion = []
        for seed in range(4):
            world = make_world(kind, seed, 60, (96, 320))
            flow, visible = world.frame(25).flow_to(world.frame(26))
            motion.append(np.linalg.norm(flow, axis=-1)[visible].mean())
        assert 1.5 < np.mean(motion) < 6.0


def moving_pair(kind):
    """Two neighbouring frames in which something that moves is seen well."""
    for seed in range(10):
        world = make_world(kind, seed, 60, (96, 320))
        for index in (10, 30, 50):
            frame = world.frame(index)
            if frame.moving.sum() > 100:
                return frame, world.frame(index + 1)
    raise AssertionError("no moving object in sight")


@pytest.mark.parametrize("kind", KINDS)
def test_flow_of_moving_objects_carries_their_points_along(kind):
    frame, other = moving_pair(kind)
    world = frame.world
    flow, visible = frame.flow_to(other)
    ids = frame.hits[0]
    points = frame.points()
    before = world.scene.poses(world.scene.object_poses(frame.index))
    after = world.scene.poses(world.scene.object_poses(other.index))
    rigid = rigid_flow(*tensors(frame, other)[1:])[0][0].permute(1, 2, 0).numpy()
    rows, columns = np.nonzero(frame.moving)
    for row, column in list(zip(rows, columns, strict=True))[::37]:
        solid = ids[row, column]
        here = np.append(points[:, row, column], 1.0)
        there = other.pose @ after[solid] @ np.linalg.solve(before[solid], here)
        pixel = world.intrinsics @ there[:3] / there[2]
        np.testing.assert_allclose(flow[row, column], pixel[:2] - (column, row), atol=1e-3)
    moved = frame.moving & visible
    assert np.abs(flow - rigid)[moved].max() > 0.2  # they do move by themselves
    # what is visible must land on the same instance (up to outlines), at the depth the motion says
    target = np.rint(np.stack(np.nonzero(moved), 1) + flow[moved][:, ::-1]).astype(int)
    target = np.clip(target, 0, np.array(world.size) - 1)
    same = other.instance[target[:, 0], target[:, 1]] == frame.instance[moved]
    assert same.mean() > 0.85


@pytest.mark.parametrize("kind", KINDS)
def test_flow_there_and_back_meets(kind):
    world = make_world(kind, 9, 30, (96, 320))
    frame, other = world.frame(10), world.frame(12)
    flow, visible = frame.flow_to(other)
    back, _ = other.flow_to(frame)
    v, u = np.indices(world.size)
    x, y = u + flow[..., 0], v + flow[..., 1]
    near_x, near_y = np.clip(np.rint(x), 0, 319).astype(int), np.clip(np.rint(y), 0, 95).astype(int)
    gap = np.linalg.norm(flow + back[near_y, near_x], axis=-1)
    hidden = ~visible & (x >= 0) & (x <= 319) & (y >= 0) & (y <= 95)
    assert np.median(gap[visible]) < 0.1
    assert np.mean(gap[visible] < 1.0) > 0.95
    if hidden.sum() > 50:  # hidden points come back to what hides them
        assert np.mean(gap[hidden]) > 3 * np.mean(gap[visible])


def test_sky_flows_with_the_rotation_only():
    world = make_world("street", 12, 30, (96, 320))
    frame, other = world.frame(10), world.frame(14)
    sky = frame.depth == 0
    flow, _ = frame.flow_to(other)
    turn = other.pose[:3, :3] @ frame.pose[:3, :3].T
    v, u = np.nonzero(sky)
    far = world.intrinsics @ turn @ np.linalg.inv(world.intrinsics) @ np.stack([u, v, np.ones_like(u)])
    np.testing.assert_allclose(flow[sky], (far[:2] / far[2]).T - np.stack([u, v], 1), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_stereo_disparity_is_focal_times_baseline_over_depth(kind):
    world = make_world(kind, 6, 5, (96, 320))
    left = world.frame(2)
    right = left.right()
    flow, visible = left.flow_to(right)
    solid = left.depth > 0
    expected = world.intrinsics[0, 0] * world.baseline / left.depth[solid]
    np.testing.assert_allclose(left.disparity()[solid], expected, rtol=1e-5)
    np.testing.assert_allclose(-flow[solid][:, 0], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(flow[solid][:, 1], 0, atol=1e-3)
    image, depth, intrinsics, relative = tensors(left, right)
    assert np.array_equal(left.stereo(), right.image)
    warped, valid = warp(image, depth, intrinsics, relative)
    mask = (
        visible & solid & valid[0, 0].numpy()
    )  # moving objects count as well: both pictures are of one moment
    assert np.abs(warped[0].numpy().transpose(1, 2, 0) - left.image / 255.0).mean(-1)[mask].mean() < 0.02


def test_lidar_is_a_sparse_part_of_the_depth_in_rows():
    frame = make_world("street", 5, 5, (96, 320)).frame(1)
    sparse = frame.lidar()
    hit = sparse > 0
    assert 0.02 < hit.mean() < 0.6
    assert np.array_equal(sparse[hit], frame.depth[hit])
    assert sparse.max() <= 80.0
    assert np.array_equal(sparse, frame.lidar())
    few = frame.lidar(beams=16, dropout=0.0)
    rows = np.flatnonzero((few > 0)[:, 150:170].any(1))
    assert 4 <= rows.size <= 16
    assert (np.diff(rows) >= 2).all()
