"""How flat predicted planes are, and how they are turned: the planarity error of iBims-1.

Koch, Liebel, Fraundorfer, Körner, *Evaluation of CNN-based Single-Image Depth Estimation Methods*, ECCV
Workshops 2018, as the script that comes with the data set computes it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geopretrain.data.structure import Plane
from geopretrain.errors import DataError

SMALLEST_PLANE = 0.05
"""Fraction of the picture below which a plane is not scored."""


def planarity_error(
    truth: ArrayLike,
    prediction: ArrayLike,
    plane: Plane,
    intrinsics: ArrayLike,
    *,
    smallest: float | None = None,
) -> dict[str, float]:
    """Return how far a predicted plane is from being one.

    The prediction is first scaled on the plane by the ratio of the medians of truth and prediction there, so
    the numbers do not depend on its unit.

    Args:
        truth: depth ``H W``, m, 0 = none.
        prediction: depth ``H W``, 0 = none.
        plane: pixels, and normal.
        intrinsics: ``3 3`` px, pixel centres at integers from 0 (iBims-1 counts from 1: take 1 off its
            principal point).
        smallest: pixels below which the numbers are not numbers; None: 5 % of the picture.

    Returns:
        ``flatness_cm``: standard deviation of the distances from the fitted plane, cm; ``orientation_deg``:
        angle between the fitted and the true normal, degrees, 0 to 90.

    Raises:
        DataError: the sizes differ.
    """
    gt, pred = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    inside = np.asarray(plane.mask) != 0
    if not gt.shape == pred.shape == inside.shape or gt.ndim != 2:
        raise DataError(
            f"Truth {gt.shape}, prediction {pred.shape} and the mask of a plane {inside.shape} must have one "
            "size (height, width)."
        )
    inside &= (gt > 0) & (pred > 0) & np.isfinite(gt) & np.isfinite(pred)
    least = SMALLEST_PLANE * gt.size if smallest is None else smallest
    if inside.sum() < max(least, 3):
        return {"flatness_cm": math.nan, "orientation_deg": math.nan}
    scale = np.median(gt[inside]) / np.median(pred[inside])
    distances, normal = _fit_plane(_points(pred * scale, inside, intrinsics))
    true = _fit_plane(_points(gt, inside, intrinsics))[1] if plane.normal is None else plane.normal
    cosine = abs(float(normal @ true)) / float(np.linalg.norm(true))
    return {
        "flatness_cm": float(distances.std()) * 100,
        "orientation_deg": math.degrees(math.acos(min(1.0, cosine))),
    }


def _points(
    depth: NDArray[np.float64], inside: NDArray[np.bool_], intrinsics: ArrayLike
) -> NDArray[np.float64]:
    """Return the points ``N 3`` (m, camera axes) of the pixels inside."""
    K = np.asarray(intrinsics, np.float64)
    row, column = np.nonzero(inside)
    z = depth[row, column]
    return np.stack([(column - K[0, 2]) * z / K[0, 0], (row - K[1, 2]) * z / K[1, 1], z], -1)


def _fit_plane(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return signed distances ``N`` from the plane of the principal components of points, and its normal."""
    centred = points - points.mean(0)
    normal = np.linalg.eigh(centred.T @ centred)[1][:, 0]
    return centred @ normal, normal
