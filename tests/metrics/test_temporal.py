"""Steadiness of depth: maps moved by poses and by flow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geopretrain.errors import DataError
from geopretrain.metrics.temporal import alignment_error, flow_change, moved_depth

K = np.array([[40.0, 0, 20], [0, 40, 15], [0, 0, 1]])
SIZE = (31, 41)


def ahead(metres):
    """Return the motion of points where the camera goes ahead."""
    T = np.eye(4)
    T[2, 3] = -metres
    return T


def test_a_wall_comes_nearer_as_the_camera_goes_ahead():
    moved = moved_depth(np.full(SIZE, 4.0), K, ahead(1.0))
    assert set(np.unique(moved)) <= {0.0, 3.0}
    assert (moved == 3.0).mean() > 0.5
    assert (moved_depth(np.full(SIZE, 4.0), K, np.eye(4)) == 4.0).all()
    assert not moved_depth(np.full(SIZE, 4.0), K, ahead(5.0)).any()  # behind the camera


def test_of_several_points_on_a_pixel_the_nearest_stays():
    depth = np.zeros(SIZE)
    depth[15, 20], depth[15, 22] = 8.0, 2.0
    T = np.eye(4)
    T[0, 3] = -0.1  # 2 px at 2 m, 0.5 px at 8 m
    moved = moved_depth(depth, K, T)
    assert moved[15, 20] == 2.0


def test_true_depth_of_both_frames_is_steady_and_another_scale_is_not():
    first, second, T = np.full(SIZE, 4.0), np.full(SIZE, 3.0), ahead(1.0)
    assert alignment_error(first, second, K, T) == pytest.approx(0)
    # 8 m against 3 m moved: 7 m there for 6 m, and 7 m for 8 m
    assert alignment_error(2 * first, 2 * second, K, T) == pytest.approx((1 / 6 + 1 / 8) / 2)
    assert math.isnan(alignment_error(np.zeros(SIZE), second, K, T))
    with pytest.raises(DataError, match="one size"):
        alignment_error(first, second[:5], K, T)


def test_flicker_is_found_whatever_the_unit():
    disparity = np.random.default_rng(0).uniform(0.1, 1, SIZE)
    still = np.zeros((2, *SIZE))
    assert flow_change(disparity, disparity, still, still) == pytest.approx(0, abs=1e-6)
    assert flow_change(disparity, 1.1 * disparity, still, still) == pytest.approx(math.log(1.1), rel=1e-4)
    assert flow_change(7 * disparity, 7.7 * disparity, still, still) == pytest.approx(math.log(1.1), rel=1e-4)


def test_pixels_move_with_the_flow_and_those_that_cannot_be_followed_do_not_count():
    disparity = np.random.default_rng(0).uniform(0.1, 1, SIZE)
    flow = np.zeros((2, *SIZE))
    flow[0] = 3
    shifted = np.roll(disparity, 3, 1)
    assert flow_change(disparity, shifted, flow, -flow) == pytest.approx(0, abs=1e-6)
    assert flow_change(disparity, disparity, flow, -flow) > 0.1
    assert math.isnan(flow_change(disparity, disparity, flow, 0 * flow))  # the way back leads elsewhere
    spoilt = shifted.copy()
    spoilt[:5] = 0
    assert flow_change(disparity, spoilt, flow, -flow) == pytest.approx(0, abs=1e-6)
    with pytest.raises(DataError, match="one size"):
        flow_change(disparity, disparity[:4], flow, flow)
