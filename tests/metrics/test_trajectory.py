"""Errors of camera motion by hand: what scale changes and what it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geopretrain.metrics.trajectory import (
    aligned,
    direction_errors,
    positions,
    rotation_errors,
    snippet_errors,
    trajectory_error,
)


def moved(x=0.0, y=0.0, z=0.0, degrees=(0.0, 0.0, 0.0)):
    """Motion of points where the camera goes to (x, y, z) and turns."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    pose[:3, 3] = x, y, z
    return np.linalg.inv(pose)


def walk(count=9, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(count, 6))
    return np.stack([moved(*step[:3], degrees=10 * step[3:]) for step in numbers])


def scaled(motions, factor):
    return np.array([[[*r[:3], factor * r[3]] for r in m[:3]] + [[0, 0, 0, 1]] for m in motions])


def test_positions_are_those_of_the_cameras():
    turning = [moved(z=1, degrees=(0, 90, 0)), moved(z=1)]  # forward, to the right, forward
    assert np.allclose(positions(turning), [(0, 0, 0), (0, 0, 1), (1, 0, 1)])


def test_angles_between_motions():
    true = np.stack([moved(z=1), moved(z=1, degrees=(0, 30, 0)), moved()])
    predicted = np.stack([moved(x=5), moved(z=0.1, degrees=(0, 10, 0)), moved(x=1, degrees=(0, 0, 180))])
    assert rotation_errors(predicted, true) == pytest.approx([0, 20, 180], abs=1e-6)
    assert direction_errors(predicted, true)[:2] == pytest.approx([90, 0], abs=1e-4)
    assert math.isnan(direction_errors(predicted, true)[2])  # the camera stands


def test_snippets_as_the_released_scripts_have_them():
    ahead, sideways = np.stack([moved(z=1)] * 5), np.stack([moved(x=1)] * 5)
    assert snippet_errors(scaled(ahead, 7), ahead) == pytest.approx([0, 0])
    # positions 0 1 2 3 4 that no factor explains: root of their squares over five frames
    assert snippet_errors(sideways, ahead) == pytest.approx([30**0.5 / 5] * 2)
    assert snippet_errors(ahead[:3], ahead[:3]).size == 0  # four frames are no snippet
    standing = np.stack([np.eye(4)] * 4)
    assert snippet_errors(standing, ahead[:4]) == pytest.approx([30**0.5 / 5])


def test_a_trajectory_is_right_up_to_a_similarity():
    true = walk()
    assert trajectory_error(scaled(true, 0.2), true) == pytest.approx((0, 0), abs=1e-9)
    error, relative = trajectory_error(walk(seed=1), true)
    way = np.linalg.norm(np.diff(positions(true), axis=0), axis=1).sum()
    assert error == pytest.approx(relative * way)
    assert relative > 0.05
    assert all(map(math.isnan, trajectory_error(true[:3], true[:3])))


def test_no_other_similarity_is_nearer():
    points, target = positions(walk(seed=2)), positions(walk(seed=3))
    target[:, 0] *= -1  # a mirror image would fit better, and is no similarity
    found = aligned(points, target)
    best, rng = ((found - target) ** 2).sum(), np.random.default_rng(0)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(50):
            turn = Rotation.from_rotvec(size * rng.normal(size=3)).as_matrix()
            other = (1 + size * rng.normal()) * found @ turn.T + size * rng.normal(size=3)
            assert ((other - target) ** 2).sum() >= best
    distances = np.linalg.norm(np.diff(found, axis=0), axis=1) / np.linalg.norm(
        np.diff(points, axis=0), axis=1
    )
    assert distances == pytest.approx([distances[0]] * len(distances))
