"""Where pixels of one view are seen in another one: by depth and motion, and by optical flow."""

import pytest
import torch

from geopretrain.geometry import correspondence_by_depth, correspondence_by_flow, with_same_colour
from geopretrain.synthetic import make_world

CAMERA = torch.tensor([[[10.0, 0, 7.5], [0, 10, 5.5], [0, 0, 1]]])
SIZE = 12, 16


def wall(depth=5.0):
    return torch.full((1, 1, *SIZE), depth)


def sideways(metres):
    motion = torch.eye(4)[None]
    motion[:, 0, 3] = metres
    return motion


def test_a_wall_moves_by_focal_length_times_way_over_depth():
    flow, visible = correspondence_by_depth(wall(), wall(), CAMERA, sideways(1.0))
    assert torch.allclose(flow[:, 0][visible[:, 0]], torch.tensor(2.0), atol=1e-4)
    assert torch.allclose(flow[:, 1][visible[:, 0]], torch.tensor(0.0), atol=1e-4)
    assert visible[0, 0, :, :13].all(), "in view"
    assert not visible[0, 0, :, 14:].any(), "what leaves the picture is not"


def test_what_something_nearer_hides_is_not_visible():
    source = wall()
    source[..., 4:8, 6:9] = 2.0
    _, visible = correspondence_by_depth(wall(), source, CAMERA, sideways(1.0))
    assert not visible[0, 0, 5:7, 4:7].any()
    assert visible[0, 0, 9:, :13].all()


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf"), -1.0])
def test_what_has_no_depth_is_not_visible(bad):
    target, source = wall(), wall()
    target[..., 2, 3], source[..., 8, 9] = bad, bad
    flow, visible = correspondence_by_depth(target, source, CAMERA, sideways(0.0))
    assert not visible[0, 0, 2, 3]
    assert not visible[0, 0, 8, 9]
    assert visible.sum() > 12 * 16 - 12
    assert flow.isfinite().all()


def test_depths_of_single_views_are_brought_to_one_scale():
    assert not correspondence_by_depth(wall(), wall(7.0), CAMERA, sideways(1.0)).visible.any()
    found = correspondence_by_depth(wall(), wall(7.0), CAMERA, sideways(1.0), one_scale=False)
    assert found.visible[0, 0, :, :13].all()


def test_it_is_the_true_flow_of_a_street_where_the_street_stands_still():
    world = make_world("street", 5, 12, size=(64, 160))
    target, source = world.frame(4), world.frame(7)
    depths = [torch.from_numpy(frame.depth.copy()).float()[None, None] for frame in (target, source)]
    motion = torch.from_numpy(source.pose @ torch.tensor(target.pose).inverse().numpy()).float()[None]
    camera = torch.from_numpy(target.intrinsics).float()[None]
    flow, visible = correspondence_by_depth(*depths, camera, motion)
    true, seen = target.flow_to(source)
    true, seen = torch.from_numpy(true).permute(2, 0, 1), torch.from_numpy(seen)
    static = visible[0, 0] & ~torch.from_numpy(target.moving)
    assert static.float().mean() > 0.3
    error = (flow[0] - true).norm(dim=0)[static]
    assert error.median() < 0.02
    assert (error < 0.5).float().mean() > 0.99
    assert seen[static].float().mean() > 0.98, "what is hidden is told"


def test_flows_are_chained_and_what_does_not_come_back_is_lost():
    right = torch.zeros(1, 2, *SIZE)
    right[:, 0] = 1.5
    flow, visible = correspondence_by_flow([right, right], [-right, -right])
    assert torch.allclose(flow[:, 0], torch.tensor(3.0))
    assert visible[0, 0, :, :13].all()
    assert not visible[0, 0, :, 13:].any(), "left the picture on the way"
    lost = -right.clone()
    lost[..., 3, 8] = 4.0
    visible = correspondence_by_flow([right], [lost]).visible
    assert not visible[0, 0, 3, 6:8].any()
    assert visible[0, 0, 5:, :14].all()


def test_what_has_another_colour_is_not_the_same_point():
    right = torch.zeros(1, 2, *SIZE)
    right[:, 0] = 1
    points = correspondence_by_flow([right], [-right])
    target, source = torch.full((1, 3, *SIZE), 0.5), torch.full((1, 3, *SIZE), 0.5)
    source[:, 0, 4, 7], source[:, :, 8, 3] = 0.56, 0.56  # in red alone, and in all
    found = with_same_colour(points, target, source, 0.05)
    lost = (points.visible & ~found.visible)[0, 0].nonzero().tolist()
    assert lost == [[8, 2]]
    assert torch.equal(found.flow, points.flow)


def test_shapes_and_pairs_are_checked():
    with pytest.raises(ValueError, match="source_depth must have shape"):
        correspondence_by_depth(wall(), wall()[..., :5], CAMERA, sideways(0))
    with pytest.raises(ValueError, match="no pairs"):
        correspondence_by_flow([], [])
    with pytest.raises(ValueError, match="no pairs"):
        correspondence_by_flow([torch.zeros(1, 2, *SIZE)], [])
