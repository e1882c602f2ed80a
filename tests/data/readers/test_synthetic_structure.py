"""Depth boundaries and planes of synthetic worlds, where they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain.data.readers.synthetic import open_synthetic
from geopretrain.metrics.planes import planarity_error

ROOMS = "synthetic:rooms?frames=3&seed=950&height=96&width=144&stereo=0"


@pytest.fixture(scope="module")
def clip():
    return open_synthetic(f"{ROOMS}&structure=1")[0]


def test_nothing_is_known_of_structure_unless_it_is_asked_for(clip):
    (plain,) = open_synthetic(ROOMS)
    assert plain.structure(0) is None
    assert plain.path == clip.path, "the same world, also to what was kept of it"
    assert (plain.depth(0) == clip.depth(0)).all()


def test_every_plane_is_one(clip):
    found = clip.structure(0)
    assert {"wall", "floor"} <= {plane.kind for plane in found.planes}
    depth = clip.depth(0)
    large = [plane for plane in found.planes if plane.mask.sum() > 0.05 * depth.size]
    assert len(large) > 1
    for plane in large:
        numbers = planarity_error(depth, depth, plane, found.intrinsics)
        assert numbers["flatness_cm"] < 1e-3
        assert numbers["orientation_deg"] == pytest.approx(0, abs=1e-3)


def test_depth_jumps_at_boundaries_and_nowhere_else(clip):
    edges, depth = clip.structure(0).edges, clip.depth(0).astype(np.float64)
    assert 0.005 < edges.mean() < 0.2
    farther = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        for step in (1, -1):
            beside = np.roll(depth, step, axis)
            inside = np.ones(depth.shape, bool)
            rim = [slice(None), slice(None)]
            rim[axis] = 0 if step == 1 else -1
            inside[tuple(rim)] = False
            farther |= inside & (beside > 1.1 * depth)
    assert not (edges & ~farther).any(), "an edge is a pixel beside which something farther is seen"
    steep = farther & ~edges
    assert steep.sum() < edges.sum(), "what is left is a steep view of one surface"


def test_a_street_has_boundaries_and_nothing_flat():
    (street,) = open_synthetic("synthetic:street?frames=1&height=64&width=96&stereo=0&structure=1")
    found = street.structure(0)
    assert found.planes == []
    assert found.edges.any()
