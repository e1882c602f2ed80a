"""Rays against unit solids, and the surface (normal, texture coordinates) at a hit.

Every solid lives in its own *unit* coordinates: a box is ``|x|, |y|, |z| <= 1``, a sphere
``x² + y² + z² <= 1``, a cylinder ``x² + z² <= 1, |y| <= 1``. A ray is ``origin + depth · direction`` with the
direction scaled so that its camera z is one: the ray parameter then IS the depth, also after the affine map
into unit coordinates. All solids are convex, so a ray is inside for one interval ``[entry, exit]``; one that
begins behind the camera is a miss. The origin is three numbers (many rays, one solid) or three arrays (one
solid per ray).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BOX, SPHERE, CYLINDER, GROUND = 0, 1, 2, 3
NEAR = 0.05  # m; nothing closer is seen

Float = NDArray[np.floating]
Rays = tuple[Float, Float, Float]
Origin = Sequence[float] | Float


def _slab(origin: float | Float, direction: Float) -> tuple[Float, Float]:
    """Entry and exit depth of ``|coordinate| <= 1``."""
    inverse = 1.0 / (direction + 1e-12)  # never 1 / 0: that times an origin of 0 is no number
    centre = inverse * -origin
    half = np.abs(inverse)
    return centre - half, centre + half


def _close(entry: Float, leave: Float) -> Float:
    """Depth of the entry, infinite where the interval is empty or begins behind the camera."""
    return np.where((entry <= leave) & (entry > NEAR), entry, np.inf)


def hit_box(origin: Origin, rays: Rays) -> Float:
    """Depth at which rays enter the unit box (slab method), infinite where they miss."""
    entry, leave = _slab(origin[0], rays[0])
    for axis in (1, 2):
        first, last = _slab(origin[axis], rays[axis])
        entry, leave = np.maximum(entry, first), np.minimum(leave, last)
    return _close(entry, leave)


def hit_sphere(origin: Origin, rays: Rays) -> Float:
    """Depth at which rays enter the unit sphere, infinite where they miss.

    Uses the point of closest approach, which unlike ``b² - ac`` loses no digits on small, far spheres.
    """
    ox, oy, oz = origin
    dx, dy, dz = rays
    squared = dx * dx + dy * dy + dz * dz
    middle = -(ox * dx + oy * dy + oz * dz) / squared
    px, py, pz = ox + middle * dx, oy + middle * dy, oz + middle * dz
    inside = 1.0 - (px * px + py * py + pz * pz)
    half = np.sqrt(np.maximum(inside, 0.0) / squared)
    return np.where((inside > 0.0) & (middle - half > NEAR), middle - half, np.inf)


def hit_cylinder(origin: Origin, rays: Rays) -> Float:
    """Depth at which rays enter the unit cylinder (axis y, with caps), infinite where they miss."""
    ox, oy, oz = origin
    dx, dy, dz = rays
    squared = dx * dx + dz * dz + 1e-20
    middle = -(ox * dx + oz * dz) / squared
    px, pz = ox + middle * dx, oz + middle * dz
    inside = 1.0 - (px * px + pz * pz)
    half = np.sqrt(np.maximum(inside, 0.0) / squared)
    first, last = _slab(oy, dy)
    depth = _close(np.maximum(middle - half, first), np.minimum(middle + half, last))
    return np.where(inside > 0.0, depth, np.inf)


HIT = {BOX: hit_box, SPHERE: hit_sphere, CYLINDER: hit_cylinder}


def unit_normals(kind: NDArray[np.integer], point: Float, half: Float) -> tuple[Float, NDArray[np.integer]]:
    """Outward unit normals in the solid's own (metric) axes, and the face the points lie on.

    Args:
        kind: ``N`` one of BOX, SPHERE, CYLINDER.
        point: ``3 N`` hit points in unit coordinates.
        half: ``3 N`` half sizes in m.

    Returns:
        ``3 N`` normals; ``N`` faces: 0, 1, 2 = the axis of a box face, 1 also a cylinder's caps, 3 = curved.
    """
    size = np.abs(point)
    face = np.argmax(size, axis=0)
    normal = np.zeros_like(point)
    np.put_along_axis(normal, face[None], np.sign(np.take_along_axis(point, face[None], 0)), 0)
    round_ = kind == SPHERE
    side = (kind == CYLINDER) & (point[0] ** 2 + point[2] ** 2 > size[1] ** 2)
    cap = (kind == CYLINDER) & ~side
    curved = round_ | side
    gradient = point[:, curved] / half[:, curved]
    gradient[1, side[curved]] = 0.0
    normal[:, curved] = gradient / np.sqrt((gradient**2).sum(0))
    normal[:, cap] = 0.0
    normal[1, cap] = np.sign(point[1, cap])
    face = np.where(curved, 3, np.where(cap, 1, face))
    return normal, face
