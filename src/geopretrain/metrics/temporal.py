"""How steady depth is over a video: each map against the one before, brought to the same moment.

Two measures. With known poses it is the temporal alignment error of Yang, Huang, Tang et al., *Depth Any
Video with Scalable Synthetic Data* (ICLR 2025): the depth of a frame, moved into the next camera, against the
depth predicted there, and the other way round, as AbsRel. Without poses it follows the warping by optical
flow of Wang, Shi, Li et al., *Neural Video Depth Stabilizer* (ICCV 2023), as a difference of logarithms,
which no common factor changes; what the camera really comes nearer is part of that number.

A map that is the same everywhere and always is perfectly steady: read these numbers beside those of accuracy.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.errors import DataError

Depth = NDArray[np.float64]


def moved_depth(depth: ArrayLike, intrinsics: ArrayLike, T: ArrayLike) -> Depth:
    """Return a depth map as another camera sees it, ``H W``; 0 where none of its points falls.

    Points fall on the nearest pixel; of several on one pixel the nearest to the camera stays.

    Args:
        depth: ``H W``, 0 = none.
        intrinsics: ``3 3`` px of both cameras, pixel centres at integers.
        T: ``4 4`` from this camera to the other one, in units of the depth.
    """
    z, K, motion = (
        np.asarray(depth, np.float64),
        np.asarray(intrinsics, np.float64),
        np.asarray(T, np.float64),
    )
    row, column = np.nonzero((z > 0) & np.isfinite(z))
    known = z[row, column]
    rays = np.stack([(column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1], np.ones(len(known))])
    points = motion[:3, :3] @ (rays * known) + motion[:3, 3:]
    ahead = points[2] > 0
    x, y, far = points[:, ahead]
    u, v = np.rint(K[0, 0] * x / far + K[0, 2]), np.rint(K[1, 1] * y / far + K[1, 2])
    inside = (u >= 0) & (u < z.shape[1]) & (v >= 0) & (v < z.shape[0])
    seen = np.full(z.shape, np.inf)
    np.minimum.at(seen, (v[inside].astype(int), u[inside].astype(int)), far[inside])
    return np.where(np.isfinite(seen), seen, 0)


def alignment_error(first: ArrayLike, second: ArrayLike, intrinsics: ArrayLike, T: ArrayLike) -> float:
    """Return the temporal alignment error of a pair of depth maps: the mean AbsRel of both directions.

    Args:
        first: depth ``H W`` in the units of ``T``, 0 = none.
        second: likewise, of the next frame.
        intrinsics: ``3 3`` px.
        T: ``4 4`` from the first camera to the second.

    Returns:
        Fraction; not a number where the frames share no pixel.

    Raises:
        DataError: the sizes differ.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != two.shape or one.ndim != 2:
        raise DataError(
            f"Depth maps of neighbouring frames must have one size, not {one.shape} and {two.shape}."
        )
    back = np.linalg.inv(np.asarray(T, np.float64))
    return (
        _abs_rel(moved_depth(one, intrinsics, T), two) + _abs_rel(moved_depth(two, intrinsics, back), one)
    ) / 2


def _abs_rel(moved: Depth, there: Depth) -> float:
    both = (moved > 0) & (there > 0) & np.isfinite(there)
    return float(np.mean(np.abs(moved[both] - there[both]) / there[both])) if both.any() else math.nan


def flow_change(first: ArrayLike, second: ArrayLike, flow: ArrayLike, back: ArrayLike) -> float:
    """Return the mean ``|log d1(x) - log d2(x + flow(x))|`` of pixels that flow can follow.

    Those are pixels whose flow ends inside the picture and whose way there and back ends within
    ``0.5 + 0.01 (|flow|² + |back|²)`` px² of where it began (Sundaram, Brox and Keutzer, ECCV 2010).

    Args:
        first: disparity (or depth) ``H W``, any unit, positive.
        second: likewise, of the next frame, in the same unit.
        flow: ``2 H W`` px (right, down) from the first frame to the second.
        back: from the second to the first.

    Returns:
        Not a number where no pixel can be followed.

    Raises:
        DataError: the sizes differ.
    """
    import cv2

    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    there, again = np.asarray(flow, np.float32), np.asarray(back, np.float32)
    if not one.shape == two.shape == there.shape[1:] == again.shape[1:]:
        raise DataError(
            f"Disparities {one.shape}, {two.shape} and flows {there.shape}, {again.shape} must have one size."
        )
    height, width = one.shape
    rows, columns = np.indices(one.shape, dtype=np.float32)
    x, y = columns + there[0], rows + there[1]

    def at_end(values: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.asarray(cv2.remap(values.astype(np.float32), x, y, cv2.INTER_LINEAR), np.float32)

    returned = np.stack([at_end(again[0]), at_end(again[1])])
    apart = ((there + returned) ** 2).sum(0)
    allowed = 0.5 + 0.01 * ((there**2).sum(0) + (returned**2).sum(0))
    warped = at_end(two)
    known = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1) & (apart < allowed)
    known &= (one > 0) & (warped > 0) & np.isfinite(one) & np.isfinite(warped)
    return float(np.abs(np.log(one[known]) - np.log(warped[known])).mean()) if known.any() else math.nan
