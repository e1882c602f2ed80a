"""Which solid does each pixel see, and how far away: ray casting with screen-space bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geopretrain.synthetic.primitives import GROUND, HIT, NEAR, Float, Origin, Rays
from geopretrain.synthetic.scene import Scene

Ids = NDArray[np.integer]
SKY = -1  # id of a ray that meets nothing
LARGE = 300  # px in a solid's bounds; smaller solids are cast together
FAR = 260.0  # m; nothing further is seen
SMALLEST = 0.9  # px; solids whose image is thinner are left out
_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (_SIGNS[a] != _SIGNS[b]).sum() == 1]


class Ground(Protocol):
    """Terrain that is no solid: solids ``0 .. parts-1`` of the scene are its parts (road, pavement ...)."""

    parts: int

    def hit(self, origin: Origin, rays: Rays) -> tuple[Float, Ids]:
        """Depth (infinite where missed) and part of world rays."""

    def normals(self, point: Float, part: Ids) -> Float:
        """``3 N`` unit normals at ``3 N`` world points of the given parts."""

    def coordinates(self, point: Float, width: Float) -> tuple[Float, Float, Float, Float]:
        """Texture coordinates (across, along; m) and footprints from the ``3 N`` footprints in world axes."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; pixel centres at integer coordinates.

    Attributes:
        pose: ``4 4`` T_world_to_camera.
        intrinsics: ``3 3`` in px.
        size: ``(h, w)``.
    """

    pose: Float
    intrinsics: Float
    size: tuple[int, int]

    @property
    def centre(self) -> Float:
        """Position in the world, m."""
        return -self.pose[:3, :3].T @ self.pose[:3, 3]

    def normalised(self, u: Float, v: Float) -> tuple[Float, Float]:
        """Pixels to camera x/z and y/z."""
        k = self.intrinsics
        return (u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1]

    def project(self, points: Float) -> Float:
        """``3 N`` world points to ``3 N`` rows (u, v, z)."""
        x, y, z = self.pose[:3, :3] @ points + self.pose[:3, 3:]
        k = self.intrinsics
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([x / z * k[0, 0] + k[0, 2], y / z * k[1, 1] + k[1, 2], z])


class View:
    """A scene at one time, seen by one camera.

    Attributes:
        objects, poses: ``O 4 4`` object to world, ``P 4 4`` solid to world.
        matrix, origin: ``P 3 3``, ``P 3``: camera rays ``(x, y, 1)`` and camera centre in unit coordinates.
    """

    def __init__(self, scene: Scene, ground: Ground | None, camera: Camera, time: float) -> None:
        self.scene, self.ground, self.camera = scene, ground, camera
        self.objects = scene.object_poses(time)
        self.poses = scene.poses(self.objects)
        unit = self.poses[:, :3, :3].transpose(0, 2, 1) / scene.half[:, :, None]
        self.matrix = unit @ camera.pose[:3, :3].T
        self.origin = np.einsum("pij,pj->pi", unit, camera.centre - self.poses[:, :3, 3])
        self._columns = np.concatenate([self.matrix.reshape(-1, 9), self.origin], 1).T.astype(np.float32)

    def hit(self, index: int, x: Float, y: Float) -> tuple[Float, Ids | int]:
        """Depth of one solid along camera rays, and the ids seen (the ground has several parts)."""
        column = self._columns[:, index].tolist()
        rays = _directions(column, x, y)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.ground is not None and index < self.ground.parts:
                return self.ground.hit(column[9:], rays)
            return HIT[int(self.scene.kind[index])](column[9:], rays), index

    def hit_pairs(self, solids: Ids, x: Float, y: Float) -> tuple[Float, Ids]:
        """Depth of ray ``k`` on ``solids[k]`` (any part of the ground stands for all of it), and the ids."""
        depth = np.empty(solids.size, np.float32)
        seen = solids.astype(np.int32)
        kinds = self.scene.kind[solids]
        for kind, solve in HIT.items():
            which = np.flatnonzero(kinds == kind)
            columns = np.take(self._columns, solids[which], axis=1)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                depth[which] = solve(columns[9:], _directions(columns, x[which], y[which]))
        which = np.flatnonzero(kinds == GROUND)
        if which.size:
            depth[which], seen[which] = self.hit(0, x[which], y[which])
        return depth, seen

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
        """Solids in sight, nearest first: ids, half-open pixel bounds x0 y0 x1 y1, least depth (m)."""
        scene, camera = self.scene, self.camera
        orientation, shift = camera.pose[:3, :3], camera.pose[:3, 3]
        focal = camera.intrinsics[0, 0]
        radius = np.linalg.norm(scene.half, axis=1)
        depth = self.poses[:, :3, 3] @ orientation[2] + shift[2]
        thin = np.sort(scene.half, axis=1)[:, 1]  # the middle size: what makes a pole or a sheet visible
        near = np.maximum(depth - radius, NEAR)
        keep = (
            (depth + radius > NEAR)
            & (depth - radius < FAR)
            & (2 * thin * focal > SMALLEST * near)
            & (scene.kind != GROUND)
        )
        ids = np.flatnonzero(keep)
        corners = (_SIGNS[None] * scene.half[ids, None]) @ self.poses[ids, :3, :3].transpose(0, 2, 1)
        corners = (corners + self.poses[ids, None, :3, 3]) @ orientation.T + shift
        box = _pixel_bounds(corners, camera)
        seen = (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
        least = np.maximum(corners[:, :, 2].min(1), NEAR)
        order = np.flatnonzero(seen)
        order = order[np.argsort(least[order], kind="stable")]
        return ids[order], box[order], least[order]

    def cast(self) -> tuple[Ids, Float]:
        """Ids and depths (float32, infinite in the sky) at all pixel centres, ``H W`` each."""
        height, width = self.camera.size
        x, y = self.camera.normalised(np.arange(float(width)), np.arange(float(height)))
        x, y = x.astype(np.float32)[None], y.astype(np.float32)[:, None]
        ids = np.full((height, width), SKY, np.int32)
        depth = np.full((height, width), np.inf, np.float32)
        if self.ground is not None:
            found, part = self.hit(0, x, y)
            depth[...] = found
            ids[...] = np.where(np.isfinite(found), part, SKY)
        solids, bounds, nearest = self.bounds()
        area = (bounds[:, 2] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 1])
        large = area > LARGE
        for index, (x0, y0, x1, y1), least in zip(solids[large], bounds[large], nearest[large], strict=True):
            window = (slice(y0, y1), slice(x0, x1))
            closest = depth[window]
            if least > closest.max():
                continue
            found, _ = self.hit(index, x[:, x0:x1], y[y0:y1])
            closer = found < closest
            np.copyto(closest, found, where=closer)
            np.copyto(ids[window], index, where=closer)
        self._cast_small(solids[~large], bounds[~large], nearest[~large], ids, depth, x[0], y[:, 0])
        return ids, depth

    def _cast_small(
        self, solids: Ids, bounds: Ids, nearest: Float, ids: Ids, depth: Float, x: Float, y: Float
    ) -> None:
        """All pixels of all small solids at once; updates ``ids`` and ``depth``."""
        wide = bounds[:, 2] - bounds[:, 0]
        area = wide * (bounds[:, 3] - bounds[:, 1])
        owner = np.repeat(np.arange(solids.size), area)
        place = np.arange(owner.size) - np.repeat(np.cumsum(area) - area, area)
        row = bounds[owner, 1] + place // wide[owner]
        column = bounds[owner, 0] + place % wide[owner]
        pixel = row * x.size + column
        open_ = np.flatnonzero(depth.ravel()[pixel] > nearest[owner])
        owner, row, column, pixel = owner[open_], row[open_], column[open_], pixel[open_]
        found, seen = self.hit_pairs(solids[owner], x[column], y[row])
        _keep_nearest(pixel, found, seen, depth.ravel(), ids.ravel())

    def cast_at(self, ids: Ids, u: Float, v: Float) -> tuple[Ids, Float]:
        """Ids and depths along rays through any points (px), ``N`` each.

        The solids tried are those that the ``H W`` picture ``ids`` of pixel centres shows in the 3 x 3 pixels
        around each point, so solids thinner than a pixel can be missed.
        """
        height, width = ids.shape
        x, y = (value.astype(np.float32) for value in self.camera.normalised(u, v))
        column = np.clip(np.rint(u), 0, width - 1).astype(np.int64)
        row = np.clip(np.rint(v), 0, height - 1).astype(np.int64)
        parts = 0 if self.ground is None else self.ground.parts
        merged = np.where((ids >= 0) & (ids < parts), 0, ids)
        points, solids = _candidates(merged, row, column)
        best = np.full(u.shape, np.inf, np.float32)
        seen = np.full(u.shape, SKY, np.int32)
        found, part = self.hit_pairs(solids, x[points], y[points])
        _keep_nearest(points, found, part, best, seen)
        return seen, best


def _directions(column: Sequence[float] | Float, x: Float, y: Float) -> Rays:
    """Camera rays ``(x, y, 1)`` in unit coordinates; ``column``: the nine entries of the matrix."""
    m = column
    return m[0] * x + (m[1] * y + m[2]), m[3] * x + (m[4] * y + m[5]), m[6] * x + (m[7] * y + m[8])


def _keep_nearest(place: Ids, found: Float, seen: Ids, depth: Float, ids: Ids) -> None:
    """Write the least find at each place into the flat ``depth`` and ``ids``, where it is nearer still."""
    closer = np.flatnonzero(found < depth[place])
    order = closer[np.argsort(-found[closer], kind="stable")]
    # far to near: of several finds at one place numpy keeps the last written
    depth[place[order]] = found[order]
    ids[place[order]] = seen[order]


def _candidates(ids: Ids, row: Ids, column: Ids) -> tuple[Ids, Ids]:
    """Pairs (point, solid) to try: each solid in the 3 x 3 pixels around each point, once."""
    width = ids.shape[1]
    padded = np.pad(ids, 1, mode="edge").ravel()
    middle = (row + 1) * (width + 2) + column + 1
    steps = [dy * (width + 2) + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    around = np.sort(np.stack([padded[middle + step] for step in steps]), axis=0)
    new = np.ones(around.shape, bool)
    new[1:] = around[1:] != around[:-1]
    new &= around != SKY
    _, points = np.nonzero(new)
    return points, around[new]


def _pixel_bounds(corners: Float, camera: Camera) -> NDArray[np.int64]:
    """Half-open pixel bounds ``K 4`` of boxes with ``K 8 3`` camera corners, clipped at the near plane."""
    height, width = camera.size
    k = camera.intrinsics
    z = corners[:, :, 2]
    safe = np.maximum(z, NEAR)
    u = corners[:, :, 0] / safe * k[0, 0] + k[0, 2]
    v = corners[:, :, 1] / safe * k[1, 1] + k[1, 2]
    behind = z < NEAR
    low_u, high_u = np.where(behind, np.inf, u).min(1), np.where(behind, -np.inf, u).max(1)
    low_v, high_v = np.where(behind, np.inf, v).min(1), np.where(behind, -np.inf, v).max(1)
    crossing = np.flatnonzero(behind.any(1) & ~behind.all(1))
    if crossing.size:
        first = corners[crossing][:, [a for a, _ in _EDGES]]
        last = corners[crossing][:, [b for _, b in _EDGES]]
        cut = (first[..., 2] < NEAR) != (last[..., 2] < NEAR)
        weight = np.where(cut, (NEAR - first[..., 2]) / np.where(cut, last[..., 2] - first[..., 2], 1.0), 0.0)
        point = first + weight[..., None] * (last - first)
        pu = point[..., 0] / NEAR * k[0, 0] + k[0, 2]
        pv = point[..., 1] / NEAR * k[1, 1] + k[1, 2]
        low_u[crossing] = np.minimum(low_u[crossing], np.where(cut, pu, np.inf).min(1))
        high_u[crossing] = np.maximum(high_u[crossing], np.where(cut, pu, -np.inf).max(1))
        low_v[crossing] = np.minimum(low_v[crossing], np.where(cut, pv, np.inf).min(1))
        high_v[crossing] = np.maximum(high_v[crossing], np.where(cut, pv, -np.inf).max(1))
    box = np.stack([np.floor(low_u), np.floor(low_v), np.ceil(high_u) + 1, np.ceil(high_v) + 1], 1)
    box = np.clip(box, 0, [width, height, width, height])
    box[behind.all(1)] = 0
    return box.astype(np.int64)
