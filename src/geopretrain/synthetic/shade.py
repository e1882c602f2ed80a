"""The colour of each hit: texture at the right footprint, one fixed sun, haze, and the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geopretrain.synthetic.cast import SKY, Ids, View
from geopretrain.synthetic.noise import Float, octaves
from geopretrain.synthetic.patterns import PATTERNS, Surface
from geopretrain.synthetic.primitives import unit_normals
from geopretrain.synthetic.scene import Scene


@dataclass(frozen=True)
class Light:
    """Lambert light: independent of the viewer, so that a surface keeps its colour from frame to frame.

    Attributes:
        ambient: RGB light from everywhere.
        sun: RGB light of the sun at normal incidence.
        haze: depth in m at which 63 % of a colour has faded to the horizon's; infinite indoors.
        horizon, zenith: RGB of the sky.
        clouds: 0 (none) to 1.
        lamp: position (m, world) of a lamp that takes the sun's place indoors.
    """

    ambient: tuple[float, float, float]
    sun: tuple[float, float, float]
    haze: float = np.inf
    horizon: tuple[float, float, float] = (0.8, 0.85, 0.9)
    zenith: tuple[float, float, float] = (0.4, 0.6, 0.85)
    clouds: float = 0.5
    lamp: tuple[float, float, float] | None = None


class MaterialTable:
    """The scene's materials as arrays, one column per solid."""

    def __init__(self, scene: Scene) -> None:
        names = list(PATTERNS)
        materials = scene.materials
        self.pattern = np.array([names.index(m.pattern) for m in materials], np.int16)
        self.colour = np.array([m.colour for m in materials], np.float32).T
        self.second = np.array([m.second or m.colour for m in materials], np.float32).T
        self.params = np.zeros((6, len(materials)), np.float32)
        for column, material in enumerate(materials):
            self.params[: len(material.params), column] = material.params
        self.contrast = np.array([m.contrast for m in materials], np.float32)
        self.grain = np.array([m.grain for m in materials], np.float32).T
        self.seed = np.array([m.seed % 101.0 for m in materials], np.float32)


def shade(
    view: View, table: MaterialTable, light: Light, ids: Ids, depth: Float, x: Float, y: Float
) -> Float:
    """Colours ``3 N`` in [0, 1] of hits (``N`` ids, depths) along the camera rays ``(x, y, 1)``."""
    # sorted by pattern, so that each pattern works on one slice
    order = np.argsort(np.append(table.pattern, np.int16(-1))[ids], kind="stable")
    ids, depth, x, y = ids[order], depth[order], x[order], y[order]
    first = int(np.count_nonzero(ids == SKY))
    sorted_ = np.empty((3, ids.size), np.float32)
    if first:
        sorted_[:, :first] = _sky(view, light, x[:first], y[:first])
    if first < ids.size:
        sorted_[:, first:] = _lit(view, table, light, ids[first:], depth[first:], x[first:], y[first:])
    colour = np.empty_like(sorted_)
    colour[:, order] = np.clip(sorted_, 0.0, 1.0)
    return colour


def _lit(view: View, table: MaterialTable, light: Light, ids: Ids, depth: Float, x: Float, y: Float) -> Float:
    scene = view.scene
    half = np.take(scene.half.T.astype(np.float32), ids, axis=1)
    matrices = (view.matrix * scene.half[:, :, None]).astype(np.float32).reshape(len(view.matrix), 9)
    rows = np.take(matrices.T, ids, axis=1)
    start = np.take((view.origin * scene.half).T.astype(np.float32), ids, axis=1)
    ray = np.stack([rows[3 * k] * x + rows[3 * k + 1] * y + rows[3 * k + 2] for k in range(3)])
    point = start + depth * ray
    normal, face = unit_normals(scene.kind[ids], point / half, half)
    parts = 0 if view.ground is None else view.ground.parts
    onground = np.flatnonzero(ids < parts)
    if view.ground is not None and onground.size:
        normal[:, onground] = view.ground.normals(point[:, onground], ids[onground])
    width = _footprints(view, rows, ray, normal, depth)
    u, v, width_u, width_v = _coordinates(point, normal, face, width)
    if view.ground is not None and onground.size:
        across, along, foot_across, foot_along = view.ground.coordinates(
            point[:, onground], width[:, onground]
        )
        u[onground], v[onground], width_u[onground], width_v[onground] = (
            across,
            along,
            foot_across,
            foot_along,
        )
    albedo = _albedo(table, ids, u, v, width_u, width_v, point, half, face)
    up = np.take(-view.poses[:, 1, :3].T.astype(np.float32), ids, axis=1)
    above = 0.85 + 0.15 * (normal * up).sum(0)
    ambient, sun = np.array(light.ambient, np.float32)[:, None], np.array(light.sun, np.float32)[:, None]
    lit = albedo * (ambient * above + sun * _direct(view, light, ids, point, normal))
    lit *= _contact(view, ids, point)
    if np.isfinite(light.haze):
        veil = 1.0 - np.exp(-depth / np.float32(light.haze))
        lit += (np.array(light.horizon, np.float32)[:, None] - lit) * veil
    return lit


def _direct(view: View, light: Light, ids: Ids, point: Float, normal: Float) -> Float:
    """Lambert's cosine (``N``) to the sun, or to the lamp with a gentle fall-off."""
    if light.lamp is None:
        sun = np.take((view.scene.sun @ view.poses[:, :3, :3]).T.astype(np.float32), ids, axis=1)
        return np.maximum((normal * sun).sum(0), 0.0)
    place = np.einsum("pji,pj->ip", view.poses[:, :3, :3], np.array(light.lamp) - view.poses[:, :3, 3])
    way = np.take(place.astype(np.float32), ids, axis=1) - point
    squared = (way * way).sum(0)
    return np.maximum((normal * way).sum(0), 0.0) / np.sqrt(squared) / (1 + squared / 30.0)


def _contact(view: View, ids: Ids, point: Float) -> Float:
    """Share of light (``N``) that objects leave on the ground below them; receivers have no rotation."""
    weight = np.ones(ids.size, np.float32)
    which = np.flatnonzero(np.isin(ids, view.scene.receivers))
    if which.size == 0:
        return weight
    x, z = (point[axis, which] + view.poses[ids[which], axis, 3].astype(np.float32) for axis in (0, 2))
    focal, facing = view.camera.intrinsics[0, 0], view.camera.pose
    casters = view.scene.casters
    poses = view.objects[[caster.owner for caster in casters]]
    depth = poses[:, :3, 3] @ facing[2, :3] + facing[2, 3]
    size = np.array([max(caster.half) for caster in casters])
    for number in np.flatnonzero((depth > -size) & (focal * size > 2.0 * depth) & (depth < 60.0)):
        caster, pose = casters[number], poses[number]
        dx, dz = x - np.float32(pose[0, 3]), z - np.float32(pose[2, 3])
        near = np.flatnonzero(np.maximum(np.abs(dx), np.abs(dz)) < 2 * max(caster.half) + 1.0)
        dx, dz = dx[near], dz[near]
        right, forward = pose[:3, 0].astype(np.float32), pose[:3, 2].astype(np.float32)
        across = np.abs(dx * right[0] + dz * right[2] - np.float32(caster.centre[0])) - np.float32(
            caster.half[0]
        )
        along = np.abs(dx * forward[0] + dz * forward[2] - np.float32(caster.centre[1])) - np.float32(
            caster.half[1]
        )
        outside = np.maximum(across, 0.0) ** 2 + np.maximum(along, 0.0) ** 2
        weight[which[near]] *= 1 - np.float32(caster.strength) * np.exp(-outside / np.float32(0.04))
    return weight


def _footprints(view: View, rows: Float, ray: Float, normal: Float, depth: Float) -> Float:
    """How far the hit moves along each axis (``3 N``, m) in its tangent plane when the pixel moves by one."""
    fx, fy = view.camera.intrinsics[0, 0], view.camera.intrinsics[1, 1]
    facing = (normal * ray).sum(0)
    facing = np.where(facing < 0, np.minimum(facing, -0.02), np.maximum(facing, 0.02))
    total = np.zeros_like(ray)
    for column, focal in ((0, fx), (1, fy)):
        step = rows[column::3] / np.float32(focal)
        move = depth * (step - ray * ((normal * step).sum(0) / facing))
        total += move * move
    return np.sqrt(total)


def _coordinates(point: Float, normal: Float, face: Ids, width: Float) -> tuple[Float, Float, Float, Float]:
    """Texture coordinates and footprints in m: the two axes across which the surface lies most."""
    px, py, pz = point
    wx, wy, wz = width
    axis = np.where(face == 3, np.argmax(np.abs(normal), axis=0), face)
    u, width_u = np.where(axis == 0, pz, px), np.where(axis == 0, wz, wx)
    v, width_v = np.where(axis == 1, pz, py), np.where(axis == 1, wz, wy)
    return u, v, width_u, width_v


def _albedo(
    table: MaterialTable,
    ids: Ids,
    u: Float,
    v: Float,
    width_u: Float,
    width_v: Float,
    point: Float,
    half: Float,
    face: Ids,
) -> Float:
    grain_u, grain_v = table.grain[0, ids], table.grain[1, ids]
    seed = table.seed[ids]
    offset = seed * 3.7 + 11.3 * face
    noise = octaves(u / grain_u + offset, v / grain_v - offset, width_u / grain_u, width_v / grain_v)
    surface = Surface(
        u, v, width_u, width_v, point, half, face,
        np.take(table.colour, ids, axis=1), np.take(table.second, ids, axis=1),
        np.take(table.params, ids, axis=1), noise, seed,
    )  # fmt: skip
    pattern = table.pattern[ids]
    albedo = np.empty((3, ids.size), np.float32)
    starts = np.flatnonzero(np.diff(pattern, prepend=-1))
    functions = list(PATTERNS.values())
    for start, end in zip(starts, np.append(starts[1:], ids.size), strict=True):
        albedo[:, start:end] = functions[pattern[start]](surface.part(slice(start, end)))
    return albedo * (1 + table.contrast[ids] * noise)


def _sky(view: View, light: Light, x: Float, y: Float) -> Float:
    """Sky by direction only: a gradient with soft clouds."""
    orientation = view.camera.pose[:3, :3].T.astype(np.float32)
    direction = np.stack(
        [orientation[k, 0] * x + orientation[k, 1] * y + orientation[k, 2] for k in range(3)]
    )
    direction /= np.sqrt((direction**2).sum(0))
    up = np.clip(-direction[1], 0.0, 1.0)
    weight = np.clip(up / 0.45, 0.0, 1.0) ** 0.7
    horizon, zenith = (np.array(c, np.float32)[:, None] for c in (light.horizon, light.zenith))
    colour = horizon + (zenith - horizon) * weight
    angle = np.arctan2(direction[0], direction[2])
    width = np.full_like(x, 1.0 / view.camera.intrinsics[0, 0])
    cloud = octaves(angle / 0.35 + 3.0, up / 0.12, width / 0.35, width / 0.12, count=5)
    cloud = np.clip(0.35 + 1.6 * cloud, 0.0, 1.0) * light.clouds * np.clip(up / 0.06, 0.0, 1.0)
    return colour + (0.97 - colour) * cloud
