"""A winding road with raised pavements: the ground of the street world.

The middle line is ``x = bend(z)``, a sum of sines. World axes: x right, y down, z forward; the road is y = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from geopretrain.synthetic.cast import FAR, Ids
from geopretrain.synthetic.primitives import Float, Origin, Rays

ROAD, PAVEMENT, GRASS = 0, 1, 2
KERB = 0.13  # m, height of the pavement above the road
END = FAR  # m, the ground ends here (a pixel or two under the horizon)


class Road:
    """The ground of a street.

    Attributes:
        half: half width of the carriageway, m.
        pavement: width of the pavement on both sides, m.
    """

    parts = 3

    def __init__(self, waves: list[tuple[float, float, float]], half: float, pavement: float) -> None:
        """Take ``waves`` as (amplitude m, wave length m, phase rad)."""
        self.half, self.pavement = half, pavement
        self.waves = [(a, 2 * np.pi / length, phase) for a, length, phase in waves]

    def bend(self, z: Float) -> Float:
        """X of the middle line at ``z``."""
        return sum(a * (np.sin(k * z + p) - np.sin(p)) for a, k, p in self.waves)

    def slope(self, z: Float) -> Float:
        """dx/dz of the middle line."""
        return sum(a * k * np.cos(k * z + p) for a, k, p in self.waves)

    def across(self, x: Float, z: Float) -> Float:
        """Distance to the right of the middle line, m (to first order in the curvature)."""
        return (x - self.bend(z)) / np.sqrt(1 + self.slope(z) ** 2)

    def place(self, z: float, across: float, height: float = 0.0, yaw: float = 0.0) -> Float:
        """Pose (object to world, 4 4) at road position ``z``, ``across`` m to the right, ``height`` m up.

        The object's z axis points along the road, rotated by ``yaw`` rad about the upward axis to the right.
        """
        middle = sum(a * (math.sin(k * z + p) - math.sin(p)) for a, k, p in self.waves)
        heading = math.atan(sum(a * k * math.cos(k * z + p) for a, k, p in self.waves))
        x, forward = middle + across * math.cos(heading), z - across * math.sin(heading)
        c, s = math.cos(heading + yaw), math.sin(heading + yaw)
        return np.array([[c, 0, s, x], [0, 1, 0, -height], [-s, 0, c, forward], [0, 0, 0, 1.0]])

    def hit(self, origin: Origin, rays: Rays) -> tuple[Float, Ids]:
        """Depth and part (ROAD, PAVEMENT, GRASS) where world rays meet the ground; infinite past ``END``."""
        dx, dy, dz = np.broadcast_arrays(*rays)
        ox, oy, oz = origin
        depth = np.full(dy.shape, np.inf, dy.dtype)
        part = np.zeros(dy.shape, np.int32)
        low = np.flatnonzero(dy.ravel() > 1e-6)
        fx, fy, fz = dx.ravel()[low], dy.ravel()[low], dz.ravel()[low]
        upper = (-KERB - oy) / fy
        beside = np.abs(self.across(ox + upper * fx, oz + upper * fz))
        found = np.where(beside > self.half, upper, -oy / fy)
        kind = np.where(
            beside > self.half + self.pavement, GRASS, np.where(beside > self.half, PAVEMENT, ROAD)
        )
        road = np.flatnonzero(kind == ROAD)
        far = np.abs(self.across(ox + found[road] * fx[road], oz + found[road] * fz[road])) > self.half
        step = road[far]  # passed over the edge of one pavement and under the other: the upright kerb stone
        ray = (fx[step], fz[step])
        found[step] = self._kerb(
            lambda t: np.abs(self.across(ox + t * ray[0], oz + t * ray[1])), upper[step], found[step]
        )
        kind[step] = PAVEMENT
        found[found > END] = np.inf
        depth.ravel()[low] = found
        part.ravel()[low] = kind
        return depth, part

    def _kerb(self, across: Callable[[Float], Float], low: Float, high: Float) -> Float:
        """Depth between ``low`` (over the road) and ``high`` (under the pavement) of the ray's kerb hit."""
        below, above = across(low) - self.half, across(high) - self.half
        depth = low
        for _ in range(3):  # false position; the kerb is nearly straight over this length
            depth = low + (high - low) * below / (below - above)
            value = across(depth) - self.half
            left = value < 0
            low, below = np.where(left, depth, low), np.where(left, value, below)
            high, above = np.where(left, high, depth), np.where(left, above, value)
        return depth

    def normals(self, point: Float, part: Ids) -> Float:
        """Up, or towards the middle of the road on the upright kerb."""
        normal = np.zeros_like(point)
        normal[1] = -1.0
        upright = np.flatnonzero((part == PAVEMENT) & (point[1] > -KERB + 1e-3))
        slope = self.slope(point[2, upright])
        side = -np.sign(self.across(point[0, upright], point[2, upright])) / np.sqrt(1 + slope**2)
        normal[:, upright] = np.stack([side, 0 * side, -side * slope])
        return normal

    def coordinates(self, point: Float, width: Float) -> tuple[Float, Float, Float, Float]:
        """(across, along) in m and their footprints."""
        slope = self.slope(point[2])
        cos = 1 / np.sqrt(1 + slope**2)
        sin = np.abs(slope) * cos
        across = (point[0] - self.bend(point[2])) * cos
        return (
            across,
            point[2] / cos,
            np.hypot(width[0] * cos, width[2] * sin),
            np.hypot(width[2] * cos, width[0] * sin),
        )
