"""The ray caster's parts against hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain.synthetic.cast import Camera, View
from geopretrain.synthetic.noise import inside, octaves, pulse, value_noise
from geopretrain.synthetic.primitives import (
    BOX,
    CYLINDER,
    SPHERE,
    hit_box,
    hit_cylinder,
    hit_sphere,
    unit_normals,
)
from geopretrain.synthetic.road import KERB, PAVEMENT, ROAD, Road
from geopretrain.synthetic.scene import Material, SceneBuilder, rotation, translation


def rays(*directions):
    return tuple(np.array(directions, np.float64).T)


def test_sphere_is_hit_one_radius_before_its_centre():
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = hit_sphere((0, 0, -5.0), rays((0, 0, 1), (0, 0.5, 1), (0, 0, -1)))
    np.testing.assert_allclose(depth, [4.0, np.inf, np.inf])


def test_box_face_edge_and_miss():
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = hit_box((0, 0, -5.0), rays((0, 0, 1), (0.24, 0, 1), (0.26, 0, 1), (0.19, 0.1, 1)))
    np.testing.assert_allclose(depth, [4.0, 4.0, np.inf, 4.0])
    assert np.isinf(hit_box((0.1, 0.1, 0.1), rays((0.1, 0.2, 1)))[0])  # from inside: behind the camera


def test_cylinder_side_and_cap():
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = hit_cylinder((0, 0, -5.0), rays((0, 0.1, 1), (0, 0.3, 1)))
        top = hit_cylinder((0, -3.0, 0.0), rays((0, 1, 0.1)))
    np.testing.assert_allclose(depth, [4.0, np.inf])
    np.testing.assert_allclose(top, [2.0])


def test_small_far_sphere_keeps_its_digits_in_float32():
    # radius 0.1 m at 80 m: unit coordinates of 800; the textbook b² - ac would lose the radius
    depth = hit_sphere((0, 0, -800.0), tuple(np.array([[0], [0], [10.0]], np.float32)))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [79.9], atol=1e-4)


def test_normals_of_each_kind():
    point = np.array([[1.0, 0.2, 0.1], [0.0, 0.6, 0.8], [0.6, 0.3, -0.8], [0.1, -1.0, 0.2]]).T
    kind = np.array([BOX, SPHERE, CYLINDER, CYLINDER])
    normal, face = unit_normals(kind, point, np.ones((3, 4)))
    np.testing.assert_allclose(normal.T, [[1, 0, 0], [0, 0.6, 0.8], [0.6, 0, -0.8], [0, -1, 0]])
    assert face.tolist() == [0, 3, 3, 1]


def test_flat_ellipsoid_normal_points_up():
    half = np.array([[2.0], [0.5], [2.0]])
    point = np.array([[0.6], [0.8], [0.0]])
    normal, _ = unit_normals(np.array([SPHERE]), point, half)
    expected = np.array([0.3, 1.6, 0.0])  # gradient of x²/4 + y²/0.25 along (1.2, 0.4)
    np.testing.assert_allclose(normal[:, 0], expected / np.linalg.norm(expected))


def test_depth_of_a_known_box_in_a_picture():
    builder = SceneBuilder(("box",))
    pose = translation(0.5, 0.0, 10.0)
    pose[:3, :3] = rotation(1, 0.0)
    builder.solid(BOX, builder.place(pose), "box", Material((0.5, 0.5, 0.5)), (0, 0, 0), (2.0, 1.0, 4.0))
    scene = builder.build(np.array([0, -1.0, 0]))
    camera = Camera(np.eye(4), np.array([[100, 0, 50], [0, 100, 30], [0, 0, 1.0]]), (61, 101))
    ids, depth = View(scene, None, camera, 0.0).cast()
    # front face at z = 8 m, x in [-0.5, 1.5] m, y in [-0.5, 0.5] m
    rows, columns = np.nonzero(ids == 0)
    assert (columns.min(), columns.max()) == (44, 68)
    assert (rows.min(), rows.max()) == (24, 36)
    np.testing.assert_allclose(depth[ids == 0], 8.0, rtol=1e-6)
    assert np.isinf(depth[ids != 0]).all()


def test_small_and_large_solids_meet_the_same_depth():
    # the batched way for small solids and the one-by-one way for large ones must agree
    builder = SceneBuilder(("ball",))
    for number in range(30):
        place = builder.place(
            translation(0.3 * (number % 6) - 0.75, 0.3 * (number // 6) - 0.6, 4.0 + 0.1 * number)
        )
        kind = (BOX, SPHERE, CYLINDER)[number % 3]
        builder.solid(kind, place, "ball", Material((0.5, 0.5, 0.5)), (0, 0, 0), (0.4, 0.5, 0.3))
    scene = builder.build(np.array([0, -1.0, 0]))
    camera = Camera(np.eye(4), np.array([[90, 0, 50], [0, 90, 30], [0, 0, 1.0]]), (61, 101))
    view = View(scene, None, camera, 0.0)
    ids, depth = view.cast()
    v, u = np.indices(ids.shape)
    every = [
        view.hit(index, *(a.astype(np.float32) for a in camera.normalised(u, v)))[0] for index in range(30)
    ]
    np.testing.assert_allclose(depth, np.min(every, axis=0), rtol=1e-5)


def test_road_pavement_and_kerb_of_a_straight_road():
    road = Road([], half=5.0, pavement=2.0)
    eye = (0.0, -1.65, 0.0)
    # ahead: the road at 1.65 / 0.1 m; aside: the pavement, 0.13 m higher; between: the upright kerb at x = 5
    depth, part = road.hit(eye, rays((0, 0.1, 1), (0.4, 0.1, 1), (0.31, 0.1, 1)))
    np.testing.assert_allclose(depth, [16.5, 15.2, 5 / 0.31], rtol=1e-6)
    assert part.tolist() == [ROAD, PAVEMENT, PAVEMENT]
    assert -KERB < -1.65 + 0.1 * depth[2] < 0
    point = np.array([[5.0], [-0.06], [16.0]])
    np.testing.assert_allclose(road.normals(point, np.array([PAVEMENT]))[:, 0], [-1, 0, 0])


def test_points_on_a_winding_road_lie_on_its_surface():
    road = Road([(8.0, 250.0, 1.0), (2.0, 90.0, 2.0)], half=5.0, pavement=2.0)
    random = np.random.default_rng(0)
    directions = np.stack([random.uniform(-0.8, 0.8, 500), random.uniform(0.05, 0.3, 500), np.ones(500)])
    depth, part = road.hit((0.0, -1.65, 0.0), tuple(directions))
    point = np.array([[0.0], [-1.65], [0.0]]) + depth * directions
    across = np.abs(road.across(point[0], point[2]))
    kerb = (part == PAVEMENT) & (point[1] > -KERB + 1e-6)
    np.testing.assert_allclose(point[1, part == ROAD], 0, atol=1e-9)
    assert (across[part == ROAD] <= 5.0 + 1e-6).all()
    np.testing.assert_allclose(across[kerb], 5.0, atol=1e-3)
    assert kerb.sum() > 3


def test_pulse_is_the_mean_over_the_footprint():
    x = np.array([0.1, 0.6, 0.5, 7.25])
    np.testing.assert_allclose(pulse(x, 0.5, np.full(4, 1e-3)), [1, 0, 0.5, 1], atol=1e-6)
    np.testing.assert_allclose(pulse(x, 0.3, np.full(4, 1.0)), 0.3)  # a whole period: the duty
    np.testing.assert_allclose(inside(np.array([0.0, 0.5]), -1.0, 0.5, np.array([0.1, 0.2])), [1.0, 0.5])


def test_noise_is_smooth_and_fades_with_the_footprint():
    u = np.linspace(0, 20, 4001, dtype=np.float32)
    v = np.full_like(u, 3.3)
    noise = value_noise(u, v)
    assert np.abs(np.diff(noise)).max() < 0.02
    assert noise.std() > 0.2
    sharp, blurred, gone = (
        octaves(u, v, np.full_like(u, w), np.full_like(u, w)).std() for w in (0.001, 0.3, 2.0)
    )
    assert sharp > blurred > gone == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rotations_are_right_handed(axis):
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    np.testing.assert_allclose(rotation(axis, np.pi / 2) @ np.eye(3)[first], np.eye(3)[second], atol=1e-12)
